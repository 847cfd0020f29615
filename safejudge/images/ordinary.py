"""Files whose decoding takes little time and memory for certain: small JPEG and PNG stills.

Takes the bytes of a file; says whether it is one. Nothing is decoded: only the segments before the
pixels are stepped over. What cannot be followed is not ordinary.
"""

from __future__ import annotations

import struct

MAX_PIXELS = 16_000_000
"""Decoding so many pixels takes less than a second, in either format."""
MAX_BYTES = 32 * 2**20
_MAX_SCANS = 32
"""Of a progressive JPEG; encoders write about ten. A thumbnail in it may count as some."""
_MAX_SEGMENTS = 200
_MAX_CHUNKS = 5_000
"""Pillow steps over them one by one, in Python."""
_MAX_EXIF = 2**16
_MAX_TAGS = 256
"""Pillow copies what each tag points at, and all of them may point at the same bytes."""
_MAX_PROFILE = 2**20
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive, with Huffman codes."""
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment."""
_ANIMATED = (b"acTL", b"fcTL", b"fdAT")


def is_ordinary(data: bytes) -> bool:
    """Whether these bytes can be decoded here and now, without anybody watching the time."""
    if len(data) > MAX_BYTES:
        return False
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _is_ordinary_jpeg(data)
        return data.startswith(b"\x89PNG\r\n\x1a\n") and _is_ordinary_png(data)
    except (struct.error, IndexError):  # it ends too early
        return False


def _is_ordinary_jpeg(data: bytes) -> bool:
    pixels = exif = profile = 0
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:  # filling
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            small = 0 < pixels <= MAX_PIXELS and profile <= _MAX_PROFILE and exif <= _MAX_EXIF
            return small and data.count(b"\xff\xda") <= _MAX_SCANS
        (length,) = struct.unpack_from(">H", data, at + 2)
        content = data[at + 4 : at + 2 + length]
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", content, 1)
            pixels = max(pixels, height * width)
        elif 0xC3 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return False
        elif marker == 0xE1 and content.startswith(b"Exif"):
            exif += length
            if not _has_few_tags(content[6:]):
                return False
        elif marker == 0xE2:
            profile += length
        at += 2 + length
    return False


def _is_ordinary_png(data: bytes) -> bool:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR" or not 0 < width * height <= MAX_PIXELS:
        return False
    at = 8
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _ANIMATED or (kind == b"IHDR" and at > 8):
            return False
        if kind == b"eXIf":
            exif = data[at + 8 : at + 8 + length]
            if length > _MAX_EXIF or not _has_few_tags(exif.removeprefix(b"Exif\0\0")):
                return False
        at += 12 + length
        if kind == b"IEND" or at >= len(data):
            return True
    return False


def _has_few_tags(exif: bytes) -> bool:
    """Whether the first directory of an EXIF block is a short one."""
    order = ">" if exif[:1] == b"M" else "<"
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    return bool(struct.unpack_from(f"{order}H", exif, start)[0] <= _MAX_TAGS)
