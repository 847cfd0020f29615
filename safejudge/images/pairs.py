"""Images, and the caption that belongs to each, as callers hand them over."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from PIL import Image

from safejudge.errors import InputError
from safejudge.images.arrays import is_array
from safejudge.images.load import split_batch
from safejudge.images.series import Series
from safejudge.text import counted

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from safejudge.images.load import ImageSource

    Images = Iterable[ImageSource] | npt.NDArray[Any] | torch.Tensor
    Item = Mapping[str, Any]
    """What belongs to an image: its caption under `prompt`, and what fills slots of programs."""
    Prompt = str | Item
    """A caption, or an item with one, perhaps."""
    Prompts = Iterable[Prompt | None]
    Pair = tuple[ImageSource, Prompt | None]
    """An image, and what belongs to it."""

_MISSING: Any = object()


class Row(dict[str, Any]):
    """An item as a file has it; not to be changed, so that it can be a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


CAPTION = "prompt"
"""Under which an item has its caption."""


def caption_of(prompt: Prompt | None) -> str | None:
    """Return the caption of an item, which may be nothing else."""
    if isinstance(prompt, Mapping):
        caption = prompt.get(CAPTION)
        return caption if isinstance(caption, str) else None
    return prompt


def fields_of(prompt: Prompt | None) -> tuple[tuple[str, str], ...]:
    """Return what an item has for slots (`{text}`), by name, as JSON.

    Raises `InputError` for a value that JSON does not know.
    """
    item = prompt if isinstance(prompt, Mapping) else {CAPTION: prompt}
    try:
        return tuple(
            (str(name), json.dumps(value, ensure_ascii=False, allow_nan=False))
            for name, value in item.items()
            if value is not None
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"an item of prompts has a value that JSON does not know ({error}); hand over texts, "
            "numbers, lists and mappings"
        ) from error


def paired(images: Images, prompts: Prompts | None) -> Iterator[Pair]:
    """Put each image beside its caption; both sides must be equally long.

    Raises `InputError` for arguments that fit nothing; where lengths cannot be known, on the way.
    """
    return _paired(_sources(images), prompts)


def _sources(images: Images) -> Iterable[ImageSource]:
    if isinstance(
        images, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | Series
    ):
        raise InputError(
            f"images is one {type(images).__name__}; put it in a list: judge([image]), "
            "or ask judge.allows(image)"
        )
    if is_array(images):
        return split_batch(images)
    if not isinstance(images, Iterable):
        raise InputError(
            f"images is a {type(images).__name__}; hand over a list of paths, bytes, PIL images "
            "or arrays, or one array of a batch"
        )
    return images


def _paired(images: Iterable[ImageSource], prompts: Prompts | None) -> Iterator[Pair]:
    """Put each image beside its caption; both sides must be equally long."""
    if prompts is None:
        return ((image, None) for image in images)
    if isinstance(prompts, str | Mapping) or not isinstance(prompts, Iterable):
        raise InputError(
            f"prompts is one {type(prompts).__name__}; hand over a list with one text, or None, "
            "per image"
        )
    if isinstance(images, Sized) and isinstance(prompts, Sized) and len(images) != len(prompts):
        raise InputError(
            f"{counted(len(images), 'image')} but {counted(len(prompts), 'prompt')}; hand over one "
            "text, or None, "
            "per image"
        )
    return _zipped(images, prompts)


def _zipped(images: Iterable[ImageSource], prompts: Prompts) -> Iterator[Pair]:
    pairs = zip_longest(images, prompts, fillvalue=_MISSING)
    for index, (image, prompt) in enumerate(pairs):
        if image is _MISSING or prompt is _MISSING:
            short = "images" if image is _MISSING else "prompts"
            raise InputError(f"{short} ended after {index} items; both must be equally long")
        caption = prompt.get(CAPTION) if isinstance(prompt, Mapping) else prompt
        if caption is not None and not isinstance(caption, str):
            raise InputError(
                f"prompts[{index}] is a {type(caption).__name__}; hand over text or None"
            )
        yield image, prompt
