"""Judge Anything live: every answer marked, every pair compared in both orders, by any engine.

A record an item holds what was said of everything that people marked. Where a picture is missing,
what hangs on it is not asked, and that is said. Sound and video are counted by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.together import refuse_more
from safejudge.errors import ImageError, InputError
from safejudge.evals import harness
from safejudge.evals.answers.pictures import Pictures
from safejudge.evals.answers.prompts import LEVELS
from safejudge.evals.answers.protocols import (
    last_first,
    letter_of,
    level_of,
    written_of,
)
from safejudge.evals.judge_anything import prompts
from safejudge.evals.judge_anything.prompts import Checking, Criterion, Shown
from safejudge.evals.judge_anything.records import BETWEEN, Setting, Task, rubrics_of
from safejudge.evals.pictures import load_pictures
from safejudge.evals.replies import read_choice, read_score
from safejudge.files import records
from safejudge.types import (
    JSON,
    AnswerProbs,
    Checklist,
    Failure,
    Picture,
    Point,
    Probe,
    Reasoning,
)

if TYPE_CHECKING:
    from safejudge.evals.judge_anything.items import Content, Data, Item
    from safejudge.evals.prompts import Prompt, Reading
    from safejudge.evals.suite import Run
    from safejudge.policy import Policy

    Read = Callable[[Any], JSON]

_CODES = {"A": 0, "C": 1, "B": 2}
"""The codes of the letters of a pair."""
_MAX_TOKENS = 512
"""A written reply is cut there; one that is cut has no last line and is unreadable."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of each item."""

    settings: tuple[Setting, ...]
    readings: tuple[Reading, ...]
    checking: Checking
    """How checklists are used where single answers are marked; with pairs they are appended."""
    rewrite: Callable[[str], str] | None = None
    """What is done to one answer of every question (`Run.rewrite`)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the model, what its record begins with, and what reads the reply."""

    head: JSON
    request: Probe | Reasoning
    read: Read


@dataclass(frozen=True, slots=True)
class _Seen:
    """A request or an answer with its pictures decoded."""

    shown: Shown
    pictures: tuple[Picture, ...]


# --- judging --------------------------------------------------------------------------------------


def judge_items(run: Run, data: Data, plan: Plan) -> JSON:
    """Judge every item that has no record yet; what made the answers."""
    if run.rewrite is not None:
        data, plan = _of_texts(data, run), replace(plan, rewrite=run.rewrite)
    items = [data.items[row] for row in harness.sampled([item.kind for item in data.items], run)]
    most = max(((_most_pictures(item), item.key) for item in items), default=(0, ""))
    instead = "--split Text2Text judges requests without any"
    refuse_more(run.models.engines, *most, instead)
    folder = Pictures(Path(run.data or ""))
    names = [f"{setting} {reading} {plan.checking}" for setting in plan.settings
             for reading in plan.readings]  # fmt: skip
    made_by = harness.provenance(run, names, prompts.digest(), engine_alone=True)
    if plan.rewrite is not None:
        names.append(f"one answer rewritten: {plan.rewrite('{}')}")
    source = harness.digest("judge-anything", run.data, [repr(item) for item in data.items])
    description: JSON = {"unsupported": dict(data.unsupported), "unread": list(data.unread)}

    def judged(window: list[Item]) -> list[JSON]:
        return _judged(window, folder, plan, run)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, items, lambda item: item.key, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _of_texts(data: Data, run: Run) -> Data:
    """Leave out items with an answer that is no text. Raises `InputError` where that is all."""
    items = tuple(
        item
        for item in data.items
        if not any(answer.pictures or answer.problem for answer in item.answers.values())
    )
    if not items:
        raise InputError(f"{run.data}: no answer of these requests is a text that can be rewritten")
    return replace(data, items=items)


def _most_pictures(item: Item) -> int:
    """How many pictures one question about an item shows at most: its own, and two answers'."""
    answers = sorted(len(answer.pictures) for answer in item.answers.values())
    return len(item.request.pictures) + sum(answers[-2:])


def _judged(items: Sequence[Item], folder: Pictures, plan: Plan, run: Run) -> list[JSON]:
    """The record of each item; everything is asked at once, equal questions once."""
    looks = [_Look(item, folder, run) for item in items]
    plans = [[*_questions(look, plan, run.policy)] for look in looks]
    requests = list(dict.fromkeys(q.request for questions in plans for q in questions))
    replies = dict(zip(requests, run.models.answer(requests) if requests else [], strict=True))
    return [
        _record(look, [q.head | q.read(replies[q.request]) for q in questions])
        for look, questions in zip(looks, plans, strict=True)
    ]


def _record(look: _Look, said: list[JSON]) -> JSON:
    item = look.item
    record: JSON = {
        "image": records.image_name(item.key), "label": item.kind,
        "people": [[task, *key, mark] for task, key, mark in item.people],
        "absent": look.absent,
    }  # fmt: skip
    if look.request is None:
        return record | {"error": {"reason": "missing", "message": look.absent["request"]}}
    return record | {"digests": look.digests, "said": said}


class _Look:
    """An item with its pictures, as far as they can be had."""

    def __init__(self, item: Item, folder: Pictures, run: Run) -> None:
        self.item = item
        self.absent: dict[str, str] = {}
        """Why the request, or an answer by its author, cannot be shown."""
        self._folder, self._run = folder, run
        self.request = self._seen("request", item.request)
        answers = {author: self._seen(author, content) for author, content in item.answers.items()}
        self.answers = {author: seen for author, seen in answers.items() if seen is not None}
        shown = [self.request, *self.answers.values()]
        self.digests = [p.digest for seen in shown if seen is not None for p in seen.pictures]

    def _seen(self, name: str, content: Content) -> _Seen | None:
        pictures = self._pictures(content)
        if isinstance(pictures, str):
            self.absent[name] = pictures
            return None
        return _Seen(Shown(content.text, len(pictures)), pictures)

    def _pictures(self, content: Content) -> tuple[Picture, ...] | str:
        """The pictures of a request or an answer, or why it cannot be shown."""
        if content.problem:
            return content.problem
        try:
            paths = [self._folder.find(path) for path in content.pictures]
        except ImageError as error:
            return str(error)
        loaded = load_pictures(paths, self._run)
        if failed := [picture for picture in loaded if isinstance(picture, Failure)]:
            return failed[0].message
        return tuple(picture for picture in loaded if isinstance(picture, Picture))


# --- what is asked --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """One answer or pair, by one criterion, in one reading."""

    request: _Seen
    answers: tuple[_Seen, ...]
    """One, or two in the order of the data."""
    criterion: Criterion
    label_only: bool
    policy: Policy


def _questions(look: _Look, plan: Plan, policy: Policy) -> Iterator[Question]:
    """Everything that is asked of one item: what people marked and can be shown."""
    if look.request is None:
        return
    for setting in plan.settings:
        for task, key, mark in look.item.people:
            seen = [look.answers.get(author) for author in key.answer.split(BETWEEN)]
            answers = tuple(answer for answer in seen if answer is not None)
            wanted = 1 if task == "score" else 2
            if key.rubric not in rubrics_of(setting) or not len(seen) == len(answers) == wanted:
                continue
            rewritten: JSON = {}
            if plan.rewrite is not None:
                rewritten = {"padded": 0 if task == "score" or mark == _CODES["B"] else 1}
                answers = _rewritten(answers, rewritten["padded"], plan.rewrite)
            checklist = look.item.checklists.get(key.rubric) if setting == "checklist" else None
            checking = plan.checking if task == "score" else "appended"
            criterion = Criterion(key.rubric, checklist, checking)
            for reading in plan.readings:
                head: JSON = {"setting": setting, "reading": reading, "task": task,
                              "answer": key.answer, "rubric": key.rubric, **rewritten}  # fmt: skip
                case = _Case(look.request, answers, criterion, reading == "weighted", policy)
                for question in _marks(case) if task == "score" else _compares(case):
                    yield replace(question, head=head | question.head)


def _rewritten(
    answers: tuple[_Seen, ...], number: int, rewrite: Callable[[str], str]
) -> tuple[_Seen, ...]:
    """One of the answers in other words; of two the one that people hold the worse."""
    seen = list(answers)
    text = rewrite(seen[number].shown.text)
    seen[number] = replace(seen[number], shown=replace(seen[number].shown, text=text))
    return tuple(seen)


def _marks(case: _Case) -> Iterator[Question]:
    """One answer, by itself."""
    (answer,), criterion, policy = case.answers, case.criterion, case.policy
    pictures, shown = case.request.pictures + answer.pictures, (case.request.shown, answer.shown)
    if criterion.checklist is not None and criterion.checking == "points":
        # The level is expected, so there is nothing to write.
        for point in criterion.checklist.points if case.label_only else ():
            probe = prompts.meets(*shown, point).probe(pictures, prompts.POINT_LEVELS)
            yield Question({"point": point.id}, probe, lambda reply: _point(reply, policy))
        return
    prompt = prompts.mark(*shown, criterion, label_only=case.label_only)
    if case.label_only:
        probe = prompt.probe(pictures, LEVELS)
        yield Question({}, probe, lambda reply: level_of(reply, policy))
    else:
        yield _in_words(prompt, pictures, {}, read_score)


def _compares(case: _Case) -> Iterator[Question]:
    """Two answers, in both orders; A is what was shown first."""
    request, policy = case.request, case.policy
    for order, two in (("AB", case.answers), ("BA", case.answers[::-1])):
        pictures = request.pictures + two[0].pictures + two[1].pictures
        answers = [answer.shown for answer in two]
        prompt = prompts.compare(request.shown, answers, case.criterion, label_only=case.label_only)
        if case.label_only:
            probe = prompt.probe(pictures, ("A", "B", "C"))
            yield Question({"order": order}, probe, lambda reply: letter_of(reply, policy))
        else:
            yield _in_words(prompt, pictures, {"order": order}, read_choice)


def _in_words(
    prompt: Prompt, pictures: tuple[Picture, ...], head: JSON, read: Callable[[Any], str | None]
) -> Question:
    request = prompt.written(pictures, _MAX_TOKENS)
    return Question(head, request, lambda reply: written_of(reply, last_first(read)))


def _point(reply: AnswerProbs, policy: Policy) -> JSON:
    """How far a point is met, in [0, 1]: the expected level, over the highest."""
    mass = reply.label_mass
    if reply.problem is not None or mass <= 0 or mass < policy.minimum_label_mass:
        return {"said": None, "why": "little label mass" if reply.problem is None else "no reply"}
    total = sum(reply.p_labels)
    expected = sum(n * p for n, p in enumerate(reply.p_labels)) / total
    return {"said": expected / (len(reply.p_labels) - 1), "mass": mass}


# --- what was said --------------------------------------------------------------------------------


def mark_of(entries: Sequence[Mapping[str, Any]], task: Task) -> int | None:
    """The mark, or code, that one answer's or pair's entries come to; None where one is unread.

    Several entries are the points of a checklist: their mean share of what each is worth at most,
    on the scale from 1 to 5, rounded.
    """
    if "point" in entries[0]:
        points = tuple(Point(id=e["point"], title=e["point"], most=1) for e in entries)
        total = Checklist(points=points).marked({e["point"]: e["said"] for e in entries}).sum
        return None if total is None else round(1 + 4 * total / len(entries))
    said = entries[0]["said"]
    if said is None or task == "score":
        return None if said is None else int(said)
    code = _CODES[said]
    return code if entries[0].get("order", "AB") == "AB" else 2 - code
