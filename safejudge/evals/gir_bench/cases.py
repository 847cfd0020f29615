"""One case of GIR-Bench (arXiv 2510.11026): a record -> what was wanted, and what was found.

Four kinds, told by their fields: words that were read ({reference, seen}), the reply of a model
that counted ({objects, number, reply}), boxes of a detector ({objects, boxes, relations}), digits
with their centres ({grid_size, size, question, answer, drawn}). Where nothing was found (`seen`,
`reply`, `boxes` or `drawn` is null) there was no picture: that is wrong, and not left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals import recorded
from safejudge.programs.scoring import grids, texts
from safejudge.programs.scoring.layout import DIRECTIONS, Direction, Place

if TYPE_CHECKING:
    from safejudge.programs.scoring.grids import Digit
    from safejudge.programs.scoring.masks import Overlap
    from safejudge.types import JSON

Subset = Literal["text", "counts", "layout", "sudoku", "perception"]
SUBSETS: tuple[Subset, ...] = ("text", "counts", "layout", "sudoku", "perception")


class UnusableError(ValueError):
    """Why a case cannot be scored, whatever was found."""


@dataclass(frozen=True, slots=True)
class TextCase:
    """Words that should stand in a picture."""

    reference: str
    seen: str | None
    """What was read; None without a picture."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a reply says of some objects."""

    found: Mapping[str, int]
    """By object: the larger of the number told and the boxes named after it; 0 if missing."""
    missing: tuple[str, ...]
    """Objects that are listed as missing."""


@dataclass(frozen=True, slots=True)
class CountCase:
    """How many of each object should be there."""

    expected: Mapping[str, int]
    counts: Counts | None
    """None where the reply cannot be read, or there is no picture."""
    problem: str = ""
    """Why it cannot be read."""
    missing: bool = False
    """Whether there is no picture."""


@dataclass(frozen=True, slots=True)
class Relation:
    """How one thing, or group of things, should stand to another."""

    subject: tuple[str, ...]
    direction: Direction
    other: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayoutCase:
    """Objects that should be there once each, and how they should stand."""

    objects: tuple[str, ...]
    boxes: Mapping[str, tuple[Place, ...]] | None
    """What a detector found; None without a picture."""
    relations: tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class SudokuCase:
    """A number puzzle, its solution, and the digits that were read in a drawn one."""

    cells: int
    """In a row."""
    question: tuple[Digit, ...]
    answer: tuple[Digit, ...]
    drawn: tuple[Digit, ...] | None
    """None without a picture."""
    side: float
    """Of the pictures of question and answer, in pixels."""
    side_drawn: float


@dataclass(frozen=True, slots=True)
class GridCase:
    """The same, read cell by cell."""

    question: grids.Rows
    answer: grids.Rows
    drawn: grids.Rows | None
    """None without a picture."""


@dataclass(frozen=True, slots=True)
class MaskCase:
    """A region that should be painted green."""

    overlap: Overlap | None
    """Of what was painted with what is meant; None without a picture."""


Case = TextCase | CountCase | LayoutCase | SudokuCase | GridCase | MaskCase

_FIELDS: dict[Subset, set[str]] = {
    "text": {"reference", "seen"},
    "counts": {"objects", "number", "reply"},
    "layout": {"objects", "boxes", "relations"},
    "sudoku": {"grid_size", "size", "question", "answer", "drawn"},
}


def subset_of(record: JSON) -> Subset | None:
    """Which kind of case a record is, by its fields; None for no case."""
    return next((subset for subset, names in _FIELDS.items() if names <= record.keys()), None)


def case_of(subset: Subset, record: JSON) -> Case:
    """Read one case. Raises `UnusableError`."""
    return _READERS[subset](record)


# --- words ----------------------------------------------------------------------------------------


def _text(record: JSON) -> TextCase:
    reference, seen = record["reference"], record["seen"]
    if not isinstance(reference, str) or not texts.words(reference):
        raise UnusableError("the reference has no words")
    if seen is not None and not isinstance(seen, str):
        raise UnusableError("what was read is no text")
    return TextCase(reference, seen)


# --- counts ---------------------------------------------------------------------------------------


def _counts(record: JSON) -> CountCase:
    names, numbers = _names(record["objects"]), record["number"]
    wanted = [_whole(number) for number in numbers] if isinstance(numbers, list) else []
    expected = {name: n for name, n in zip(names, wanted, strict=False) if n is not None}
    if not names or len(names) != len(wanted) or len(expected) != len(names):
        raise UnusableError("no whole number for each object")
    if record["reply"] is None:
        return CountCase(expected, None, missing=True)
    counts = read_counts(record["reply"], names)
    if isinstance(counts, str):
        return CountCase(expected, None, counts)
    return CountCase(expected, counts)


def read_counts(reply: Any, objects: Sequence[str]) -> Counts | str:
    """What a counting model's reply says of some objects, or why it cannot be read.

    Its JSON is what stands between the first and the last brace; so a brace among the thoughts
    before it breaks it, as it does for the published script.
    """
    if not isinstance(reply, str) or "{" not in reply or "}" not in reply:
        return "no JSON object"
    try:
        value = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
    except (ValueError, RecursionError):
        return "JSON is broken"
    told, boxes = value.get("counts") or {}, value.get("bboxes") or {}
    missing = value.get("missing_objects") or []
    if not (isinstance(told, dict) and isinstance(boxes, dict) and isinstance(missing, list)):
        return "counts, bboxes or missing_objects are of another type"
    counts = {_name(name): _whole(number) for name, number in told.items()}
    if None in counts.values():
        return "a count is no whole number"
    boxed = Counter(_owner(_name(_NUMBERED.sub("", name)), objects) for name in boxes)
    lacking = tuple(_name(str(name)) for name in missing)
    found = {
        name: 0 if name in lacking else max(counts.get(name) or 0, boxed[name]) for name in objects
    }
    return Counts(found, lacking)


def _owner(name: str, objects: Sequence[str]) -> str:
    """The object that a box is of; one named without its first word (`ball`) is of the longest."""
    if name in objects:
        return name
    return max((o for o in objects if o.partition(" ")[2] == name), key=len, default=name)


_NUMBERED = re.compile(r"[_ ]\d+$")
"""`traffic_light_2` is the second box of a traffic light."""


def _name(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _names(values: Any) -> list[str]:
    """Names that are all different, or nothing."""
    if not isinstance(values, list):
        return []
    names = [_name(value) for value in values if isinstance(value, str)]
    return names if len(set(names)) == len(values) and all(names) else []


def _whole(value: Any) -> int | None:
    number = recorded.integer(value)
    return number if number is not None and number >= 0 else None


# --- boxes ----------------------------------------------------------------------------------------


def _layout(record: JSON) -> LayoutCase:
    boxes, relations = record["boxes"], record["relations"]
    names = _names(record["objects"])
    if not names or not isinstance(relations, list) or not relations:
        raise UnusableError("no objects or no relations")
    wanted = tuple(_relation(relation, names) for relation in relations)
    if boxes is None:
        return LayoutCase(tuple(names), None, wanted)
    if not isinstance(boxes, dict) or not all(isinstance(some, list) for some in boxes.values()):
        raise UnusableError("boxes are no lists by name")
    found = {_name(name): tuple(_box(box) for box in some) for name, some in boxes.items()}
    return LayoutCase(tuple(names), found, wanted)


def _relation(relation: Any, names: Sequence[str]) -> Relation:
    if not isinstance(relation, dict):
        raise UnusableError("a relation is no {subject, direction, object}")
    direction = DIRECTIONS.get(_name(str(relation.get("direction"))))
    if direction is None:
        raise UnusableError("a direction that is not known")
    sides = []
    for value in (relation.get("subject"), relation.get("object")):
        group = _names(value if isinstance(value, list) else [value])
        if not group or not set(group) <= set(names):
            raise UnusableError("a relation of something that is no object of the case")
        sides.append(tuple(group))
    return Relation(sides[0], direction, sides[1])


def _box(box: Any) -> Place:
    left, top, right, bottom = _numbers(box, 4, "a box is not four numbers")
    if left > right or top > bottom:
        raise UnusableError("a box ends before it begins")
    return left, top, right, bottom


def _numbers(values: Any, count: int, problem: str) -> list[float]:
    """So many numbers. Raises `UnusableError`."""
    read = [recorded.number(value) for value in values] if isinstance(values, list) else []
    numbers = [number for number in read if number is not None]
    if len(read) != count or len(numbers) != count:
        raise UnusableError(problem)
    return numbers


# --- digits ---------------------------------------------------------------------------------------


_MOST_CELLS = 100
"""Cells in a row of a grid."""


def _sudoku(record: JSON) -> SudokuCase:
    cells, size = _whole(record["grid_size"]), record["size"]
    sizes = [size.get("answer"), size.get("drawn")] if isinstance(size, dict) else []
    side, side_drawn = _numbers(sizes, 2, "no size of the pictures")
    if not cells or cells > _MOST_CELLS or min(side, side_drawn) <= 0:
        raise UnusableError("no size of the grid or of its pictures")
    question, answer = _digits(record["question"]), _digits(record["answer"])
    drawn = None if record["drawn"] is None else _digits(record["drawn"])
    if any(0 in row for row in grids.in_cells(answer, side, cells)):
        raise UnusableError("the solution does not fill a grid of this size")
    return SudokuCase(cells, question, answer, drawn, side, side_drawn)


def _digits(values: Any) -> tuple[Digit, ...]:
    """Digits with their centres; what was read there may be no digit."""
    if not isinstance(values, list) or not all(isinstance(v, list) and v for v in values):
        raise UnusableError("digits are no list of [text, x, y]")
    digits = []
    for text, *place in values:
        x, y = _numbers(place, 2, "a digit is no [text, x, y]")
        digits.append((recorded.word(text), x, y))
    return tuple(digits)


_READERS: dict[Subset, Callable[[JSON], Case]] = {
    "text": _text, "counts": _counts, "layout": _layout, "sudoku": _sudoku,
}  # fmt: skip
