"""Files are decoded in bounded time and memory, whatever is in them.

Takes the bytes of a file; gives what `decoding` makes of them. What is certain to be cheap
(`ordinary`) is decoded here, everything else in another process (`process`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from safejudge.images import child, decoding, process
from safejudge.images.ordinary import is_ordinary
from safejudge.images.sampling import KEEP_FACTOR
from safejudge.types import Frames, ImageInput, Picture

if TYPE_CHECKING:
    from threading import Event

    from safejudge.policy import Policy
    from safejudge.types import JSON

SECONDS, PIXELS_PER_SECOND = 10, 4_000_000
"""Seconds of a processor that a file may take: so many, and one for so many of
`Policy.max_pixels`; 20 by default."""
MEMORY, BYTES_PER_PIXEL = 2**30, 32
"""Bytes of addresses that the process may have: so many, and so many for each of
`Policy.max_pixels`; 2.2 GiB by default."""


def decode(data: bytes, name: str, policy: Policy, stop: Event | None = None) -> ImageInput:
    """Decode a file. Raises `ImageError`; also when `stop` is set meanwhile."""
    if is_ordinary(data):
        return decoding.decode(data, name, policy)
    return decode_apart(data, name, policy, stop)


def decode_apart(data: bytes, name: str, policy: Policy, stop: Event | None = None) -> ImageInput:
    """Decode a file in another process. Raises as `decode` does."""
    job = child.Job(
        name,
        {"job": "decode", "policy": policy.model_dump()},
        SECONDS + policy.max_pixels // PIXELS_PER_SECOND,
        MEMORY + BYTES_PER_PIXEL * policy.max_pixels,
        data,
    )

    def image(answer: child.Answer) -> ImageInput:
        pictures, frames = answer.header["pictures"], answer.header["frames"]
        if sum(map(_pixels, pictures)) > KEEP_FACTOR * policy.max_pixels:
            raise ValueError("too many pixels")
        return ImageInput(
            answer.header["id"],
            name,
            tuple(_picture(about, answer) for about in pictures),
            None if frames is None else Frames.model_validate(frames),
        )

    return process.POOL.run(job, image, stop)


def _pixels(about: JSON) -> int:
    height, width, _ = about["shape"]
    return int(height) * int(width)


def _picture(about: JSON, answer: child.Answer) -> Picture:
    pixels = np.empty(about["shape"], np.uint8)
    answer.fill(pixels.reshape(-1).data)
    pixels.setflags(write=False)
    return Picture(pixels, about["digest"], about["frame"], about["background"], about["label"])
