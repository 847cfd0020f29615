"""A region that was painted, and the region that is meant -> how well they overlap.

After GIR-Bench (arXiv 2510.11026), whose script also cleans the painted region and drops small
ones; here exact pixels count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

GREEN = (0, 255, 0)
"""What a region is painted in."""
NEAR = 100
"""Of each channel: a pixel no further off than this is painted."""
LIGHT = 127
"""A pixel of a mask that is lighter than this belongs to the region."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two regions lie, in pixels."""

    shared: int
    """Of both."""
    found: int
    """Of the region that was found or painted."""
    meant: int
    """Of the region that is meant."""

    @property
    def iou(self) -> float:
        """Shared over united area, in [0, 1]; 1 where both are empty."""
        united = self.found + self.meant - self.shared
        return self.shared / united if united else 1.0

    @property
    def precision(self) -> float | None:
        """Share of what was found that is meant; None where nothing was found."""
        return self.shared / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of what is meant that was found; None where nothing is meant."""
        return self.shared / self.meant if self.meant else None


def painted(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the green pixels of an H x W x 3 picture, as H x W truth values."""
    apart = np.abs(pixels.astype(np.int16) - np.array(GREEN, np.int16))
    return np.asarray((apart <= NEAR).all(axis=-1), dtype=np.bool_)


def region(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the light pixels of a mask, H x W x 3, as H x W truth values."""
    return np.asarray(pixels.mean(axis=-1) > LIGHT, dtype=np.bool_)


def is_black_and_white(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether a mask has no other colours."""
    return bool(((pixels == 0) | (pixels == 255)).all())


def resized(truth: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return a region in another size, each pixel that of the nearest one."""
    if truth.shape == (height, width):
        return truth
    image = Image.fromarray(truth.astype(np.uint8) * 255)
    sized = image.resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(np.asarray(sized) > LIGHT, dtype=np.bool_)


def overlap(found: npt.NDArray[np.bool_], meant: npt.NDArray[np.bool_]) -> Overlap:
    """Compare two regions; the one that was found is resized to the one that is meant."""
    sized = resized(found, *meant.shape)
    return Overlap(int((sized & meant).sum()), int(sized.sum()), int(meant.sum()))
