"""Pictures side by side, as one PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor


def pixels_of(pictures: Tensor) -> npt.NDArray[np.uint8]:
    """N x 3 x height x width in [0, 1] -> N x height x width x 3, uint8."""
    rounded: npt.NDArray[np.uint8] = (
        (pictures.detach() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    )
    return rounded


def save_grid(pictures: Tensor, file: Path, across: int, scale: int = 2) -> None:
    """Write pictures row by row, each `scale` times as large."""
    pixels = pixels_of(pictures)
    rows = [np.concatenate(pixels[i : i + across], axis=1) for i in range(0, len(pixels), across)]
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    size = (sheet.width * scale, sheet.height * scale)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize(size, Image.Resampling.NEAREST).save(file)
