"""Pictures that are shown beside a question and not judged: one of each, and what is not shown.

Takes sources and a policy, perhaps hashes of what no model may be shown; gives pictures and a note,
or nothing and why. Pictures of one thing (`Series`) are all shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.images.load import load_images
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.images.hashes import HashList
    from safejudge.images.load import ImageSource
    from safejudge.policy import Policy


def shown_beside(
    sources: Sequence[ImageSource], policy: Policy, skip: HashList | None
) -> tuple[list[Picture], str | Failure]:
    """Read what is shown, in order; a `Failure` says why nothing can be."""
    shown: list[Picture] = []
    notes = []
    for image in load_images(sources, policy):
        if isinstance(image, Failure):
            return [], image
        if skip is not None and (refusal := skip.refusal(image)) is not None:
            return [], refusal
        shown += image.together[0].parts if image.together else image.pictures[:1]
        if len(image.pictures) > 1 and not image.together:
            notes.append(f"{image.name}: only the first of its frames, on one background")
    return shown, "; ".join(notes)
