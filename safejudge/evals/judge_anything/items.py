"""Judge Anything's requests as they are judged live: words, pictures, answers, checklists.

Takes the benchmark's own files below a folder, with people's marks; gives an item a request. What
engines cannot look at (sound, video) is counted by kind, and never left out silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from safejudge.errors import InputError
from safejudge.evals import recorded
from safejudge.evals.judge_anything.records import Key, Recorded, Task, read
from safejudge.types import Checklist, Point

if TYPE_CHECKING:
    from safejudge.types import JSON

SUPPORTED = ("Text2Text", "Image2Text", "Text2Image", "Image2Image")
"""Kinds of which request and answer are text and pictures."""


@dataclass(frozen=True, slots=True)
class Content:
    """A request or an answer, as its record has it."""

    text: str
    pictures: tuple[str, ...] = ()
    """Paths, as the record has them."""
    problem: str = ""
    """Why nobody can look at it: sound or video."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request, its answers, and people's marks of them."""

    key: str
    kind: str
    request: Content
    answers: Mapping[str, Content]
    """By who answered."""
    checklists: Mapping[str, Checklist]
    """By rubric."""
    people: tuple[tuple[Task, Key, int], ...]
    """What is to be marked, and people's marks."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a folder holds."""

    items: tuple[Item, ...]
    """Those that can be judged, in the order of the file."""
    unsupported: Mapping[str, int]
    """Requests by kind that no engine can look at."""
    unread: tuple[str, ...]


def gather(folder: Path, kinds: Sequence[str]) -> Data:
    """Read the requests of these kinds (all if empty), answers, checklists and people's marks.

    Raises `InputError` where nothing can be judged, and for a kind that is not there.
    """
    known = read(folder)
    rows = [record for lines in recorded.read_folder(folder) for record in lines.records]
    requests: dict[str, JSON] = {}
    for row in rows:
        if "question" in row:
            requests.setdefault(recorded.word(row.get("uniq_id")), row)
    there = Counter(known.kinds[key] for key in requests if key in known.kinds)
    if unknown := [kind for kind in kinds if kind not in there]:
        listing = ", ".join(sorted(there)) or "no request"
        raise InputError(f"--split {unknown[0]}: this data has {listing}")
    wanted = {kind: n for kind, n in there.items() if not kinds or kind in kinds}
    items = _items(rows, requests, known, [kind for kind in wanted if kind in SUPPORTED])
    if not items:
        raise InputError(
            f"{folder}: holds no request that can be judged; needed are TaskAnything.json, "
            "JudgeAnything.json and people's marks (Human_*.json), of "
            f"{', '.join(SUPPORTED)}"
        )
    unsupported = {kind: n for kind, n in wanted.items() if kind not in SUPPORTED}
    return Data(items, unsupported, known.unread)


def _items(
    rows: Sequence[JSON], requests: Mapping[str, JSON], known: Recorded, kinds: Sequence[str]
) -> tuple[Item, ...]:
    answers: dict[str, dict[str, Content]] = {}
    checklists: dict[str, dict[str, Checklist]] = {}
    for row in rows:
        key = recorded.word(row.get("uniq_id"))
        if isinstance(row.get("response"), dict):
            author = recorded.word(row.get("model_name"))
            answers.setdefault(key, {}).setdefault(author, _answer(row["response"]))
        elif (checklist := _checklist(row.get("checklists"))) is not None:
            checklists.setdefault(key, {})[recorded.word(row.get("rubric"))] = checklist
    people: dict[str, list[tuple[Task, Key, int]]] = {}
    for task, marks in known.people.items():
        for mark_key, mark in marks.items():
            people.setdefault(mark_key.item, []).append((task, mark_key, mark))
    return tuple(
        Item(key, known.kinds[key], _request(requests[key]), answers.get(key, {}),
             checklists.get(key, {}), tuple(people[key]))
        for key in requests
        if key in people and known.kinds[key] in kinds
    )  # fmt: skip


def _request(record: JSON) -> Content:
    paths = record.get("image_path")
    pictures = [recorded.word(p) for p in (paths if isinstance(paths, list) else [paths])]
    return Content(recorded.word(record["question"]), tuple(filter(None, pictures)))


def _answer(response: JSON) -> Content:
    kind = recorded.word(response.get("type")).lower()
    content = recorded.word(response.get("content"))
    if kind == "text":
        return Content(content)
    if kind == "image":
        return Content("(a picture)", (content,))
    return Content("", problem=f"an answer of type {kind or 'unknown'}")


def _checklist(value: Any) -> Checklist | None:
    """A checklist of questions, each worth as much; None for anything else."""
    if not isinstance(value, list):
        return None
    titles = [recorded.word(title) for title in value]
    try:
        points = [Point(id=str(n), title=title, most=1) for n, title in enumerate(titles, 1)]
        return Checklist(points=tuple(points))
    except ValidationError:
        return None
