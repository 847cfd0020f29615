"""Which frames of an image are looked at.

Takes an image opened by Pillow; brings it to each frame that is to be judged, and says how many
there are. Sizes are checked before anything is decoded. Which frames are sampled follows from the
file's content, so that it is the same every time and no place in an animation is known to go
unseen. What pixels a frame becomes: `frames`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from safejudge.errors import ImageError
from safejudge.types import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from PIL import Image

    from safejudge.policy import Policy

_MOVING = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
"""Formats whose further frames people see."""
_MP_ENTRIES = 0xB002
"""Where an MPO lists its pictures (CIPA DC-007, 5.2.3.3)."""
_COLOURS = frozenset({"P", "PA", "RGB", "L", "LA"})
"""Modes in which frames of one animation can come although they look the same."""
_MAX_WALKED = 5_000
"""Most frames looked through before sampling; a few bytes can declare many."""
_WALK_FACTOR = 12
"""Finding out how long frames are shown decodes them all: so many times `max_pixels` at most."""
KEEP_FACTOR = 2
"""The sampled frames on all their backgrounds may have so many times `max_pixels` together, for
memory's sake: 240 MB by default."""
_DEFAULT_DURATION = 100.0
"""Milliseconds; what browsers make of a missing or tiny duration."""


def check_size(width: int, height: int, name: str, policy: Policy) -> None:
    """Raise `ImageError` too_many_pixels if one picture of this size is over the policy's cap."""
    if width * height > policy.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{name}: {width} x {height} pixels are more than Policy.max_pixels = "
            f"{policy.max_pixels}; scale it down or raise the limit",
        )


# --- the frames of an image -----------------------------------------------------------------------


@dataclass(slots=True)
class Walk:
    """What looking through all frames found: runs of frames that look the same."""

    starts: list[int] = field(default_factory=list)
    """Per run, the index of its first frame."""
    durations: list[float] = field(default_factory=list)
    """Per run, how long it is shown, in milliseconds."""
    pixels: list[int] = field(default_factory=list)
    """Per run, how many pixels its frames have."""
    count: int = 0
    """Frames, in all runs."""

    def add(self, image: Image.Image, same: bool) -> None:
        """Take in the frame that the image is at; `same`: it looks as the one before it."""
        duration = _duration(image.info.get("duration"))
        if same:
            self.durations[-1] += duration
        else:
            self.starts.append(self.count)
            self.durations.append(duration)
            self.pixels.append(image.width * image.height)
        self.count += 1

    def frames(self, chosen: Sequence[int]) -> Frames | None:
        """How much is looked at where these runs are; None for a still picture."""
        if self.count == 1:
            return None
        ends = [*self.starts[1:], self.count]
        return Frames(looked_at=sum(ends[run] - self.starts[run] for run in chosen), of=self.count)


class Sample:
    """The frames of one image that are looked at."""

    def __init__(self, image: Image.Image, name: str, policy: Policy, seed: bytes | None) -> None:
        """Look through the frames and choose some.

        `seed` stands for the content; None: it is what is seen on the way. Raises `ImageError`
        too_many_pixels, and whatever Pillow raises on bad data.
        """
        self.image = image
        """At the frame that was last yielded."""
        self._name, self._policy = name, policy
        digest = hashlib.sha256() if seed is None else None
        self._walk = _walked(image, name, policy, digest)
        content = digest.digest() if digest is not None else seed or b""
        limit = len(self._walk.starts) if policy.max_frames is None else policy.max_frames
        self._chosen = sample(
            self._walk.durations,
            limit,
            hashlib.sha256(policy.frame_seed.encode() + content).digest(),
        )
        self.frames = self._walk.frames(self._chosen)
        self._check_total()

    def _check_total(self) -> None:
        total = sum(self._walk.pixels[run] for run in self._chosen)
        if total > KEEP_FACTOR * self._policy.max_pixels:
            raise ImageError(
                "too_many_pixels",
                f"{self._name}: {len(self._chosen)} sampled frames have {total} pixels together, "
                f"more than {KEEP_FACTOR} x Policy.max_pixels; scale it down or lower "
                "Policy.max_frames",
            )

    def __iter__(self) -> Iterator[int | None]:
        """Bring the image to each chosen frame, decoded, and yield the frame's index.

        The index is None for an image of one frame. Raises as above.
        """
        for run in self._chosen:
            index = self._walk.starts[run]
            if self._walk.count > 1:
                self.image.seek(index)
            self.image.load()
            # A load may correct the size.
            check_size(self.image.width, self.image.height, self._name, self._policy)
            yield index if self._walk.count > 1 else None


def _walked(image: Image.Image, name: str, policy: Policy, digest: hashlib._Hash | None) -> Walk:
    """Look through all frames; `digest` takes in what is seen."""
    walk, walked, earlier = Walk(), 0, None
    moves, has_pages = _moves(image), _has_pages(image)
    for index in itertools.count():
        if index > 0 and not (moves or has_pages):
            break
        if moves or has_pages:
            try:
                image.seek(index)
            except EOFError:
                break
        check_size(image.width, image.height, name, policy)
        walked += image.width * image.height
        too_much = moves and index > 0 and walked > _WALK_FACTOR * policy.max_pixels
        if too_much or index >= _MAX_WALKED:
            raise ImageError(
                "too_many_pixels",
                f"{name}: more than {index} frames of {image.width} x {image.height}: too much "
                "to look through; hand over the frames you want judged, one image each",
            )
        seen = _shown(image) if moves else (image.mode, image.size, b"")
        if digest is not None:
            digest.update(repr(seen[:2]).encode())
            digest.update(seen[2])
        walk.add(image, seen == earlier and moves)
        earlier = seen
    return walk


def _moves(image: Image.Image) -> bool:
    """Whether it is shown as an animation: then all frames are decoded to see how long each is."""
    return image.format in _MOVING and bool(getattr(image, "is_animated", False))


def _has_pages(image: Image.Image) -> bool:
    """Whether it may hold further pictures: pages of a TIFF, both views of a stereo photograph.

    They have no durations, so nothing is decoded to find them. What else a JPEG of several pictures
    (MPO) holds are previews and gain maps, which nobody is shown.
    """
    if image.format == "TIFF":
        return True
    entries = getattr(image, "mpinfo", {}).get(_MP_ENTRIES, ())
    kinds = [str(entry["Attribute"]["MPType"]) for entry in entries]
    return image.format == "MPO" and any(kind.startswith("Multi-Frame") for kind in kinds)


def _shown(image: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    """What a frame shows: mode, size and pixels, such that equal ones look equal."""
    image.load()
    plain = image.convert("RGBA") if image.mode in _COLOURS else image
    return plain.mode, plain.size, plain.tobytes()


def _duration(duration: object) -> float:
    if isinstance(duration, int | float) and math.isfinite(duration) and duration > 10:
        return float(duration)
    return _DEFAULT_DURATION


# --- sampling -------------------------------------------------------------------------------------


def sample(durations: Sequence[float], limit: int, seed: bytes) -> list[int]:
    """Choose at most `limit` frame indices, given how long each frame is shown; sorted.

    The first frame is taken (previews show it; not if `limit` is 1). The rest of the time is cut
    into as many equal stretches as frames are still wanted. A frame shown for longer than a
    stretch is taken; of the others, one at a moment of each stretch that `seed` decides. So every
    frame has a chance, by the time it is shown.
    """
    count = len(durations)
    if count <= limit:
        return list(range(count))
    chosen = {0} if limit > 1 else set()
    moments = _moments(seed)
    while len(chosen) < limit:
        rest = np.array([index for index in range(count) if index not in chosen])
        shown = np.array([durations[index] for index in rest], dtype=np.float64)
        wanted = limit - len(chosen)
        stretch = shown.sum() / wanted
        long = rest[shown > stretch]
        chosen.update(map(int, long if len(long) else rest[_at(moments, shown, stretch, wanted)]))
    return sorted(chosen)


def _at(
    moments: Iterator[float], shown: npt.NDArray[np.float64], stretch: float, wanted: int
) -> npt.NDArray[np.intp]:
    """Which frames are shown at one moment of each stretch; two may fall on one frame."""
    ends = np.cumsum(shown)
    times = [(number + next(moments)) * stretch for number in range(wanted)]
    return np.minimum(np.searchsorted(ends, times, side="right"), len(shown) - 1)


def _moments(seed: bytes) -> Iterator[float]:
    """Numbers in [0, 1), the same ones for a seed for ever."""
    for number in itertools.count():
        digest = hashlib.sha256(seed + number.to_bytes(8, "big")).digest()
        yield int.from_bytes(digest[:6], "big") / 2**48
