"""Queries and candidates as callers hand them over -> a picture, a text, or both.

A `str` is a text. A picture is a path object, bytes, a PIL image or pixels; or it stands under
`image` in a mapping, perhaps beside a `text`, where a `str` is a path. What cannot be shown whole
is nothing: an animation, a text that is too long, a file that is no picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from safejudge.errors import InputError
from safejudge.images.load import load_images
from safejudge.method.captions import plain_caption, shown_caption
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.models import Models
    from safejudge.images.load import ImageSource
    from safejudge.policy import Policy

    Thing: TypeAlias = str | ImageSource | Mapping[str, Any]
    """A text, a picture, or a mapping with `text`, `image` or both."""

FIELDS = ("text", "image")


@dataclass(frozen=True, slots=True)
class Item:
    """A query or a candidate as a model is shown it."""

    text: str | None = None
    picture: Picture | None = None
    problem: str = ""
    """Why it cannot be shown; then there is neither."""


def load_items(things: Sequence[Thing], models: Models, policy: Policy) -> list[Item]:
    """Read each thing, in order. Raises `InputError` for a mapping of other fields."""
    parts = [_parts(thing) for thing in things]
    sources = [image for _, image in parts if image is not None]
    pictures = iter(_pictures(sources, models, policy))
    return [
        _item(_text(text, models, policy), None if image is None else next(pictures))
        for text, image in parts
    ]


def _parts(thing: Thing) -> tuple[str | None, ImageSource | None]:
    if isinstance(thing, str):
        return thing, None
    if not isinstance(thing, Mapping):
        return None, thing
    fields = {name: value for name, value in thing.items() if value is not None}
    if (
        not fields
        or not fields.keys() <= set(FIELDS)
        or not isinstance(fields.get("text", ""), str)
    ):
        raise InputError(
            f"{thing!r:.80} is no query or candidate: give a text, a picture, or a mapping with "
            "`text`, `image` or both"
        )
    return fields.get("text"), fields.get("image")


def _text(text: str | None, models: Models, policy: Policy) -> str | Failure | None:
    """Return a text on one line, which cannot write a line of the question."""
    if text is None:
        return None
    plain = plain_caption(text)
    shown, use = shown_caption(plain, models, policy)
    if shown is None:
        tokens = "" if use is None else f"{use.tokens} tokens long, more than may be shown"
        return Failure(image="text", reason="text", message=f"the text is {tokens or 'empty'}")
    return shown


def _pictures(
    sources: Sequence[ImageSource], models: Models, policy: Policy
) -> list[Picture | Failure]:
    pictures: list[Picture | Failure] = []
    for image in load_images(sources, policy):
        if isinstance(image, Failure):
            pictures.append(image)
        elif models.skip is not None and (listed := models.skip.refusal(image)):
            pictures.append(listed)
        elif image.together or (image.frames is not None and image.frames.of > 1):
            message = f"{image.name} holds several pictures; one is compared at a time"
            pictures.append(Failure(image=image.name, reason="unsupported", message=message))
        else:
            pictures.append(image.pictures[0])
    return pictures


def _item(text: str | Failure | None, picture: Picture | Failure | None) -> Item:
    for part in (text, picture):
        if isinstance(part, Failure):
            return Item(problem=part.message)
    return Item(
        text if isinstance(text, str) else None, picture if isinstance(picture, Picture) else None
    )
