"""NumPy arrays and torch tensors → a PIL image, with nothing guessed.

Takes H x W, H x W x C or C x H x W with C in 1, 3, 4; uint8 or floats in [0, 1]. Torch is never
imported here: a tensor can only be handed in by someone who has imported it.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from PIL import Image

from safejudge.errors import ImageError
from safejudge.images.sampling import check_size

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from safejudge.policy import Policy

_TOLERANCE = 1e-3
"""How far floats may stray from [0, 1]; resizing and half precision overshoot a little."""


def is_array(source: object) -> TypeGuard[npt.NDArray[Any] | torch.Tensor]:
    """Whether `source` is a NumPy array or a torch tensor."""
    return isinstance(source, np.ndarray) or _is_tensor(source)


def to_image(
    source: npt.NDArray[Any] | torch.Tensor, name: str, policy: Policy
) -> tuple[str, Image.Image]:
    """Return the sha256 over type, shape and data, and an 8-bit image (L, RGB or RGBA).

    Tensors may live on any device, require grad, or be half precision. Raises `ImageError`
    bad_array or too_many_pixels.
    """
    shape = tuple(int(length) for length in source.shape)
    if isinstance(source, np.ndarray):
        kind = source.dtype.name
    else:
        kind = str(source.dtype).removeprefix("torch.")
    channels_first = _channels_first(shape, name)
    height, width = shape[1:] if channels_first else shape[:2]
    check_size(width, height, name, policy)
    if kind != "uint8" and "float" not in kind:
        raise ImageError(
            "bad_array",
            f"{name}: values of type {kind} have no known range; hand over uint8 in [0, 255] or "
            "floats in [0, 1]",
        )
    array = _to_numpy(source, name) if _is_tensor(source) else np.asarray(source)
    digest = hashlib.sha256(f"{kind}{shape}".encode() + array.tobytes()).hexdigest()
    pixels = array if kind == "uint8" else _scaled(array, name)
    if channels_first:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return digest, Image.fromarray(np.ascontiguousarray(pixels))


def _is_tensor(source: object) -> TypeGuard[torch.Tensor]:
    module = sys.modules.get("torch")
    return module is not None and isinstance(source, module.Tensor)


def _channels_first(shape: tuple[int, ...], name: str) -> bool:
    """Tell where the channels are, by which end is 1, 3 or 4 long; refuse what cannot be told."""
    if 0 in shape:
        problem = "holds no pixels"
    elif len(shape) == 2:
        return False
    elif len(shape) == 4:
        problem = "is a batch, not an image; hand it over as a list of images (see `split_batch`)"
    elif len(shape) != 3:
        problem = "is not an image; give H x W, H x W x C or C x H x W"
    else:
        first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
        if first != last:
            return first
        problem = (
            "could have its channels first or last; hand over a PIL image instead"
            if first
            else "has no channel axis of 1, 3 or 4 at either end; for one grey image give H x W"
        )
    raise ImageError("bad_array", f"{name}: an array of shape {shape} {problem}")


def _to_numpy(tensor: torch.Tensor, name: str) -> npt.NDArray[Any]:
    """Bring a tensor to the CPU, as a type NumPy has: short floats become float32."""
    try:
        plain = tensor.detach().cpu()
        if plain.is_floating_point() and plain.element_size() < 4:
            plain = plain.float()
        return np.asarray(plain.numpy(force=True))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ImageError(
            "bad_array",
            f"{name}: this tensor has no plain values ({str(error)[:200]}); hand over a dense one",
        ) from error


def _scaled(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """Floats in [0, 1] → uint8, rounded to nearest; another range is named, never guessed."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # NaN fails both
        if not (np.isfinite(low) and np.isfinite(high)):
            cause = "NaN or infinity means that the image was not computed properly"
        elif low < 0:
            cause = "if they are in [-1, 1], hand over x / 2 + 0.5"
        else:
            cause = "if they are in [0, 255], divide by 255 or hand over uint8"
        raise ImageError(
            "bad_array",
            f"{name}: float values run from {low:g} to {high:g}, not within [0, 1]; {cause}",
        )
    wide = array.astype(np.float32 if array.itemsize < 4 else array.dtype)
    scaled: npt.NDArray[np.uint8] = np.rint(np.clip(wide, 0, 1) * 255).astype(np.uint8)
    return scaled
