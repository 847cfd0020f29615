"""One decoded frame of an image → the pixels a viewer would see.

Takes a `PIL.Image.Image`, gives 8-bit RGB arrays. It turns, scales 16 bits to 8, follows a colour
profile and composites transparency. Which frames: `sampling`. It knows nothing of paths, arrays or
ids.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms

from safejudge.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

Background = Literal["white", "black"]

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
