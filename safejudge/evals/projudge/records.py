"""ProJudge (arXiv 2503.06553): solutions with people's marks, and a judge's replies about them.

A case has {id, subject, data_type, question, image_paths, student_solution, process_evaluation:
[[step, "1" or "0", type, why]]}. A judge's line has {id, reply}; a file is one judge's, and its
name tells whose. What cannot be used is counted, and never filled in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.evals import recorded
from safejudge.evals.projudge.replies import Mark, mark_of, read_marks
from safejudge.text import counted, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Case:
    """One solution."""

    key: str
    subject: str
    form: str
    """With which pictures: pure_text, single_image, ..."""
    question: str
    pictures: tuple[str, ...]
    """Paths, as the record has them."""
    marks: tuple[Mark, ...]
    """What people say of each step."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps, as they are handed to a judge."""
        return tuple(mark.text for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge said."""

    judge: str
    file: str
    said: Mapping[str, tuple[Mark, ...] | str]
    """By case: its marks, or why the reply is unread. What is missing has no entry."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why lines do not count, and how many."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    cases: Mapping[str, Case]
    judged: tuple[Judged, ...]
    left_out: Mapping[str, int]
    """Why cases do not count, and how many."""
    unread: tuple[str, ...] = ()
    """Files that were not understood, wholly or in part, with the reason."""


class Cases:
    """Cases as they are read, each once, and why others do not count."""

    def __init__(self) -> None:
        self.found: dict[str, Case] = {}
        self.left_out: Counter[str] = Counter()

    def take(self, record: JSON) -> None:
        """Keep one case, or count why not."""
        case = case_of(record)
        if isinstance(case, str):
            self.left_out[case] += 1
        elif case.key in self.found:
            self.left_out["case whose id was there before; the first counts"] += 1
        else:
            self.found[case.key] = case


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    cases = Cases()
    lines: dict[str, list[JSON]] = {}
    unread: list[str] = []
    for file in recorded.read_folder(folder):
        unread += [f"{file.file}: {problem}" for problem in file.problems]
        replies = [record for record in file.records if "reply" in record and "id" in record]
        solved = [record for record in file.records if is_case(record)]
        if replies:
            lines[file.file] = replies
        for record in solved:
            cases.take(record)
        if foreign := len(file.records) - len(replies) - len(solved):
            unread.append(
                f"{file.file}: {foreign} of {counted(len(file.records), 'record')} are neither "
                "solutions nor replies"
            )
    judged = tuple(
        _judged(judge, file, lines[file], cases.found)
        for file, judge in recorded.judges_of(lines).items()
    )
    return Recorded(cases.found, judged, cases.left_out, tuple(unread))


def is_case(record: JSON) -> bool:
    """Whether a record is a solution, good or bad."""
    return "process_evaluation" in record and "reply" not in record


def case_of(record: JSON) -> Case | str:
    """One solution, or why it cannot be used."""
    key, question = recorded.word(record.get("id")), recorded.word(record.get("question"))
    if not key or not question:
        return "case without an id or a question"
    rows = record.get("process_evaluation")
    marks = tuple(mark_of(row) for row in rows) if isinstance(rows, list) else ()
    if not marks or any(mark.right is None or not mark.text for mark in marks):
        return "case without steps that people marked 1 or 0"
    if any(not mark.right and mark.kind is None for mark in marks):
        return "case with a wrong step of an unknown type"
    subject, form = (recorded.word(record.get(name)) for name in ("subject", "data_type"))
    pictures = _pictures(record.get("image_paths"))
    if pictures is None:  # shown without its pictures it would be another question
        return "case whose image_paths are no paths"
    return Case(key, subject, form, question, pictures, marks)


def _pictures(paths: Any) -> tuple[str, ...] | None:
    """Every path, in order; an entry that is null or empty names no picture, as in Parquet."""
    values = [*paths.values()] if isinstance(paths, dict) else paths
    listed = values if isinstance(values, list | tuple) else [values]
    named = [value for value in listed if value is not None and value != ""]
    words = [value.strip() for value in named if isinstance(value, str)]
    return tuple(map(storable, words)) if all(words) and len(words) == len(named) else None


def _judged(judge: str, file: str, replies: Iterable[JSON], cases: Mapping[str, Case]) -> Judged:
    said: dict[str, tuple[Mark, ...] | str] = {}
    left_out: Counter[str] = Counter()
    for record in replies:
        key = recorded.word(record["id"])
        if key not in cases:
            left_out["reply about an unknown case"] += 1
        elif key in said:
            left_out["reply about a case that was there before; the first counts"] += 1
        else:
            said[key] = read_marks(record["reply"], cases[key].steps)
    return Judged(judge, file, said, left_out)
