"""Small files that cost their reader much: the worst that are known of each format.

Drawn here, of one colour mostly, and written by hand where no encoder writes such a thing. Each is
within the caps on bytes and pixels, or names the cap that it is over. `limits.py` reads them.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SIDE = 6320
"""Of a square of 39.9 million pixels."""
Image.MAX_IMAGE_PIXELS = None


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


# --- PNG ------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(row: int, rows: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(row)) for _ in range(rows))
    return packed + packer.flush()


def png(side: int, depth: int, colour: int, channels: int, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    data = zeros(1 + (side * channels * depth + 7) // 8, side)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def palette_png(first: int = 0) -> bytes:
    """Two half transparent colours: both backgrounds are looked at."""
    colours = chunk(b"PLTE", bytes([first, *range(1, 6)])) + chunk(b"tRNS", b"\x80\x80")
    return png(SIDE, 8, 3, 1, colours)


def deep_png() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return png(SIDE, 16, 6, 4, chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))


def chunks_png() -> bytes:
    return png(8, 8, 2, 3, chunk(b"juNK", b"") * 5_000_000)


def text_png() -> bytes:
    text = zlib.compress(bytes(1_000_000), 9)
    return png(8, 8, 2, 3, b"".join(chunk(b"zTXt", b"k%d\0\0" % i + text) for i in range(200)))


def apng(side: int, frames: int) -> bytes:
    data, sequence = zeros(1 + side * 4, side), 0
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header)]
    parts.append(chunk(b"acTL", struct.pack(">II", frames, 0)))
    for frame in range(frames):
        shown = struct.pack(">IIIIIHHBB", sequence, side, side, 0, 0, 1, 10, 1, 1)
        parts.append(chunk(b"fcTL", shown))
        sequence += 1
        if frame == 0:
            parts.append(chunk(b"IDAT", data))
        else:
            parts.append(chunk(b"fdAT", struct.pack(">I", sequence) + data))
            sequence += 1
    return b"".join([*parts, chunk(b"IEND", b"")])


# --- other formats --------------------------------------------------------------------------------


def jpeg(scans: int) -> bytes:
    """The last scan of a progressive JPEG, many times over."""
    whole = encoded(Image.new("L", (SIDE, SIDE)), "JPEG", quality=1, progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + scan * scans + b"\xff\xd9"


def exif_jpeg() -> bytes:
    whole = encoded(Image.new("RGB", (8, 8)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 65535) + b"Exif\0\0" + bytes(65527)
    return whole[:2] + segment * 900 + whole[2:]


def markers_jpeg() -> bytes:
    whole = encoded(Image.new("RGB", (8, 8)), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * 15_000_000 + whole[2:]


def gif(side: int, frames: int) -> bytes:
    one = encoded(Image.new("P", (side, side)), "GIF", transparency=0)
    colours = 13 + 3 * 2 ** ((one[10] & 7) + 1)
    picture = one[one.index(b"\x2c", colours) : -1]
    return one[:colours] + (b"\x21\xf9\x04\x09\x0a\0\0\0" + picture) * frames + b";"


def webp(width: int, height: int, frames: int) -> bytes:
    """Two frames in turn, so that no frame looks like the one before."""
    first, second = (Image.new("RGBA", (width, height), (i, 0, 0, 128)) for i in range(2))
    options = {"lossless": True, "method": 0, "duration": 20}
    whole = encoded(first, "WEBP", save_all=True, append_images=[second], **options)
    at, parts = 12, []
    while at < len(whole):
        size = 8 + (struct.unpack_from("<I", whole, at + 4)[0] + 1) // 2 * 2
        parts.append(whole[at : at + size])
        at += size
    moving = [part for part in parts if part.startswith(b"ANMF")]
    rest = [part for part in parts if not part.startswith(b"ANMF")]
    body = b"WEBP" + b"".join([*rest, *(moving[frame % 2] for frame in range(frames))])
    return b"RIFF" + struct.pack("<I", len(body)) + body


def still_webp() -> bytes:
    image = Image.new("RGBA", (16383, 2440), (1, 2, 3, 100))
    return encoded(image, "WEBP", lossless=True, method=0)


def qoi(side: int) -> bytes:
    """One operation for each pixel, which Pillow's decoder takes one by one."""
    return b"qoif" + struct.pack(">IIBB", side, side, 3, 0) + b"\x7f" * side**2 + bytes(7) + b"\1"


def pgm(top: int, megapixels: int) -> bytes:
    width = 2 if top > 255 else 1
    return b"P5 2000 %d %d\n" % (megapixels * 500, top) + bytes(megapixels * 1_000_000 * width)


def plain_ppm() -> bytes:
    return b"P3 2000 5000 255\n" + b"0 " * 30_000_000


def tiles_jp2() -> bytes:
    image = Image.new("RGBA", (SIDE, SIDE))
    return encoded(image, "JPEG2000", tile_size=(64, 64), num_resolutions=1)


def avif() -> bytes:
    return encoded(Image.new("RGB", (SIDE, SIDE)), "AVIF", speed=10, quality=1)


def tiff(pages: int, side: int, **options: Any) -> bytes:
    page = Image.new("RGBA", (side, side))
    return encoded(page, "TIFF", save_all=True, append_images=[page] * (pages - 1), **options)


def bmp() -> bytes:
    row = b"\xff\0" * (SIDE // 255) + bytes([SIDE % 255, 0]) + b"\0\0"
    data = row * SIDE + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + header + bytes(1024) + data


PICTURES: Mapping[str, Callable[[], bytes]] = {
    "JPEG, 190 scans": lambda: jpeg(180),
    "JPEG, 5,000 scans": lambda: jpeg(5_000),
    "JPEG, 900 blocks of EXIF": exif_jpeg,
    "JPEG, 15 million markers": markers_jpeg,
    "PNG, half transparent palette": palette_png,
    "PNG, 16 bits, alpha, colour profile": deep_png,
    "PNG, 5 million chunks": chunks_png,
    "PNG, 200 texts of 1 MB": text_png,
    "APNG, 8 x 20 Mpx": lambda: apng(4470, 8),
    "APNG, 24 x 40 Mpx": lambda: apng(SIDE, 24),
    "APNG, 4,999 frames of 400 x 400": lambda: apng(400, 4_999),
    "GIF, 8 x 20 Mpx": lambda: gif(4470, 8),
    "GIF, 24 x 40 Mpx": lambda: gif(SIDE, 24),
    "GIF, 20,000 frames": lambda: gif(1, 20_000),
    "WebP, 40 Mpx": still_webp,
    "WebP, 8 x 20 Mpx": lambda: webp(4470, 4470, 8),
    "WebP, 24 x 40 Mpx": lambda: webp(16383, 2440, 24),
    "AVIF, 40 Mpx": avif,
    "QOI, 8 Mpx, each pixel for itself": lambda: qoi(2828),
    "QOI, 40 Mpx, each pixel for itself": lambda: qoi(SIDE),
    "PGM to 254, 40 Mpx": lambda: pgm(254, 40),
    "PGM to 65534, 32 Mpx": lambda: pgm(65534, 32),
    "PPM in words, 10 Mpx": plain_ppm,
    "JPEG 2000, tiles of 64": tiles_jp2,
    "TIFF, LZMA, 40 Mpx": lambda: tiff(1, SIDE, compression="lzma"),
    "TIFF, 8 pages of 20 Mpx": lambda: tiff(8, 4470, compression="tiff_adobe_deflate"),
    "TIFF, 3,000 pages": lambda: tiff(3_000, 1),
    "BMP, run lengths": bmp,
}
"""By name, what makes a file."""


# --- shards ---------------------------------------------------------------------------------------


def small_png() -> bytes:
    return encoded(Image.new("RGB", (8, 8)), "PNG")


def tar_of(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar of members: name, content, type."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, kind in members:
            about = tarfile.TarInfo(name)
            about.size, about.type = len(data), kind
            tar.addfile(about, io.BytesIO(data))
    return stream.getvalue()


def tars() -> Iterator[tuple[str, bytes]]:
    picture = ("a.png", small_png(), tarfile.REGTYPE)
    nested = tar_of(picture)
    for _ in range(40):
        nested = tar_of(("b.tar", nested, tarfile.REGTYPE), picture)
    yield "tar in a tar, 40 deep", nested
    extended = ("x", b"13 comment=x\n", tarfile.XHDTYPE)
    yield "tar, 100,000 headers for one member", tar_of(*[extended] * 100_000, picture)
    yield "tar, a number of 900,000 digits", tar_of(("x", b"9" * 900_000, tarfile.XHDTYPE), picture)
    yield "tar, 200,000 members", tar_of(*[picture] * 200_000)
    size = f"{2**80}".encode()
    record = b"%d size=%s\n" % (len(size) + 9, size)
    yield "tar, a member of 2^80 bytes", tar_of(("x", record, tarfile.XHDTYPE), picture)


def write_tables(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write Parquet files and yield their names and paths."""
    import pyarrow as pa  # noqa: PLC0415 - not everybody has it
    from pyarrow import parquet  # noqa: PLC0415 - the same

    picture, kind = small_png(), pa.binary()
    large = pa.array([picture + bytes(50 * 2**20)], kind)
    columns = {
        "Parquet, 20 million rows of nothing": pa.nulls(20_000_000, kind),
        "Parquet, a cell of 1.5 GB": pa.array([bytes(1500 * 2**20)], kind),
        "Parquet, 1.2 GB in one of 1,000 cells": pa.array(
            [picture] * 500 + [bytes(1200 * 2**20)] + [picture] * 499, kind
        ),
        "Parquet, 50 MB in each of 200 rows": pa.DictionaryArray.from_arrays(
            pa.array([0] * 200, pa.int32()), large
        ),
        "Parquet, 3 million rows of one picture": pa.DictionaryArray.from_arrays(
            pa.array([0], pa.int32()).take(pa.array([0] * 3_000_000)), pa.array([picture], kind)
        ),
    }
    for number, (name, column) in enumerate(columns.items()):
        path = folder / f"{number}.parquet"
        parquet.write_table(
            pa.table({"image": column}),
            path,
            compression="zstd",
            row_group_size=20_000_000,
            use_dictionary=isinstance(column, pa.DictionaryArray),
            store_schema=False,
        )
        yield name, path
