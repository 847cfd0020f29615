"""The views of a picture: without some regions, or nothing but one. Pure.

Takes a picture and boxes; gives another `Picture`, whose digest is that of its own pixels, so no
cache can take one view for another. The full view is the picture itself; `no_image` is a probe
without a picture (`questions.prior_probe`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from safejudge.types import Box, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

GREY = 128
"""The flat fill, and what a region without surroundings is filled with."""
RING = 0.15
"""Width of the ring around a box whose mean is its fill, as a share of the box's longer side."""
MARGIN = 1.0
"""What a crop shows on each side beside the region, in longer sides of the region."""


def region_removed(
    picture: Picture, boxes: Sequence[Box], fill: Literal["surround", "grey"]
) -> Picture:
    """Fill every box: with the mean colour of a ring around it, or with mid-grey.

    The paper removes the region and does not say what is put in its place (sec. 3.4).
    """
    pixels = picture.pixels.copy()
    inside = _covered(picture, boxes)
    for box in boxes:
        colour = _around(picture.pixels, box, inside) if fill == "surround" else GREY
        pixels[box.top : box.bottom, box.left : box.right] = colour
    return Picture.of(pixels, picture.frame, picture.background)


def region_crop(picture: Picture, boxes: Sequence[Box]) -> Picture:
    """Cut out the boxes with `MARGIN` around them, as far as the picture reaches."""
    left, right = min(b.left for b in boxes), max(b.right for b in boxes)
    top, bottom = min(b.top for b in boxes), max(b.bottom for b in boxes)
    border = round(MARGIN * max(right - left, bottom - top))
    cut = picture.pixels[
        max(0, top - border) : bottom + border, max(0, left - border) : right + border
    ]
    return Picture.of(cut, picture.frame, picture.background)


def mirrored(picture: Picture) -> Picture:
    """Exchange left and right."""
    return Picture.of(
        np.ascontiguousarray(picture.pixels[:, ::-1]), picture.frame, picture.background
    )


def covered_share(picture: Picture, boxes: Sequence[Box]) -> float:
    """Share of the picture's area that the boxes cover together, in [0, 1]."""
    return float(_covered(picture, boxes).mean())


def is_small(picture: Picture, boxes: Sequence[Box], area: float) -> bool:
    """Whether the boxes cover less than this share of the picture together."""
    return covered_share(picture, boxes) < area


def _covered(picture: Picture, boxes: Sequence[Box]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(picture.pixels.shape[:2], dtype=np.bool_)
    for box in boxes:
        inside[box.top : box.bottom, box.left : box.right] = True
    return inside


def _around(
    pixels: npt.NDArray[np.uint8], box: Box, inside: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8] | int:
    """Mean colour of the ring around a box, without what other boxes cover."""
    width = max(1, round(RING * max(box.right - box.left, box.bottom - box.top)))
    rows = slice(max(0, box.top - width), box.bottom + width)
    columns = slice(max(0, box.left - width), box.right + width)
    ring = pixels[rows, columns][~inside[rows, columns]]
    if not len(ring):
        return GREY
    mean: npt.NDArray[np.uint8] = ring.mean(axis=0).round().astype(np.uint8)
    return mean
