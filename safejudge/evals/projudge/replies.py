"""A judge's reply about a solution -> one mark a step. Pure.

The reply was asked for as a list with a list for each step: [step, "1" or "0", type of error, why],
as Python or JSON writes it, with whatever stands around it; the last such list counts. Nothing of a
reply is ever run: JSON, else literals. Steps in another order are put in place by their texts where
these are the same texts; else the places count. A reply with another number of steps is unread.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.evals import recorded
from safejudge.prompts import STEP_KINDS
from safejudge.text import one_line, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KINDS = tuple(STEP_KINDS)
"""Types of error; the data writes most of them with "Error" behind."""
REASONS = ("empty", "no list of steps", "another number of steps")
"""Why a reply is unread."""

_LONGEST = 200_000
"""Signs of a reply that are looked at, from its end; the last list counts."""
_DEEPEST = 8
"""Brackets in brackets; a list of steps has two."""
_START = re.compile(r"\[\s*(?=[\[{(])")
# An escaped sign that stands in no string opens none: else each would be looked at to the very end.
_PIECE = re.compile(r"""[\[{(]|[\]})]|\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)
_WORDS = {"1": True, "0": False, "correct": True, "incorrect": False, "right": True,
          "wrong": False, "true": True, "false": False}  # fmt: skip
_NAMED = {
    "step": ("step", "step_text"),
    "mark": ("correctness", "correct", "mark"),
    "kind": ("error_type", "type", "kind"),
    "why": ("explanation", "reason", "why"),
}
"""What the parts are called where a step is an object."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a reply, or people, say of one step."""

    text: str
    """The step, as it stands there."""
    right: bool | None
    """None where neither is said."""
    kind: str | None = None
    """One of `KINDS`; None for a right step, where none is said, and where it is none of them."""
    said: str = ""
    """What stands in the place of the kind."""
    why: str = ""
    score: float | None = None
    """How far it is right, in [0, 1], where that is told."""


def kind_of(value: Any) -> str | None:
    """A type of error, in the data's words or short of "Error"; None for anything else."""
    word = one_line(value).lower().removesuffix(" error") if isinstance(value, str) else ""
    return next((kind for kind in KINDS if kind.lower() == word), None)


def mark_of(value: Any) -> Mark:
    """One step of a list; what is said is None where the entry has another form."""
    if isinstance(value, dict):
        value = [
            next((value[name] for name in names if name in value), "") for names in _NAMED.values()
        ]
    parts = [*value, "", "", "", ""][:4] if isinstance(value, list | tuple) else [""] * 4
    text, right, kind, why = parts
    said = recorded.word(kind)
    return Mark(recorded.word(text), _right(right), kind_of(said), said, recorded.word(why))


def _right(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    whole = recorded.integer(value)
    return None if whole is None else _WORDS.get(str(whole))


def read_marks(reply: Any, steps: Sequence[str]) -> tuple[Mark, ...] | str:
    """The marks of some steps, in their order, or why there are none (one of `REASONS`)."""
    listed = [reply] if _is_of_steps(reply) else []
    if isinstance(reply, str):
        if not reply.strip():
            return REASONS[0]
        listed = list(_lists(storable(reply)[-_LONGEST:]))
    if not listed:
        return REASONS[0] if reply is None else REASONS[1]
    marks = [mark_of(entry) for entry in listed[-1]]
    return _in_place(marks, steps) if len(marks) == len(steps) else REASONS[2]


def _in_place(marks: Sequence[Mark], steps: Sequence[str]) -> tuple[Mark, ...]:
    """Marks in the order of the steps: by their texts where they are the same, else as they are."""
    places = defaultdict(list)
    for place, mark in enumerate(marks):
        places[one_line(mark.text)].append(place)
    wanted = [one_line(step) for step in steps]
    if sorted(wanted) != sorted(one_line(mark.text) for mark in marks):
        return tuple(marks)
    return tuple(marks[places[text].pop(0)] for text in wanted)


# --- lists in a text ------------------------------------------------------------------------------


def _lists(text: str) -> Iterator[list[Any]]:
    """Every list of lists or objects in a text, in order; none is inside another."""
    at = 0
    while (start := _START.search(text, at)) is not None:
        end = _end(text, start.start())
        found = None if end is None else _parsed(text[start.start() : end])
        at = start.start() + 1 if end is None or found is None else end
        if found is not None:
            yield found


def _end(text: str, start: int) -> int | None:
    """Where the brackets that open at `start` are closed again; None where they never are."""
    depth = 0
    for piece in _PIECE.finditer(text, start):
        if piece[0] in "[{(":
            depth += 1
        elif piece[0] in "]})":
            depth -= 1
        if depth == 0:
            return piece.end()
        if depth > _DEEPEST:
            return None
    return None


def _parsed(text: str) -> list[Any] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings():  # of formulas, such as \\( in a string
                warnings.simplefilter("ignore")
                value = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return value if _is_of_steps(value) else None
    return None


def _is_of_steps(value: Any) -> bool:
    """Whether a list has an entry with a step and a mark at least."""
    return isinstance(value, list) and any(
        isinstance(entry, list | tuple | dict) and len(entry) > 1 for entry in value
    )
