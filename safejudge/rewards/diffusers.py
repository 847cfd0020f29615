"""For diffusers: guard what a pipeline makes, after it, or inside it in the safety checker's slot.

    from safejudge.rewards.diffusers import SafetyChecker, guard

    guarded = guard(pipe("a dog"), judge)         # any pipeline that returns images
    pipe.safety_checker = SafetyChecker(judge)    # those with the slot: Stable Diffusion and kin

Flux, SD3 and Qwen-Image pipelines have no slot. What passes is what `Judge.passes` says: safe
images, and undecided ones or failures only where the policy says so by name. Nothing handed in is
written to. (diffusers 0.42.1, `pipelines/stable_diffusion/`.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image, ImageFilter

from safejudge.errors import InputError
from safejudge.images.arrays import to_image
from safejudge.policy import Policy
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.images.pairs import Prompts
    from safejudge.judge import Judge
    from safejudge.types import Result

    Pictures = np.ndarray[Any, Any] | torch.Tensor | list[Image.Image]

OnFlag = Literal["black", "blur", "keep"]
"""What becomes of a flagged image: blackened, blurred past recognition, or only reported."""

_BLUR = 1 / 8
"""Radius of the blur, as a share of the longer side."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guard returns."""

    output: Any
    """A copy of the pipeline's output, of its own type, with flagged images replaced; where that
    type has `nsfw_content_detected`, it holds `flagged`."""
    flagged: list[bool]
    """Per image, whether it does not pass."""
    results: list[Result]
    """Per image, what the judge found."""

    @property
    def images(self) -> Any:
        """The images of the output, as the pipeline returned them: PIL images, array or tensor."""
        return self.output.images


def guard(
    output: Any, judge: Judge, *, prompts: Prompts | None = None, on_flag: OnFlag = "black"
) -> Guarded:
    """Judge the images of a pipeline's output, and replace those that do not pass.

    `output` is what a pipeline returns unless told `return_dict=False`: its `images` are PIL
    images, or a batch with values in [0, 1] (array N x H x W x C, tensor N x C x H x W).
    `prompts` holds one text, or None, per image. Latents are no images: each is a `Failure`, and
    flagged. Raises `InputError` for an output without images, and what judging raises.
    """
    _check(on_flag)
    names = {item.name for item in fields(output)} if is_dataclass(output) else set()
    if "images" not in names:
        raise InputError(
            f"a {type(output).__name__} has no images; hand over what a pipeline of images "
            "returns, called without return_dict=False"
        )
    results = judge(output.images, prompts)
    flagged = [not judge.passes(result) for result in results]
    changed: dict[str, Any] = {"images": _replaced(output.images, flagged, results, on_flag)}
    if "nsfw_content_detected" in names:
        changed["nsfw_content_detected"] = flagged
    return Guarded(replace(output, **changed), flagged, results)


class SafetyChecker(torch.nn.Module):
    """A judge in the slot `safety_checker` of a diffusers pipeline.

    The pipeline needs a `feature_extractor` beside it, as with its own checker; what that one
    makes is ignored. `last` holds what the judge found in the last call, one result per image. It
    has no weights: a pipeline cannot save it, so put it in after loading.
    """

    last: list[Result]
    _place: torch.Tensor

    def __init__(
        self, judge: Judge, on_flag: OnFlag = "black", *, tensors_denormalized: bool = False
    ) -> None:
        """Flag what `judge` does not let pass.

        Pipelines hand over tensors straight from their decoder, in [-1, 1], and bring those that
        are not flagged to [0, 1] later; `tensors_denormalized` says that tensors are in [0, 1]
        already. Arrays always are.
        """
        super().__init__()
        _check(on_flag)
        self.judge = judge
        self.on_flag: OnFlag = on_flag
        self.last = []
        self._denormalize = not tensors_denormalized
        # A pipeline asks its modules for their device and type, and moves them.
        self.register_buffer("_place", torch.zeros(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the pipeline put this module; the judge has a place of its own."""
        return self._place.device

    @property
    def dtype(self) -> torch.dtype:
        """What the pipeline made of this module."""
        return self._place.dtype

    @torch.no_grad()
    def forward(self, images: Any, clip_input: object = None) -> tuple[Any, list[bool]]:
        """Return the images, flagged ones replaced, and which are flagged.

        `images` is a batch: N x H x W x C array in [0, 1], or N x C x H x W tensor (see the
        class). Flagged images come back in [0, 1], unflagged ones as they were. Raises what
        judging raises.
        """
        del clip_input  # CLIP's view of the images; the judge takes its own
        pictures = images
        if isinstance(images, torch.Tensor) and self._denormalize:
            pictures = (images / 2 + 0.5).clamp(0, 1)  # NaN stays NaN, and is a failure
        self.last = self.judge(pictures)
        flagged = [not self.judge.passes(result) for result in self.last]
        replaced = _replaced(pictures, flagged, self.last, self.on_flag)
        if pictures is images or not any(flagged):
            return (replaced if any(flagged) else images), flagged
        where = torch.tensor(flagged, device=images.device).view(-1, 1, 1, 1)
        return torch.where(where, replaced, images), flagged


def _check(on_flag: str) -> None:
    if on_flag not in {"black", "blur", "keep"}:
        raise InputError(f"on_flag is {on_flag!r}; choose 'black', 'blur' or 'keep'")


def _replaced(
    images: Pictures, flagged: Sequence[bool], results: Sequence[Result], on_flag: OnFlag
) -> Any:
    """Return a copy with flagged images replaced; one that could not be read is never blurred."""
    if on_flag == "keep" or not any(flagged):
        return images
    copies = images.clone() if isinstance(images, torch.Tensor) else images.copy()
    for index, result in enumerate(results):
        if flagged[index]:
            blur = on_flag == "blur" and not isinstance(result, Failure)
            copies[index] = _blurred(copies[index]) if blur else _black(copies[index])
    return copies


def _black(image: Any) -> Any:
    if isinstance(image, torch.Tensor):
        return torch.zeros_like(image)
    return Image.new("RGB", image.size) if isinstance(image, Image.Image) else np.zeros_like(image)


def _blurred(image: Any) -> Any:
    """Blur an image so far that only its colours are left."""
    if isinstance(image, Image.Image):
        plain = image if image.mode in {"L", "RGB", "RGBA"} else image.convert("RGB")
        return plain.filter(ImageFilter.GaussianBlur(max(image.size) * _BLUR))
    if isinstance(image, torch.Tensor):
        array = image.float().cpu().movedim(0, -1).numpy()
        blurred = torch.from_numpy(_blurred(array)).movedim(-1, 0)
        return blurred.to(image.device, image.dtype)
    _, pixels = to_image(image, "image", Policy())
    soft = np.asarray(_blurred(pixels), dtype=np.uint8).reshape(image.shape)
    return soft if image.dtype == np.uint8 else (soft / 255).astype(image.dtype)
