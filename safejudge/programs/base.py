"""What a program is: it looks at a picture by itself, and says what it found or that it cannot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from safejudge.errors import ArgumentError
from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.types import JSON, Box, Picture

MOST_TEXT = 2000
"""Characters of one argument, as a rule has it or an item fills it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a program found in one picture."""

    value: float | None
    """What was measured; None where nothing could be."""
    holds: bool | None
    """Whether the precondition holds; None: the program could not look, which is no *no*."""
    said: str
    """The same for people: what was found, or why nothing was."""
    boxes: tuple[Box, ...] = ()
    """Words that were read, or objects that were counted."""
    facts: JSON = field(default_factory=dict)
    """Further numbers, as JSON knows them."""


class Program:
    """Base of all programs. Another package adds its own by the entry point `safejudge.programs`.

    One object serves all pictures of a judge, one after the other. Whatever `look` raises leaves
    its precondition undecided, and no more.
    """

    name: ClassVar[str]
    """As rules call it: `program: {NAME: ...}`."""
    version: ClassVar[str]
    """Another one wherever the same picture may come out otherwise."""
    options: ClassVar[tuple[str, ...]] = ()
    """Names of the arguments beside the first."""

    def check(self, arguments: JSON) -> JSON:
        """Return the arguments in one form, numbers as numbers.

        Those of a rule may have slots (`{text}`) in them; an item fills these before `look`, and
        then this is called once more. Raises `ArgumentError`.
        """
        return arguments

    def objects(self, arguments: JSON) -> tuple[str, ...]:
        """Name what the judge's detector has to look for; `look` is handed its boxes."""
        del arguments
        return ()

    def holds_of_nothing(self, arguments: JSON) -> bool:
        """Whether a picture without anything in it fulfils the arguments; `lint` warns of that."""
        del arguments
        return False

    def prepare(self) -> None:
        """Get ready, once before a run. Raises `InputError` that names the extra to install."""

    def files(self) -> tuple[Path, ...]:
        """Return the model files that answers hang on; their content goes into digests."""
        return ()

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Look at one picture; `arguments` are checked and without slots."""
        raise NotImplementedError


def share(arguments: JSON, name: str, default: float) -> float:
    """Read an option that is a number in (0, 1]. Raises `ArgumentError`."""
    value = arguments.get(name, default)
    number = number_of(value)
    if number is None or not 0 < number <= 1:
        example = f"`{name}: {default}`, a number above 0, at most 1"
        raise ArgumentError(f"has {shown(value)} for `{name}`", example)
    return number


def number_of(value: Any) -> float | None:
    """Read a number, written as text or not; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number - number == 0 else None


def text_of(value: Any, what: str, example: str) -> str:
    """Read a text on one line, or a number as one. Raises `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ArgumentError(f"has {shown(value)} where {what} is expected", example)
    text = " ".join(str(value).split())
    if not text:
        raise ArgumentError(f"has nothing where {what} is expected", example)
    if len(text) > MOST_TEXT:
        raise ArgumentError(
            f"has {len(text)} characters for {what}", f"at most {MOST_TEXT} characters"
        )
    return text


def shown(value: Any) -> str:
    """Name a value in a message."""
    return quoted(value if isinstance(value, str) else str(value))


def is_slot(value: Any) -> bool:
    """Whether an argument stands for whatever an item has: `{text}`."""
    return isinstance(value, str) and value.startswith("{") and value.endswith("}")
