"""What a detector found, as `count` and `order` take it: one box an object, none that is faint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs.base import shown, text_of
from safejudge.programs.scoring.layout import distinct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from safejudge.programs.scoring.layout import Place
    from safejudge.types import Box

SURE = 0.1
"""Boxes that a detector is not surer of than this count for nothing, unless a rule says more."""
HALF = 0.5
"""A box counts if the detector is at least this share as sure of it as of the surest of its word:
detectors differ in how sure they are of anything."""
MOST = 20
"""Detectors return at most so many boxes of one word; so many, and nobody knows how many more."""
MOST_OBJECTS = 8
"""Different objects in one call."""


def objects_of(value: Any, what: str, example: str) -> list[str]:
    """Read one name of an object, or a list of names. Raises `ArgumentError`."""
    names = value if isinstance(value, list | tuple) else [value]
    if not names or len(names) > MOST_OBJECTS:
        raise ArgumentError(f"has {len(names)} names for {what}", example)
    texts = [text_of(name, what, example) for name in names]
    if len({text.casefold() for text in texts}) < len(texts):
        raise ArgumentError(f"names one object twice: {shown(', '.join(texts))}", example)
    return texts


def found_objects(
    boxes: Sequence[Box], names: Sequence[str], sure: float
) -> dict[str, tuple[Box, ...]]:
    """Return the boxes that count, by the object's name, the surest first."""
    found: dict[str, tuple[Box, ...]] = {}
    for name in names:
        own = sorted((box for box in boxes if box.word == name), key=lambda box: -box.confidence)
        best = own[0].confidence if own else 0.0
        kept = [box for box in own if box.confidence > sure and box.confidence >= HALF * best]
        places = [place(box) for box in kept]
        found[name] = tuple(kept[index] for index in distinct(places))
    return found


def place(box: Box) -> Place:
    """Return where a box is."""
    return float(box.left), float(box.top), float(box.right), float(box.bottom)
