"""Programs in rules: what one is asked, as it stands in a file, and what it found."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_serializer, model_validator

from safejudge.types.base import JSON, Record, SparseRecord
from safejudge.types.requests import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types.pictures import Picture

_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_PLAIN = re.compile(r'[^",:\[\]]*[^\W\d_][^",:\[\]]*')
"""Text that nobody takes for a number or for several texts."""


class Call(Record):
    """What a program is asked: its name, and its arguments as a rule has them.

    Written out it is the arguments alone, of which the first is called like the program:
    `{"words": "{text}", "at_least": 0.5}`.
    """

    name: str
    """Of the program."""
    arguments: JSON
    """By name; the first is called like the program and says what it looks for."""

    @model_validator(mode="before")
    @classmethod
    def _from_arguments(cls, value: Any) -> Any:
        if isinstance(value, dict) and value and value.keys() != {"name", "arguments"}:
            return {"name": next(iter(value)), "arguments": value}
        return value

    @model_serializer(mode="plain")
    def _as_arguments(self) -> dict[str, Any]:
        return dict(self.arguments)

    @property
    def text(self) -> str:
        """The call on one line, as people read it: `words: SALE, at_least: 0.5`."""
        return ", ".join(f"{name}: {_in_words(value)}" for name, value in self.arguments.items())

    # By its text, so that a mapping inside is no hindrance.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and (self.name, self.text) == (other.name, other.text)

    def __hash__(self) -> int:
        return hash((self.name, self.text))

    @property
    def slots(self) -> tuple[str, ...]:
        """Names in braces, which an item has to fill: `{text}`."""
        found = (m[1] for text in _texts(self.arguments) for m in _SLOT.finditer(text))
        return tuple(dict.fromkeys(found))

    def filled(self, values: JSON) -> Call:
        """Put an item's values in the place of the slots; braces inside these stay as they are.

        Where a text is nothing but a slot the value stands there as it is. Slots that the item has
        no value for are left.
        """
        arguments = {name: _put(value, values) for name, value in self.arguments.items()}
        return Call(name=self.name, arguments=arguments)


def _in_words(value: Any) -> str:
    match value:
        case str():
            return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
        case dict():
            return "{" + ", ".join(f"{name}: {_in_words(v)}" for name, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_in_words, value)) + "]"
        case _:
            return json.dumps(value)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, inner in value.items():
                yield name
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)


def _put(value: Any, values: JSON) -> Any:
    match value:
        case str():
            whole = _SLOT.fullmatch(value)
            return values[whole[1]] if whole and whole[1] in values else _in_text(value, values)
        case dict():
            return {_in_text(name, values): _put(inner, values) for name, inner in value.items()}
        case list() | tuple():
            return [_put(inner, values) for inner in value]
        case _:
            return value


def _in_text(text: str, values: JSON) -> str:
    return _SLOT.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], text)


class Finding(SparseRecord):
    """What a program found in one picture."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({"boxes", "facts"})

    call: Call
    """What it was asked, slots as they stand in the rule."""
    version: str
    """The program's."""
    value: float | None
    """What was measured, such as a share; None where nothing could be."""
    holds: bool | None
    """Whether the precondition holds; None: the program could not look, which is no *no*."""
    said: str
    """What was found, or why nothing was, for people."""
    boxes: tuple[Box, ...] = ()
    """Words that were read, or objects that were counted: where they are, and how surely."""
    facts: JSON = Field(default_factory=dict)
    """Further numbers."""

    def __hash__(self) -> int:
        return hash((self.call, self.version, self.said))


@dataclass(frozen=True, slots=True)
class Look:
    """A request to a program: look at a picture."""

    picture: Picture
    """The frame on the background that is looked at."""
    call: Call
    """What is asked."""
    fields: tuple[tuple[str, str], ...] = ()
    """What the item has for its slots: the name, and the value as JSON."""
