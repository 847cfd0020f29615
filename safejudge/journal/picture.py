"""The small picture that a journal keeps of a judgment: a JPEG that says how large the whole was.

Boxes of a record are in pixels of the picture that was judged; to place them on a smaller one its
size has to be known. It stands in the comment of the file.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_QUALITY = 80
_LARGEST = 2**16
"""Bytes."""
_SMALLEST = 32
"""Pixels of a side below which nothing is made smaller."""
_OF = re.compile(rb"of ([1-9][0-9]{0,6})x([1-9][0-9]{0,6})")
_MEDIA = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """What is known of a small picture."""

    media: str
    """Its media type."""
    of: tuple[int, int] | None
    """Width and height of the picture that was judged; None where the file does not say."""


def shrunk(pixels: npt.NDArray[np.uint8], side: int) -> bytes:
    """Make a JPEG whose longer side has `side` pixels at most, or fewer where it grows too large.

    `pixels` are RGB.
    """
    image = Image.fromarray(pixels)
    width, height = image.size
    while True:
        image.thumbnail((side, side))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=_QUALITY, comment=f"of {width}x{height}")
        if stream.tell() <= _LARGEST or side < _SMALLEST:
            return stream.getvalue()
        side = side * 2 // 3


def kept_picture(content: bytes) -> KeptPicture | None:
    """Tell what a small picture is; None for what no browser should be handed as one."""
    try:
        with Image.open(io.BytesIO(content), formats=list(_MEDIA)) as image:
            media, comment = _MEDIA.get(image.format or ""), image.info.get("comment", b"")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    said = _OF.fullmatch(comment) if isinstance(comment, bytes) else None
    size = None if said is None else (int(said[1]), int(said[2]))
    return None if media is None else KeptPicture(media, size)
