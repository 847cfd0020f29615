"""The bytes of one file → `ImageInput`, in the process that asks for it.

The only place that lets Pillow at a file. Every refusal is an `ImageError` with a reason from
`types.Failure`; no setting of Pillow is changed. How long this takes nobody knows beforehand:
`decoders` lets another process do it and bounds that.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from safejudge.errors import ImageError
from safejudge.images import frames, netpbm
from safejudge.images.kinds import Kind, kind_of
from safejudge.images.sampling import KEEP_FACTOR, Sample
from safejudge.images.video import can_read, decode_video
from safejudge.text import plain_name
from safejudge.types import ImageInput, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.policy import Policy

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000", "PPM", "QOI")
"""What Pillow may try. Left out: formats that run outside programs, icons (whose real size shows
only after decoding), layered files, and those that random bytes can pass for."""
SCANS = 200
"""Scans that a JPEG may have: each costs time over the whole picture and hardly a byte. Encoders
write about ten."""
_SAVE_AGAIN = "save or download it again"
_HEAD = 2**16
"""So much is looked at for its kind; the first directory of a raw photo may lie far in."""


def decode(data: bytes, name: str, policy: Policy) -> ImageInput:
    """Decode a file into the pictures that the policy asks for. Raises `ImageError`."""
    kind = kind_of(data[:_HEAD], Path(name).suffix)
    if kind.name == "media" or (kind.name == "video" and not can_read()):
        raise ImageError("unsupported", f"{name}: is {kind.what}; {kind.advice}")
    if kind.name == "video":
        with decoding("truncated", name, _SAVE_AGAIN):
            shown, looked_at = decode_video(data, name, policy)
        return ImageInput(hashlib.sha256(data).hexdigest(), name, shown, looked_at)
    check_scans(data, name)
    digest = hashlib.sha256(data)
    with decoding("truncated", name, _SAVE_AGAIN), _open(data, name, kind) as image:
        sample = Sample(netpbm.quick(image, data), name, policy, digest.digest())
        pictures = Pictures(name, policy)
        for frame in sample:
            pictures.add(sample.image, frame)
    return ImageInput(digest.hexdigest(), name, pictures.all, sample.frames)


def check_scans(data: bytes, name: str) -> None:
    """Raise `ImageError` too_slow for a JPEG of too many scans."""
    if data.startswith(b"\xff\xd8"):
        scans = data.count(b"\xff\xda")
        if scans > SCANS:
            raise ImageError(
                "too_slow",
                f"{name}: is a JPEG of {scans} scans, more than {SCANS}, each of which takes as "
                "long as the whole picture; save it again with an ordinary encoder",
            )


_INSTEAD = {
    "shard": "`safejudge judge FILE --ray` looks into it",
    "archive": "unpack it, and name the folder",
}
"""What to do with files that may hold images."""


def _open(data: bytes, name: str, kind: Kind) -> Image.Image:
    try:
        Image.init()  # a build of Pillow may lack a format; naming that one would be a KeyError
        return Image.open(io.BytesIO(data), formats=[f for f in FORMATS if f in Image.OPEN])
    except UnidentifiedImageError as error:
        if kind.name == "picture":
            raise ImageError(
                "truncated", f"{name}: its header is cut short or damaged; {_SAVE_AGAIN}"
            ) from error
        advice = _INSTEAD.get(kind.name, "a suffix does not make an image")
        raise ImageError(
            "not_an_image",
            f"{name}: its bytes are {kind.what}, none of the formats read here "
            f"({', '.join(FORMATS)}); {advice}",
        ) from error


@contextmanager
def decoding(reason: str, name: str, hint: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an `ImageError`; `reason` is for damaged data."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageError(
            "too_many_pixels", f"{name}: needs too much memory ({_described(error)}); scale it down"
        ) from error
    except Exception as error:  # untrusted bytes: Pillow lets nearly every type through
        raise ImageError(
            reason, f"{name}: cannot be decoded ({_described(error)}); {hint}"
        ) from error


def _described(error: Exception) -> str:
    return plain_name(f"{type(error).__name__}: {error}")[:200]


class Pictures:
    """What is kept of one image: its different pictures, bounded together."""

    def __init__(self, name: str, policy: Policy) -> None:
        self._name, self._policy = name, policy
        self._kept: dict[Picture, None] = {}
        self._pixels = 0

    @property
    def all(self) -> tuple[Picture, ...]:
        """Every one, in order."""
        return tuple(self._kept)

    def add(self, image: Image.Image, frame: int | None) -> None:
        """Add a decoded frame on every background that the policy asks for.

        Raises `ImageError` too_many_pixels.
        """
        for pixels, background in frames.render(image, self._name, self._policy.background):
            picture = Picture.of(pixels, frame, background)
            if picture not in self._kept:
                self._kept[picture] = None
                self._pixels += pixels.shape[0] * pixels.shape[1]
            if self._pixels > KEEP_FACTOR * self._policy.max_pixels:
                raise ImageError(
                    "too_many_pixels",
                    f"{self._name}: its frames on all backgrounds have more than {KEEP_FACTOR} x "
                    "Policy.max_pixels together; scale it down or lower Policy.max_frames",
                )
