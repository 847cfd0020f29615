"""What a file is, by its first bytes: a picture, something that holds pictures, or neither.

Takes the beginning of a file, and perhaps its suffix; gives a `Kind`. Nothing is decoded or
opened, so a kind is what the file claims to be: whether it is whole, only decoding tells. A suffix
counts only where the bytes of two kinds begin alike.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

HEAD = 4096
"""So many bytes are enough for every kind."""


class Kind(NamedTuple):
    """What a file is."""

    name: Literal[
        "picture", "video", "media", "shard", "archive", "text", "empty", "other",
    ]  # fmt: skip
    """`picture`: of a format that is read here. `video`: read where PyAV is. `media`: something to
    look at that is not read here. `shard`: a tar or Parquet file. `archive`: packed files, which
    are not looked into."""
    what: str
    """The same for people, as a noun: "a PNG picture", "a ZIP archive"."""
    advice: str = ""
    """What to do with it; only of media."""


_PNG_FIRST = "convert it to PNG first"
_RENDER = "render it to PNG first"
_EXPORT = "export it as PNG first"
_AS_IMAGES = "hand over its frames as images"
_FRAMES = f"pip install 'safejudge[video]', or {_AS_IMAGES}"
_DEVELOP = "develop it to JPEG, PNG or TIFF first"
_HEIC = Kind(
    "media",
    "a HEIC/HEIF photo",
    "convert it to JPEG or PNG, or open it with the pillow-heif package and hand over the PIL "
    "image",
)
_VIDEO = Kind("video", "a video (MP4 or MOV)", _FRAMES)
_RAW = Kind("media", "a camera's raw photo", _DEVELOP)
_SVG = Kind("media", "an SVG drawing", _RENDER)
_TAR = Kind("shard", "a tar file")
_TEXT = Kind("text", "text")
_OTHER = Kind("other", "a file of no known format")

_PICTURES = (
    (rb"\x89PNG", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF.{4}WEBP", "WebP"),
    (rb"II\*\x00|MM\x00\*|II\x00\*|MM\*\x00|II\+\x00|MM\x00\+", "TIFF"),
    (rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "BMP"),
    (rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"P([1-6f]|0CMYK|yP|yRGBA|yCMYK)\s(\s|#[^\r\n]*[\r\n])*([\d#+-]|\Z)", "PPM"),
    (rb"qoif", "QOI"),
)
"""How the files begin that Pillow is let at, but for AVIF; see `_boxed`."""

_MEDIA = (
    (rb".{4}(moov|mdat|wide|pnot)|\x00.{3}(free|skip)", _VIDEO.what, _FRAMES),
    (rb"\s{0,1023}%PDF", "a PDF document", "render its pages to PNG first"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file", _RENDER),
    (rb"8BPS", "a Photoshop file", _EXPORT),
    (rb"gimp xcf", "a GIMP file", _EXPORT),
    (rb"\x00\x00\x01\x00[^\x00]", "a Windows icon", _PNG_FIRST),
    (rb"\x00\x00\x02\x00[^\x00]\x00", "a Windows cursor", _PNG_FIRST),
    (rb"icns", "an icon of macOS", _PNG_FIRST),
    (rb"\xff\x0a|.{4}JXL ", "a JPEG XL file", _PNG_FIRST),
    (rb"II\xbc", "a JPEG XR file", _PNG_FIRST),
    (rb"\x97JB2", "a JBIG2 picture", _PNG_FIRST),
    (rb"BPG\xfb|FLIF|farbfeld|[\x8a\x8b][MJ]NG", "a picture of a rare format", _PNG_FIRST),
    (rb"v/1\x01|#\?RADIANCE|#\?RGBE|PF\s", "a high-dynamic-range picture", _PNG_FIRST),
    (rb"DDS |\xabKTX", "a texture", _PNG_FIRST),
    (rb"SDPX|XPDS|\x80\x2a\x5f\xd7", "a scanned film frame (DPX or Cineon)", _PNG_FIRST),
    (rb"SIMPLE  =", "a FITS picture", _PNG_FIRST),
    (rb".{128}DICM", "a medical picture (DICOM)", _PNG_FIRST),
    (rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]", "an SGI picture", _PNG_FIRST),
    (rb"\x59\xa6\x6a\x95", "a Sun raster picture", _PNG_FIRST),
    (rb"FORM.{4}(ILBM|PBM )", "an Amiga picture", _PNG_FIRST),
    (rb"P7\n", "a PAM picture", _PNG_FIRST),
    (rb"AT&TFORM", "a DjVu document", "render its pages to PNG first"),
    (rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", "a Windows metafile", _RENDER),
    (rb"/\* XPM \*/|#define \S+_width \d", "an X11 picture", _PNG_FIRST),
    (rb"FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\x00|FOVb|\x00MRM", _RAW.what, _DEVELOP),
    (rb"\x1aE\xdf\xa3", "a video (Matroska or WebM)", _FRAMES),
    (rb"RIFF.{4}AVI ", "a video (AVI)", _FRAMES),
    (rb"RIFF.{4}ACON", "an animated cursor", _AS_IMAGES),
    (rb"\x00\x00\x01[\xb3\xba]|\x47.{187}\x47.{187}\x47", "a video (MPEG)", _FRAMES),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video (WMV)", _FRAMES),
    (rb"FLV\x01", "a video (Flash)", _FRAMES),
    (rb"[FCZ]WS[\x01-\x1f\x21-\x32]", "a Flash film", _AS_IMAGES),
    (rb"\.RMF", "a video (RealMedia)", _FRAMES),
    (rb"OggS.{24,80}?(theora|video)", "a video (Ogg)", _FRAMES),
)

_ARCHIVES = (
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a ZIP archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"BZh[1-9]", "a bzip2 archive"),
    (rb"\xfd7zXZ\x00", "an xz archive"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (rb"\x04\x22\x4d\x18", "an LZ4 archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (rb"Rar!\x1a\x07", "a RAR archive"),
    (rb"MSCF|LZIP|!<arch>|07070[127]|\x1f[\x9d\xa0]|.{2}-lh.-", "an archive"),
)

COMPANION = "what macOS keeps beside a file"
"""A file whose name is that of another file with `._` before it."""

_OTHERS = (
    (rb"\x00\x05\x16[\x00\x07]", COMPANION),
    (rb"\x00\x00\x00\x01Bud1", "what macOS keeps of a folder"),
    (rb"version https://git-lfs", "a Git LFS pointer"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"ARROW1|\xff\xff\xff\xff.{4}\x10\x00\x00\x00", "an Arrow file"),
    (rb"SQLite format 3", "a database"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"RIFF.{4}WAVE|ID3|fLaC|OggS|FORM.{4}AIF|MThd|\xff[\xfb\xf3\xf2]", "sound"),
    (rb"\x7fELF|MZ|\xca\xfe\xba\xbe|[\xcf\xce]\xfa\xed\xfe", "a program"),
    (rb"\x00+\Z", "nothing but zeros"),
)

_RAW_SUFFIXES = frozenset(
    f".{maker}"
    for group in (
        ("3fr", "arw", "cr2", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos", "nef"),
        ("nrw", "pef", "rwl", "sr2", "srf", "srw"),
    )
    for maker in group
)
"""Raw photos that begin as a TIFF does; what Pillow shows of them is a preview."""
_DNG_VERSION = 50706
_CAMERA_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 34892, 65000, 65535})
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_SOUNDS = frozenset({b"M4A ", b"M4B ", b"M4P "})


def kind_of(head: bytes, suffix: str = "") -> Kind:
    """Tell what a file is whose first bytes are `head`: `HEAD` of them, or all of a shorter file.

    `suffix`, such as ".dng", is looked at for raw photos and TGA pictures, whose bytes begin as
    others do, or like nothing.
    """
    if not head:
        return Kind("empty", "an empty file")
    for pattern, what in _PICTURES:
        if _begins(pattern, head):
            raw = what == "TIFF" and _is_raw(head, suffix)
            return _RAW if raw else Kind("picture", f"a {what} picture")
    if head[4:8] == b"ftyp":
        return _boxed(head)
    for pattern, what, advice in _MEDIA:
        if _begins(pattern, head):
            return Kind("video" if what.startswith("a video") else "media", what, advice)
    return _packed(head) or _unpacked(head, suffix.lower())


def _begins(pattern: bytes, head: bytes) -> bool:
    return re.match(pattern, head, re.DOTALL) is not None


def _packed(head: bytes) -> Kind | None:
    """Tell what holds other files; None for what does not."""
    if head.startswith((b"PAR1", b"PARE")):
        return Kind("shard", "a Parquet file")
    if _is_tar(head):
        return _TAR
    return next((Kind("archive", what) for p, what in _ARCHIVES if _begins(p, head)), None)


def _unpacked(head: bytes, suffix: str) -> Kind:
    for pattern, what in _OTHERS:
        if _begins(pattern, head):
            return Kind("other", what)
    if _is_text(head):
        markup = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
        return _SVG if markup and b"<svg" in head[:2048].lower() else _TEXT
    if suffix in (".tga", ".icb", ".vda", ".vst"):
        return Kind("media", "a TGA picture", _PNG_FIRST)
    if suffix == ".pcx" and head[0] == 10:
        return Kind("media", "a PCX picture", _PNG_FIRST)
    return _OTHER


def _boxed(head: bytes) -> Kind:
    """Tell apart what begins with an `ftyp` box, by its brands: AVIF, HEIC, sound, raw, video."""
    size = int.from_bytes(head[:4], "big")
    main, brands = head[8:12], head[8 : min(max(size, 12), 512)]
    named = {main, *(brands[at : at + 4] for at in range(8, len(brands), 4))}
    if named & _AVIF:
        return Kind("picture", "an AVIF picture")
    if main == b"crx ":
        return _RAW
    if named & _HEIF:
        return _HEIC
    return Kind("other", "sound") if main in _SOUNDS else _VIDEO


def _is_raw(head: bytes, suffix: str) -> bool:
    """Whether what begins like a TIFF is a raw photo, by its suffix or its first directory."""
    if suffix.lower() in _RAW_SUFFIXES or head[8:10] == b"CR":
        return True
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"
    start = int.from_bytes(head[4:8], order)
    count = int.from_bytes(head[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * count, len(head)), 12):
        tag = int.from_bytes(head[at : at + 2], order)
        value = int.from_bytes(head[at + 8 : at + 10], order)
        if tag == _DNG_VERSION or (tag == 259 and value in _CAMERA_COMPRESSIONS):
            return True
    return False


def _is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are the header of a tar: by its mark, else by its checksum."""
    if head[257:262] == b"ustar":
        return True
    if len(head) < 512 or head[0] == 0:
        return False
    written = re.fullmatch(rb"[ \x00]*([0-7]{1,8})[ \x00]*", head[148:156])
    signed = sum(head[:148]) + sum(head[156:512]) + 8 * ord(" ")
    return written is not None and int(written[1], 8) == signed


def _is_text(head: bytes) -> bool:
    """Whether the bytes are text: UTF-8, UTF-16 with its mark, or an older code of letters."""
    head = head[:HEAD]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return False
    letters = sum(byte < 0x80 for byte in head)
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A sign of several bytes may be cut in two at the end.
        return error.start >= len(head) - 3 or letters > 0.7 * len(head)
    return True
