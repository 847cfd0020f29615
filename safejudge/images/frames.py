"""One image opened by Pillow → the pixels a viewer would see, frame by frame.

Takes a `PIL.Image.Image`, gives 8-bit RGB arrays. It checks sizes before it decodes, picks frames
of an animation by the time they are shown, turns, scales 16 bits to 8, follows a colour profile
and composites transparency. It knows nothing of paths, arrays or ids (`images`).
"""

from __future__ import annotations

import io
import itertools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms

from safejudge.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from safejudge.policy import Policy

Background = Literal["white", "black"]

_MOVING = frozenset({"GIF", "WEBP", "PNG", "AVIF", "TIFF"})
"""Formats whose further frames people see. The rest of an MPO is previews and gain maps."""
_MAX_WALKED = 5_000
"""Most frames looked at before sampling; a few bytes can declare many."""
_WALK_FACTOR = 25
"""Finding out how long frames are shown decodes them all: so many times `max_pixels` at most."""
_KEEP_FACTOR = 4
"""The sampled frames together may have so many times `max_pixels`, for memory's sake."""
_DEFAULT_DURATION = 100.0
"""Milliseconds; what browsers make of a missing or tiny duration."""
_MAX_PROFILE = 4 * 2**20
_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_TURNS: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what undoes it."""


def check_size(width: int, height: int, name: str, policy: Policy) -> None:
    """Raise `ImageError` too_many_pixels if one picture of this size is over the policy's cap."""
    if width * height > policy.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{name}: {width} x {height} pixels are more than Policy.max_pixels = "
            f"{policy.max_pixels}; scale it down or raise the limit",
        )


def sampled_frames(image: Image.Image, name: str, policy: Policy) -> Iterator[int | None]:
    """Bring `image` to each frame to be judged, decoded, and yield the frame's index.

    The index is None for an image of one frame. Raises `ImageError` too_many_pixels, and whatever
    Pillow raises on bad data.
    """
    durations, pixels = _walk(image, name, policy)
    indices = sample(durations, policy.max_frames)
    total = sum(pixels[index] for index in indices)
    if total > _KEEP_FACTOR * policy.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{name}: {len(indices)} sampled frames have {total} pixels together, more than "
            f"{_KEEP_FACTOR} x Policy.max_pixels; scale it down or lower Policy.max_frames",
        )
    for index in indices:
        if len(durations) > 1:
            image.seek(index)
        image.load()
        check_size(image.width, image.height, name, policy)  # a load may correct the size
        yield index if len(durations) > 1 else None


def _walk(image: Image.Image, name: str, policy: Policy) -> tuple[list[float], list[int]]:
    """Per frame, how long it is shown (ms) and how many pixels it has."""
    durations: list[float] = []
    pixels: list[int] = []
    for index in itertools.count():
        if image.format in _MOVING:
            try:
                image.seek(index)
            except EOFError:
                break
        elif index > 0:
            break
        check_size(image.width, image.height, name, policy)
        pixels.append(image.width * image.height)
        pages = image.format == "TIFF"  # no durations, so nothing is decoded to find them
        if index >= _MAX_WALKED or (
            not pages and index > 0 and sum(pixels) > _WALK_FACTOR * policy.max_pixels
        ):
            raise ImageError(
                "too_many_pixels",
                f"{name}: more than {index} frames of {image.width} x {image.height}: too much "
                "to look through; hand over the frames you want judged, one image each",
            )
        if not pages:
            image.load()
        durations.append(_duration(image.info.get("duration")))
    return durations, pixels


def _duration(duration: object) -> float:
    if isinstance(duration, int | float) and math.isfinite(duration) and duration > 10:
        return float(duration)
    return _DEFAULT_DURATION


def sample(durations: Sequence[float], limit: int) -> list[int]:
    """Choose at most `limit` frame indices, given how long each frame is shown; sorted.

    The first frame is taken (previews show it; not if `limit` is 1), then the frames at the middle
    of `most - 1` equal stretches of time, so a frame shown for longer than such a stretch is never
    missed. Where one long frame fills several stretches, the longest frames left are taken
    instead, among equals the one farthest from those already taken.
    """
    count = len(durations)
    if count <= limit:
        return list(range(count))
    chosen = {0} if limit > 1 else set()
    stretches = limit - len(chosen)
    ends = np.cumsum(np.asarray(durations, dtype=np.float64))
    middles = ends[-1] * (np.arange(stretches) + 0.5) / stretches
    chosen.update(int(index) for index in np.searchsorted(ends, middles))
    remaining = np.asarray(durations, dtype=np.float64).copy()
    positions = np.arange(count)
    distance = np.full(count, count)
    for index in chosen:
        remaining[index] = -1.0
        distance = np.minimum(distance, np.abs(positions - index))
    while len(chosen) < limit:
        index = int(np.argmax(np.where(remaining == remaining.max(), distance, -1)))
        chosen.add(index)
        remaining[index] = -1.0
        distance = np.minimum(distance, np.abs(positions - index))
    return sorted(chosen)


def render(
    image: Image.Image, name: str, background: Literal["worst", "white", "black"]
) -> Iterator[tuple[npt.NDArray[np.uint8], Background | None]]:
    """Yield H x W x 3 uint8 pixels of a decoded frame, and what they were composited on.

    One pair for an opaque frame, with background None; else one per background, `worst` meaning
    white and black. Raises `ImageError` unsupported for numbers without a known scale.
    """
    colour, alpha = _colour_and_alpha(image, name)
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        colour = colour.transpose(turn)
        alpha = alpha.transpose(turn) if alpha is not None else None
    if alpha is None or alpha.getextrema() == (255, 255):
        yield np.asarray(colour), None
        return
    backgrounds: tuple[Background, ...] = (
        ("white", "black") if background == "worst" else (background,)
    )
    for ground in backgrounds:
        canvas = Image.new("RGB", colour.size, ground)
        canvas.paste(colour, mask=alpha)
        yield np.asarray(canvas), ground


def _orientation(image: Image.Image) -> object:
    """EXIF orientation; a broken EXIF block counts as none, as it does in viewers."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - untrusted bytes: Pillow lets nearly every type through
        return 1


def _colour_and_alpha(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """RGB part and, where the mode has one, the alpha channel (mode L)."""
    alpha = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        colour = _eight_bits(image, name)
        key = image.info.get("transparency")
        if isinstance(key, int):
            alpha = Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        rgba = _rgba(image)
        colour, alpha = rgba.convert("RGB"), rgba.getchannel("A")
    else:
        colour = image if image.mode == "CMYK" else image.convert("RGB")
    return _in_srgb(colour, image), alpha


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        return image.convert("LA").convert("RGBA")
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # A 16-bit PNG: Pillow halves the depth of the pixels but not of the transparent colour.
        image = image.copy()
        image.info["transparency"] = tuple(part >> 8 for part in key)
    return image.convert("RGBA")


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale I;16*, I and F to 8-bit grey; Pillow's own conversion clips, which whitens a picture.

    I and F say nothing of their range: the smallest usual one that holds all values is taken.
    """
    values = np.asarray(image)
    top = 65535
    if not image.mode.startswith("I;16"):
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 65535):  # also refuses NaN
            raise ImageError(
                "unsupported",
                f"{name}: {values.dtype} values from {low:g} to {high:g} have no known scale; "
                "convert it to 8 bits per channel",
            )
        tops = (255, 65535) if image.mode == "I" else (1, 255, 65535)
        top = next(bound for bound in tops if high <= bound)
    return Image.fromarray(np.rint(values.astype(np.float32) * (255 / top)).astype(np.uint8))


def _in_srgb(colour: Image.Image, source: Image.Image) -> Image.Image:
    """RGB of `colour`, through the source's colour profile if there is one that fits its mode.

    A profile can permute or invert channels, so that what viewers show is not what the file
    stores. A broken or unfitting profile is ignored, as viewers do.
    """
    icc = source.info.get("icc_profile")
    if isinstance(icc, bytes) and 0 < len(icc) <= _MAX_PROFILE and source.mode != "LAB":
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            mode = _PROFILE_MODES.get(profile.profile.xcolor_space.strip())
            grey = source.mode in _GREY or source.mode.startswith("I;16")
            fits = (mode == "CMYK") == (colour.mode == "CMYK") and (mode != "L" or grey)
            if mode is not None and fits:
                srgb = ImageCms.createProfile("sRGB")
                managed = ImageCms.profileToProfile(
                    colour.convert(mode), profile, srgb, outputMode="RGB"
                )
                if managed is not None:
                    return managed
        except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
            pass
    return colour.convert("RGB")
