"""ArtifactsBench (arXiv 2507.04952): its tasks with their checklists, and a judge's replies.

Tasks are lines {index, question, checklist, class "Area-Part", difficulty}. A judged line has the
index and the judge's reply, `NAME_reason`, or only its score as text, `NAME_ans`; NAME is the
judge. A file of judged lines is about one generator, which its name tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from safejudge.evals import recorded
from safejudge.evals.artifactsbench.replies import KEYS, Reading, read_published, read_score
from safejudge.text import counted
from safejudge.types import Checklist, Point

if TYPE_CHECKING:
    from safejudge.types import JSON

NONE = "(none)"
"""Stands for a difficulty or an area that a task does not tell."""


@dataclass(frozen=True, slots=True)
class Task:
    """One request for a page or a drawing."""

    index: str
    question: str
    checklist: Checklist | None
    """None where it cannot be read."""
    area: str
    difficulty: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge said of one generator's answers."""

    generator: str
    judge: str
    """Empty where no line was read."""
    file: str
    readings: Mapping[str, Reading]
    """By the index of a task. What is missing has no entry."""
    published: tuple[float | None, ...]
    """Of every line of the file, as the released script reads it."""
    left_out: Mapping[str, int]
    """Why lines do not count, and how many."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    tasks: Mapping[str, Task]
    judged: tuple[Judged, ...]
    left_out: Mapping[str, int]
    """Why tasks do not count, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


@dataclass(slots=True)
class _Found:
    tasks: dict[str, Task] = field(default_factory=dict)
    lines: dict[str, list[JSON]] = field(default_factory=dict)
    """Judged lines by file."""
    left_out: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    found = _Found()
    for lines in recorded.read_folder(folder):
        found.unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        foreign = sum(not _take(record, lines.file, found) for record in lines.records)
        if foreign:
            found.unread.append(
                f"{lines.file}: {foreign} of {counted(len(lines.records), 'record')} are neither "
                "tasks nor judged answers"
            )
    names = Counter(_name(file) for file in found.lines)
    judged = tuple(
        _judged(_name(file) if names[_name(file)] == 1 else file, file, records, found.tasks)
        for file, records in found.lines.items()
    )
    return Recorded(found.tasks, judged, found.left_out, tuple(found.unread))


def _name(file: str) -> str:
    stem = PurePosixPath(file).stem
    return stem.removeprefix("judge_") or stem


def _take(record: JSON, file: str, found: _Found) -> bool:
    """Keep a task or a judged line; whether it was one."""
    if "index" not in record:
        return False
    if _fields(record):
        found.lines.setdefault(file, []).append(record)
        return True
    if "checklist" not in record:
        return False
    task = task_of(record)
    if task is None:
        found.left_out["task without an index or a question"] += 1
    elif task.index in found.tasks:
        found.left_out["task whose index was there before; the first counts"] += 1
    else:
        found.tasks[task.index] = task
    return True


# --- tasks ----------------------------------------------------------------------------------------


def task_of(record: JSON) -> Task | None:
    """One task; None without an index or a question."""
    index, question = recorded.word(record["index"]), recorded.word(record.get("question"))
    if not index or not question:
        return None
    area = recorded.word(record.get("class")).partition("-")[0].strip()
    difficulty = recorded.word(record.get("difficulty"))
    checklist = checklist_of(record["checklist"])
    return Task(index, question, checklist, area or NONE, difficulty or NONE)


def checklist_of(value: Any) -> Checklist | None:
    """A checklist of {id, title, description, maxScore}; None for anything else."""
    points = [_point(point) for point in value] if isinstance(value, list) else []
    try:
        return Checklist.model_validate({"points": points})
    except ValidationError:
        return None


def _point(point: Any) -> Point | None:
    if not isinstance(point, dict):
        return None
    words = {name: recorded.word(point.get(name)) for name in ("id", "title", "description")}
    most = recorded.number(point.get("maxScore"))
    try:
        return Point.model_validate(words | {"most": most})
    except ValidationError:
        return None


# --- judged lines ---------------------------------------------------------------------------------

_REPLY, _SCORE = "_reason", "_ans"


def _fields(record: JSON) -> list[str]:
    """Where a line has a judge's reply, or else its score."""
    names = [name for end in (_REPLY, _SCORE) for name in record if name.endswith(end)]
    return [name for name in names if len(name) > len(_SCORE)]


def _judged(generator: str, file: str, records: list[JSON], tasks: Mapping[str, Task]) -> Judged:
    readings: dict[str, Reading] = {}
    left_out: Counter[str] = Counter()
    published: list[float | None] = []
    for record in records:
        reading, as_published = _read(record)
        published.append(as_published)
        index = recorded.word(record["index"])
        if index not in tasks:
            left_out["unknown index"] += 1
        elif index in readings:
            left_out["index that was there before; the first counts"] += 1
        else:
            readings[index] = reading
    return Judged(
        generator, ", ".join(_judges(records)), file, readings, tuple(published), left_out
    )


def _read(record: JSON) -> tuple[Reading, float | None]:
    """The score of one line, ours and as published."""
    name = _fields(record)[0]
    value = record[name]
    if name.endswith(_SCORE):  # the score alone, in the form of a reply
        value = f'{{"{KEYS[0]}": "{recorded.word(value)}"}}'
    return read_score(value), read_published(value)


def _judges(records: list[JSON]) -> Iterator[str]:
    names = dict.fromkeys(_fields(record)[0] for record in records)
    yield from dict.fromkeys(name.removesuffix(_REPLY).removesuffix(_SCORE) for name in names)
