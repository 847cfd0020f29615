"""What the tests of engines share: the names of tiny families, and a picture."""

from __future__ import annotations

import numpy as np
import tiny_models

from safejudge.types import Picture

FAMILIES = tuple(tiny_models.BUILDERS)
BATCH = 4
"""Small, so that every list of a test spans several batches."""


def picture(seed: int, height: int = 40, width: int = 56) -> Picture:
    """A coloured checkerboard with some noise."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    pixels = np.kron(tiles, np.ones((8, 8, 1), dtype=np.uint8))
    return Picture.of(pixels ^ random.integers(0, 8, pixels.shape, dtype=np.uint8))
