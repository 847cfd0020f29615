"""Judge Anything (arXiv 2503.17489): its requests, answers, people's marks, and judges' outputs.

What a record is is told by its fields. Who judged, and in which setting, only the name of a file
tells: `Human_*.json`, `Score_JUDGE_SETTING.json`, `Pair_JUDGE_SETTING.json`. A key is (request,
answer or pair, rubric); where one comes twice, the first counts.

The released files of people's marks and of checklists are larger than any copy that could be read:
the names of their fields are those that the benchmark's scripts read and write.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from safejudge.evals import recorded
from safejudge.evals.replies import read_code
from safejudge.evals.stats.agreement import LEVELS
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safejudge.types import JSON

Task = Literal["score", "pair"]
"""One answer marked from 1 to 5; or two compared: 0 for the first, 1 for neither, 2 for the
second."""
Setting = Literal["overall", "rubric", "checklist"]
"""One mark; one a rubric; one a rubric with the request's own checklist."""
SETTINGS: tuple[Setting, ...] = ("overall", "rubric", "checklist")
OVERALL = "overall_score"
"""The rubric of the setting `overall`, also of pairs."""
RUBRICS = ("relevance", "trustworthiness", "creativity", "clarity", "coherence", "completeness")
SIDES = {
    "MMU": ("Text2Text", "Image2Text", "Video2Text", "Audio2Text", "AudioVideo2Text"),
    "MMG": (
        "Text2Image", "Text2Video", "Text2Audio", "Image2Image", "Image2Video", "Image2Audio",
        "Video2Video", "Video2Audio", "Audio2Video", "Audio2Audio",
    ),
}  # fmt: skip
"""Kinds of requests: understanding ends in text, generation in anything else."""
BETWEEN = "_vs_"
"""Stands between the names of a pair."""
TIE = 1
"""The code for neither of two."""


class Key(NamedTuple):
    """What a mark is about."""

    item: str
    answer: str
    """Who answered; of a pair `FIRST_vs_SECOND`."""
    rubric: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge said in one setting, of everything that people marked."""

    judge: str
    setting: Setting
    task: Task
    file: str
    marks: Mapping[Key, int | None]
    """What was said; None where it could not be read. What is missing has no entry."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    kinds: Mapping[str, str]
    """The kind of each request."""
    people: Mapping[Task, Mapping[Key, int]]
    """People's marks."""
    judges: tuple[Judged, ...]
    left_out: Mapping[str, Mapping[str, int]]
    """Why records of a file were left out, and how many; by the file."""
    other_types: Mapping[str, tuple[int, int]]
    """By kind, answers that are no text, picture, ... as their kind asks; and all answers."""
    games: tuple[JSON, ...]
    """Lists of games by name, for ratings alone, in the form of `games_of`."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def side_of(kind: str) -> str:
    """MMU for a kind that ends in text, MMG for any other."""
    return "MMU" if kind.endswith("2Text") else "MMG"


def read_mark(value: Any, task: Task) -> int | None:
    """A mark however it was written (4, "4", 4.0); None for any other: 4.5, 0, 6, true, "four"."""
    if task == "pair":
        return read_code(value)
    mark = recorded.integer(value)
    return mark if mark in LEVELS else None


# --- a folder -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    kinds: dict[str, str] = field(default_factory=dict)
    people: dict[Task, dict[Key, int]] = field(default_factory=lambda: {"score": {}, "pair": {}})
    answers: list[tuple[str, str]] = field(default_factory=list)
    """Kind and type of every answer."""
    marks: list[tuple[re.Match[str], str, list[JSON]]] = field(default_factory=list)
    """Judges' records, by what the name of the file says."""
    games: list[JSON] = field(default_factory=list)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    found = _Found()
    for lines in recorded.read_folder(folder):
        found.unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        _file(lines, found)
    for task, people in found.people.items():
        found.people[task] = {key: mark for key, mark in people.items() if key.item in found.kinds}
        if lost := len(people) - len(found.people[task]):
            found.unread.append(
                f"{lost} of {len(people)} marks of people are about a request of no known kind"
            )
    judges = [_judged(name, file, records, found) for name, file, records in found.marks]
    left_out = {file: dict(reasons) for file, reasons in found.left_out.items() if reasons}
    return Recorded(
        found.kinds, found.people, tuple(judges), left_out, _other_types(found.answers),
        tuple(found.games), tuple(found.unread),
    )  # fmt: skip


_NAME = re.compile(r"(?P<task>Score|Pair)_(?P<judge>.+)_(?P<setting>overall|rubric|checklist)")


def _file(lines: recorded.Lines, found: _Found) -> None:
    """Take what one file holds, by the fields of its records."""
    foreign = 0
    marks: list[JSON] = []
    name = _NAME.fullmatch(PurePosixPath(lines.file).stem)
    for record in lines.records:
        item, kind = (recorded.word(record.get(name)) for name in ("uniq_id", "task_name"))
        if item and "rubric_name" in record and name is not None:
            marks.append(record)
        elif item and "rubric_name" in record and _is_of_people(lines.file):
            _people(record, lines.file, found)
        elif item and isinstance(record.get("response"), dict):
            found.answers.append((kind, recorded.word(record["response"].get("type"))))
        elif item and kind and "question" in record:
            found.kinds.setdefault(item, kind)
        elif item and isinstance(record.get("checklists"), list):
            continue  # is asked, and changes no figure
        elif isinstance(record.get("pairs"), list) and recorded.word(record.get("name")):
            found.games += games_of(record)
        else:
            foreign += 1
    if marks and name is not None:
        found.marks.append((name, lines.file, marks))
    if foreign:
        found.unread.append(
            f"{lines.file}: {foreign} of {counted(len(lines.records), 'record')} are no request, "
            "answer, checklist or mark; marks lie in Human_*.json, Score_JUDGE_SETTING.json and "
            f"Pair_JUDGE_SETTING.json, and a setting is {', '.join(SETTINGS)}"
        )


def _is_of_people(file: str) -> bool:
    return PurePosixPath(file).stem.lower().startswith("human")


def _people(record: JSON, file: str, found: _Found) -> None:
    task, key = _key(record)
    mark = None if task is None else read_mark(record[_FIELDS[task][1]], task)
    reasons = found.left_out.setdefault(file, Counter())
    if task is None or key is None:
        reasons["no answer or pair, rubric and mark"] += 1
    elif mark is None:
        reasons["people's mark is missing or unreadable"] += 1
    elif key in found.people[task]:
        reasons["repeated"] += 1
    else:
        found.people[task][key] = mark
        if kind := recorded.word(record.get("task_name")):
            found.kinds.setdefault(key.item, kind)


_FIELDS: dict[Task, tuple[str, str]] = {
    "score": ("model_name", "score"),
    "pair": ("model_pair", "choice"),
}
"""Where a record says which answer it is about, and what was said."""


def _key(record: JSON) -> tuple[Task | None, Key | None]:
    for task, (answer, mark) in _FIELDS.items():
        if answer in record and mark in record:
            key = Key(*(recorded.word(record.get(n)) for n in ("uniq_id", answer, "rubric_name")))
            return task, key if all(key) else None
    return None, None


def rubrics_of(setting: Setting) -> tuple[str, ...]:
    """The rubrics that are marked in a setting."""
    return (OVERALL,) if setting == "overall" else RUBRICS


def _judged(name: re.Match[str], file: str, records: Iterable[JSON], found: _Found) -> Judged:
    """What the records of one judge's file say."""
    task: Task = "score" if name["task"] == "Score" else "pair"
    setting = next(s for s in SETTINGS if s == name["setting"])
    people, marks = found.people[task], dict[Key, int | None]()
    reasons = found.left_out.setdefault(file, Counter())
    for record in records:
        told, key = _key(record)
        if told != task or key is None:
            reasons["no answer or pair, rubric and mark"] += 1
        elif key in people and key.rubric not in rubrics_of(setting):
            reasons["rubric_of_another_setting"] += 1
        elif key not in people:
            reasons["unknown_item"] += 1
        elif key in marks:
            reasons["repeated"] += 1
        else:
            marks[key] = read_mark(record[_FIELDS[task][1]], task)
    return Judged(name["judge"], setting, task, file, marks)


def _other_types(answers: Iterable[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Answers of another type than their kind asks for; by kind, where there are any."""
    types = Counter(answers)
    counts: dict[str, tuple[int, int]] = {}
    for kind in dict.fromkeys(kind for kind, _ in types):
        wanted = kind.rpartition("2")[2].lower()
        every = sum(n for (of, _), n in types.items() if of == kind)
        other = sum(n for (of, told), n in types.items() if of == kind and told.lower() != wanted)
        if other:
            counts[kind] = other, every
    return counts


# --- games ----------------------------------------------------------------------------------------


def games_of(record: JSON) -> list[JSON]:
    """The games of a list {name, pairs: [[first, second, code]]}, in the form of `arena.py`."""
    source = recorded.word(record["name"])
    return [
        {"judge": source, "first": recorded.word(pair[0]), "second": recorded.word(pair[1]),
         "choice": pair[2]}
        for pair in record["pairs"]
        if isinstance(pair, list) and len(pair) == 3
    ]  # fmt: skip
