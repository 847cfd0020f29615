"""The pictures of a benchmark's samples: decoded, and changed where a run is to see others."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.images.load import load_images
from safejudge.text import counted
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.evals.suite import Run
    from safejudge.images.load import ImageSource


def tell_missing(count: int, total: int, source: str, first: str) -> None:
    """Say before any work that so many pictures of the samples are not there.

    `source` is where they should be, `first` names one of them. A warning, or an `InputError` where
    none of the `total` is there.
    """
    if not count:
        return
    if count == total:
        raise InputError(f"{source}: has none of {counted(total, 'picture')} (the first: {first})")
    warnings.warn(
        f"{count} of {total} pictures are not in {source} (the first: {first})",
        UserWarning,
        stacklevel=2,
    )


def load_pictures(sources: Sequence[ImageSource], run: Run) -> list[Picture | Failure]:
    """Decode each source and take its first picture, in order; then do to it what the run does."""
    pictures: list[Picture | Failure] = []
    for image in load_images(sources, run.policy):
        if isinstance(image, Failure):
            pictures.append(image)
        else:
            picture = image.pictures[0]
            pictures.append(picture if run.change is None else run.change(picture))
    return pictures
