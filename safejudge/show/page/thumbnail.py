"""The picture that was judged -> a small one for a page, with the boxes that were found in it.

Takes decoded images and what was found in them; gives text that an `<img>` can hold, bounded
however large the picture was, and places in per cent. Knows no HTML.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from safejudge.types import Box, ImageInput, Picture, Result, RuleVerdict

_SIDE = 200
"""Pixels of the screen that a picture fills at most."""
_DRAWN = 128
"""A picture without a longer side is drawn pixel by pixel, as often enlarged as it fits."""
_NAMED = 3
"""So many boxes, the surest, have their names beside them; more would hide the picture."""
_BYTES = 11_000
"""Of a picture's file; a third more as text."""
_SHRINK = ((320, 85), (320, 65), (256, 60), (160, 50), (96, 40))
"""Longest sides and JPEG qualities that are tried until a picture is small enough; more pixels than
it fills when small, for when it is looked at closely."""


def deciding_picture(result: Result, image: ImageInput) -> Picture | None:
    """Return the frame, on the background, that the worst rule was judged by; else the first.

    None where that frame is not among those at hand.
    """
    rules = () if isinstance(result, Failure) else result.rules.values()
    for outcome in ("violated", "undecided"):
        if deciding := [verdict for verdict in rules if verdict.outcome == outcome]:
            shown = (*image.pictures, *image.together)
            pairs = ((verdict, picture) for verdict in deciding for picture in shown)
            return next((picture for pair, picture in pairs if judged_by(pair, picture)), None)
    return image.pictures[0]


def judged_by(verdict: RuleVerdict, picture: Picture) -> bool:
    """Whether this is the frame, on the background, that a verdict is about."""
    return (verdict.frame, verdict.background) == (picture.frame, picture.background)


class Mark(NamedTuple):
    """A box over a picture; places and sizes in per cent of it."""

    box: Box
    """What it is."""
    left: float
    """Of its left edge."""
    top: float
    """Of its upper edge."""
    width: float
    """Of the box."""
    height: float
    """Of the box."""
    named: bool
    """Whether it is one of the surest, which have their names beside them."""


class Thumbnail(NamedTuple):
    """One picture as it stands on a page."""

    source: str
    """A data URI."""
    width: int
    """In pixels of the screen."""
    height: int
    """The same."""
    drawn: bool
    """Whether each of its pixels is to be seen as a square."""
    description: str
    """Which frame, on which background; often empty."""
    marks: list[Mark]
    """What a detector or a program found in it."""

    @staticmethod
    def of(
        picture: Picture, verdicts: Sequence[RuleVerdict], found: Iterable[Box] = ()
    ) -> Thumbnail:
        """Shrink a picture, and place the boxes that these verdicts found in it, and others."""
        height, width, _ = picture.pixels.shape
        drawn = max(width, height) <= _DRAWN
        factor = _SIDE // max(width, height) if drawn else min(1, _SIDE / max(width, height))
        descriptions = [] if picture.frame is None else [f"frame {picture.frame} (the first is 0)"]
        descriptions += [] if picture.background is None else [f"on {picture.background}"]
        boxes = dict.fromkeys(
            box
            for verdict in verdicts
            if judged_by(verdict, picture)
            for leaf in verdict.preconditions
            for box in leaf.seen
        ) | dict.fromkeys(found)
        return Thumbnail(
            source=data_uri(picture.pixels),
            width=max(1, round(width * factor)),
            height=max(1, round(height * factor)),
            drawn=drawn,
            description=", ".join(descriptions),
            marks=_marks(list(boxes), width, height),
        )


def _marks(boxes: Sequence[Box], width: int, height: int) -> list[Mark]:
    """Place boxes over a picture of this size; the surest last, so that nothing covers them."""
    surest = sorted(boxes, key=lambda box: -box.confidence)
    marks = [_mark(box, width, height, named=n < _NAMED) for n, box in enumerate(surest)]
    return marks[::-1]


def _mark(box: Box, width: int, height: int, *, named: bool) -> Mark:
    left, top = 100 * box.left / width, 100 * box.top / height
    right, bottom = 100 * box.right / width, 100 * box.bottom / height
    return Mark(box, left, top, right - left, bottom - top, named)


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Make a data URI of at most about 15 kB: PNG for small drawings, else JPEG."""
    image = Image.fromarray(pixels)
    if max(image.size) <= _DRAWN:
        png = _encoded(image, "PNG", 0)
        if len(png) <= _BYTES:
            return _uri("png", png)
    return _uri("jpeg", small_jpeg(pixels))


def small_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Make a JPEG of at most about 11 kB."""
    image = Image.fromarray(pixels)
    for side, quality in _SHRINK:
        image.thumbnail((side, side))
        small = _encoded(image, "JPEG", quality)
        if len(small) <= _BYTES:
            break
    return small


def _encoded(image: Image.Image, form: str, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, quality=quality, optimize=True)
    return stream.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
