"""What a detector found, as programs take it: one box an object; which are there, which may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs.base import share, shown, text_of
from safejudge.programs.scoring.layout import distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from safejudge.programs.scoring.layout import Place
    from safejudge.types import JSON, Box

SURE = 0.4
"""An object is there where a detector is surer of its box than this, unless a rule says otherwise.
"""
FAINT = 0.15
"""And it is not there where the detector is less sure than this. What lies between may be there or
not, so what hangs on it is undecided. Both were chosen on the drawn world; see `benchmarks`."""
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


@dataclass(frozen=True, slots=True)
class Seen:
    """The boxes of one object, none of which repeats another."""

    sure: tuple[Box, ...]
    """Those that are there."""
    faint: tuple[Box, ...]
    """Those that may be there."""

    @property
    def text(self) -> str:
        """How many there are: `2`, or `2 to 3`."""
        least = len(self.sure)
        return f"{least} to {least + len(self.faint)}" if self.faint else str(least)


def thresholds(arguments: JSON) -> JSON:
    """Check the options `confidence` and `faint`; leave out what is as usual."""
    sure, faint = share(arguments, "confidence", SURE), share(arguments, "faint", FAINT)
    if faint > sure:
        raise ArgumentError(
            f"has {faint} for `faint`, which is more than {sure} for `confidence`",
            "`faint` at most as high as `confidence`; equal leaves nothing undecided",
        )
    usual = {"confidence": (sure, SURE), "faint": (faint, FAINT)}
    return {name: value for name, (value, default) in usual.items() if value != default}


def seen_objects(boxes: Sequence[Box], names: Sequence[str], arguments: JSON) -> dict[str, Seen]:
    """Part the boxes of each object into those that are there and those that may be."""
    sure, faint = arguments.get("confidence", SURE), arguments.get("faint", FAINT)
    seen: dict[str, Seen] = {}
    for name in names:
        own = sorted((box for box in boxes if box.word == name), key=lambda box: -box.confidence)
        own = [box for box in own if box.confidence > faint]
        kept = [own[index] for index in distinct([place(box) for box in own])]
        seen[name] = Seen(
            tuple(box for box in kept if box.confidence > sure),
            tuple(box for box in kept if box.confidence <= sure),
        )
    return seen


def all_boxes(seen: Mapping[str, Seen]) -> tuple[Box, ...]:
    """Return every box, for the record."""
    return tuple(box for own in seen.values() for box in (*own.sure, *own.faint))


def place(box: Box) -> Place:
    """Return where a box is."""
    return float(box.left), float(box.top), float(box.right), float(box.bottom)
