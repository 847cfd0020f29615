"""Frames of one image -> which of them look the same as an earlier one. Pure.

Two frames look the same where no small block of their pixels differs by more than noise: what
appears in a corner is a difference, however much of the rest is equal. It knows no questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from safejudge.types import Picture

BLOCK = 8
"""Pixels of a block's side."""
NOISE = 4.0
"""Of 255: what a block may differ by on average, over its pixels and colours; grain and the
artefacts of a codec differ by about 2."""
_EARLIER = 8
"""Frames that one is compared with at most: those that were kept last."""


def look_alike(one: Picture, other: Picture) -> bool:
    """Whether two frames, on the same background, look the same."""
    if one.pixels.shape != other.pixels.shape or one.background != other.background:
        return False
    return one.digest == other.digest or bool(_blocks(one.pixels, other.pixels).max() <= NOISE)


def same_looks(pictures: Sequence[Picture]) -> list[Picture | None]:
    """For each frame the earlier one that it looks the same as; None for what is new.

    Each is compared with those that are new themselves, so nothing drifts along a chain of frames.
    """
    kept: list[Picture] = []
    found: list[Picture | None] = []
    for picture in pictures:
        same = next((k for k in reversed(kept[-_EARLIER:]) if look_alike(k, picture)), None)
        found.append(same)
        if same is None:
            kept.append(picture)
    return found


def _blocks(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean differences of blocks; the last of a row or column may be narrower."""
    # Both ways round in bytes, for a difference of whole numbers would take eight times as much.
    apart = np.maximum(one, other) - np.minimum(one, other)
    height, width = apart.shape[:2]
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    sums = np.add.reduceat(apart.sum(axis=2, dtype=np.uint32), rows, axis=0)
    sums = np.add.reduceat(sums, columns, axis=1)
    sizes = np.diff([*rows, height])[:, None] * np.diff([*columns, width])[None, :] * 3
    means: npt.NDArray[np.float64] = sums / sizes
    return means
