"""Pictures -> squares of numbers, as the authors of score models made them.

Takes PIL images; gives a float32 tensor (pictures, 3, side, side), normalised as for CLIP. The
processors of transformers cut out the middle a pixel elsewhere, or do not pad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from PIL import Image

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue: what CLIP was trained with."""


_LONGEST = 256
"""Times that a picture may be as long as wide: in its middle there is next to nothing of the rest,
and scaled up whole it fills the memory."""


def middle_square(image: Image.Image, side: int) -> torch.Tensor:
    """Scale the shorter edge to `side` (bicubic) and cut out the middle; in [0, 1].

    Raises `ValueError` for a picture more than `_LONGEST` times as long as wide.
    """
    from PIL import Image

    short = min(image.size)
    if max(image.size) > _LONGEST * short:
        raise ValueError(f"a picture of {image.width} x {image.height} has no middle")
    wide, high = (side * edge // short for edge in image.size)
    left, top = (round((edge - side) / 2) for edge in (wide, high))
    scaled = image.resize((wide, high), Image.Resampling.BICUBIC)
    return _numbers(scaled.crop((left, top, left + side, top + side)))


def padded_square(image: Image.Image, side: int) -> torch.Tensor:
    """Scale the longer edge to `side` (bicubic) and pad with black; in about [0, 1].

    Raises `ValueError` for a picture so narrow that nothing would be left of it.
    """
    from torch.nn import functional

    pixels: torch.Tensor = _numbers(image)
    high, wide = (round(edge * side / max(image.size)) for edge in (image.height, image.width))
    if min(high, wide) < 1:
        raise ValueError(f"a picture of {image.width} x {image.height} has no width at {side}")
    if max(image.size) != side:
        pixels = functional.interpolate(
            pixels[None], (high, wide), mode="bicubic", align_corners=False, antialias=True
        )[0]
    across, down = side - wide, side - high
    edges = (across // 2, across - across // 2, down // 2, down - down // 2)
    padded: torch.Tensor = functional.pad(pixels, edges)
    return padded


def normalised(squares: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack squares, each colour less its mean and divided by its deviation."""
    import torch

    mean, deviation = (torch.tensor(row).reshape(3, 1, 1) for row in (MEAN, DEVIATION))
    return (torch.stack(list(squares)) - mean) / deviation


def _numbers(image: Image.Image) -> torch.Tensor:
    """Pixels as a float32 tensor (3, height, width) in [0, 1]."""
    import torch

    return torch.from_numpy(np.asarray(image.convert("RGB"), np.float32) / 255).permute(2, 0, 1)
