"""Images as they were read: pixels for a model, or why there are none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from safejudge.types.base import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


LISTED = "listed"
"""The reason of a `Failure` that no model may be shown; it passes nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels as a model will see them: one frame on one background.

    Equality and hash go by `digest`, so a picture is a cheap dictionary key.
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    """Height x width x 3, RGB; not writeable."""
    digest: str
    """Sha256 (hex) of shape and pixels: exactly what is sent, never the source file."""
    frame: int | None = None
    """Index of the frame in an animated source."""
    background: Literal["white", "black"] | None = None
    """What transparent parts were composited on, if there were any."""
    label: str | None = None
    """What a model is told of it where several are shown in order: "after 1.0 s"."""
    parts: tuple[Picture, ...] = ()
    """Where several pictures of one thing are shown together: these, in order. `pixels` are then
    small copies of them in a row, for people."""

    @staticmethod
    def of(
        pixels: npt.NDArray[np.uint8],
        frame: int | None = None,
        background: Literal["white", "black"] | None = None,
        label: str | None = None,
    ) -> Picture:
        """Freeze an H x W x 3 uint8 array and compute its digest."""
        frozen = np.array(pixels, dtype=np.uint8, order="C", copy=True)
        if frozen.ndim != 3 or frozen.shape[2] != 3:
            raise ValueError(f"a picture is height x width x 3, not {frozen.shape}")
        frozen.setflags(write=False)
        digest = hashlib.sha256(f"{frozen.shape[0]}x{frozen.shape[1]}:".encode())
        digest.update(frozen.reshape(-1).data)
        return Picture(frozen, digest.hexdigest(), frame, background, label)

    @staticmethod
    def together(parts: tuple[Picture, ...]) -> Picture:
        """Put pictures of one thing together, to be shown with one question, in this order."""
        told = "\0".join(f"{part.digest} {part.label or ''}" for part in parts)
        digest = hashlib.sha256(f"together:{told}".encode()).hexdigest()
        background = next((p.background for p in parts if p.background is not None), None)
        return Picture(_side_by_side(parts), digest, None, background, parts=parts)

    @property
    def shown(self) -> tuple[Picture, ...]:
        """What goes with a question: the picture, or its parts."""
        return self.parts or (self,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


_ROW = 320
"""Pixels that the longer side of a picture has at most where several lie in a row."""


def _side_by_side(parts: Sequence[Picture]) -> npt.NDArray[np.uint8]:
    """Lay small copies of pictures in a row, from the top, on grey."""
    steps = [-(-max(part.pixels.shape[:2]) // _ROW) for part in parts]
    small = [part.pixels[::step, ::step] for part, step in zip(parts, steps, strict=True)]
    row = np.full((max(map(len, small)), sum(one.shape[1] for one in small), 3), 128, np.uint8)
    left = 0
    for one in small:
        row[: one.shape[0], left : left + one.shape[1]] = one
        left += one.shape[1]
    row.setflags(write=False)
    return row


class Frames(Record):
    """How much of an animation, or of a file with several pages, was looked at."""

    looked_at: int
    """Frames that were judged, and those beside them with the same pixels."""
    of: int
    """All of them."""

    @property
    def all(self) -> bool:
        """Whether no frame went unseen."""
        return self.looked_at == self.of

    def __str__(self) -> str:
        return f"{self.looked_at} of {self.of} looked at"


@dataclass(frozen=True, slots=True)
class ImageInput:
    """One decoded image: the pictures a judgment has to look at."""

    id: str
    """Sha256 (hex) of the source bytes; for arrays and tensors, of shape, type and data."""
    name: str
    """The path, or `image[3]` for the fourth nameless item of a list."""
    pictures: tuple[Picture, ...]
    """At least one: every sampled frame, on every background that the policy asks for."""
    frames: Frames | None = None
    """How many of its frames these are; None for a still picture."""
    together: tuple[Picture, ...] = ()
    """Of several pictures of one thing: all of them in one look, on every background."""


class Failure(Record):
    """An image that was not judged, and why. It stands in the image's place in the result list."""

    image: str
    """The path, or `image[3]`."""
    id: str | None = None
    """Sha256 of the source bytes, where they could be read."""
    reason: str
    """One word for machines: missing, outside, empty, truncated, not_an_image, unsupported,
    too_large, too_many_pixels, too_many_pictures, too_slow, bad_array, url, unreadable, no_decoder,
    not_rendered, engine, listed."""
    message: str
    """What happened and what to do, for people."""
