"""What a file is by its first bytes: every format that is read, and what lies beside pictures."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import warnings
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_corpus import encode, gradient, valid_files
from PIL import Image, UnidentifiedImageError

from safejudge.images.decoding import FORMATS
from safejudge.images.kinds import HEAD, kind_of

FILES = valid_files()
RGB = Image.fromarray(gradient())


def archive(suffix=""):
    file = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("a.png", FILES["rgb.png"])
    else:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            member = tarfile.TarInfo("a.png")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    return file.getvalue()


def without_mark(tar):
    """A tar as it was before POSIX: its header holds a checksum and no name of the format."""
    head = bytearray(tar)
    head[257:265] = bytes(8)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head[:512])
    return bytes(head)


def box(main, *others):
    brands = main + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0\0\0\x08free"


def tiff(*tags):
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("name", FILES)
def test_every_format_that_is_read(name):
    assert kind_of(FILES[name][:HEAD]).name == "picture"


@pytest.mark.parametrize(
    ("head", "suffix", "name", "what"),
    [
        (b"", ".png", "empty", "an empty file"),
        (b"\0" * 4096, "", "other", "nothing but zeros"),
        # pictures with rare beginnings
        (b"P5 # a comment\n# another\n8 8\n255\n", "", "picture", "a PPM picture"),
        (b"P6\n" + b"# a long comment " * 400, "", "picture", "a PPM picture"),
        (box(b"mif1", b"avif", b"miaf"), "", "picture", "an AVIF picture"),
        (b"MM\0+\0\x08\0\0", ".tif", "picture", "a TIFF picture"),
        (tiff((256, 8), (259, 7)), ".tif", "picture", "a TIFF picture"),
        (b"\xff\x4f\xff\x51\0\0", "", "picture", "a JPEG 2000 picture"),
        # what is looked at elsewhere
        (box(b"heic", b"mif1"), ".heic", "media", "a HEIC/HEIF photo"),
        (box(b"mif1", b"heic"), "", "media", "a HEIC/HEIF photo"),
        (box(b"isom", b"mp42"), "", "video", "a video (MP4 or MOV)"),
        (box(b"qt  "), "", "video", "a video (MP4 or MOV)"),
        (b"\0\0\x01\0moov", "", "video", "a video (MP4 or MOV)"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "", "video", "a video (Matroska or WebM)"),
        (b"RIFF\0\0\0\0AVI LIST", "", "video", "a video (AVI)"),
        ((b"\x47" + bytes(187)) * 3, ".ts", "video", "a video (MPEG)"),
        (box(b"crx "), "", "media", "a camera's raw photo"),
        (FILES["lzw.tif"], ".DNG", "media", "a camera's raw photo"),
        (tiff((254, 1), (50706, 1)), "", "media", "a camera's raw photo"),
        (tiff((259, 34713)), "", "media", "a camera's raw photo"),
        (b"II*\0\x10\0\0\0CR\2\0", "", "media", "a camera's raw photo"),
        (b"\xff\x0a\xfa\x7f", "", "media", "a JPEG XL file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "", "media", "a JPEG XL file"),
        (b"8BPS\0\1", "", "media", "a Photoshop file"),
        (b"\xef\xbb\xbf \n<?xml version='1.0'?><svg/>", "", "media", "an SVG drawing"),
        (b"%PDF-1.7\n", "", "media", "a PDF document"),
        (b"\r\n\r\n%PDF-1.7\n", "", "media", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", ".eps", "media", "a PostScript file"),
        (encode(RGB, "ICO"), "", "media", "a Windows icon"),
        (encode(RGB, "ICNS"), "", "media", "an icon of macOS"),
        (encode(RGB, "DDS"), "", "media", "a texture"),
        (encode(RGB, "SGI"), "", "media", "an SGI picture"),
        (encode(RGB, "TGA"), ".tga", "media", "a TGA picture"),
        (encode(RGB, "PCX"), ".pcx", "media", "a PCX picture"),
        (b"v/1\x01\2\0\0\0", ".exr", "media", "a high-dynamic-range picture"),
        (encode(RGB.convert("1"), "XBM"), "", "media", "an X11 picture"),
        # what holds pictures, or anything
        (archive(), "", "shard", "a tar file"),
        (without_mark(archive()), "", "shard", "a tar file"),
        (b"PAR1\x15\4", "", "shard", "a Parquet file"),
        (archive(".zip"), ".docx", "archive", "a ZIP archive"),
        (gzip.compress(archive()), ".tgz", "archive", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "", "archive", "a 7z archive"),
        (b"Rar!\x1a\x07\1\0", "", "archive", "a RAR archive"),
        # neither
        (b"image,label\na.png,safe\n", ".csv", "text", "text"),
        ("Grüße: ".encode() * 700, "", "text", "text"),
        ("Grüße aus Köln".encode("latin-1"), "", "text", "text"),
        ("text".encode("utf-16"), "", "text", "text"),
        (b"BMW builds cars", "", "text", "text"),
        (b"P1 is the first place\n", "", "text", "text"),
        (b"the free world", "", "text", "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", ".png", "other", "a Git LFS pointer"),
        (b"\0\5\x16\7\0\2", ".jpg", "other", "what macOS keeps beside a file"),
        (b"ID3\3\0", ".mp3", "other", "sound"),
        (box(b"M4A ", b"isom"), "", "other", "sound"),
        (encode(RGB, "TGA"), "", "other", "a file of no known format"),
        (bytes(range(256)), "", "other", "a file of no known format"),
    ],
)
def test_kinds(head, suffix, name, what):
    kind = kind_of(head[:HEAD], suffix)
    assert (kind.name, kind.what) == (name, what)
    assert bool(kind.advice) == (name in ("media", "video"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_whatever_pillow_opens_claims_to_be_a_picture(name, data):
    damaged = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, min(63, len(damaged) - 1)))
        damaged[where] = data.draw(st.integers(0, 255))
    try:
        with warnings.catch_warnings(action="ignore"):
            Image.open(io.BytesIO(damaged), formats=FORMATS).close()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return
    assert kind_of(bytes(damaged[:HEAD])).name in ("picture", "media")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_of_some_kind(data):
    assert kind_of(data).what
