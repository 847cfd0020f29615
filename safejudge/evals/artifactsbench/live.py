"""ArtifactsBench live: answers are rendered, and each page is marked by its task's checklist.

A page that does not open, or an answer without one, is not asked about: there is nothing to see.
Its score is unread, with what happened as the reason, unless the user says that it is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.together import refuse_more
from safejudge.errors import InputError
from safejudge.evals import harness, recorded
from safejudge.evals.artifactsbench import prompts
from safejudge.evals.artifactsbench.records import Judged, Recorded, Task, task_of
from safejudge.evals.artifactsbench.replies import Reading, read_score
from safejudge.evals.artifactsbench.score import score
from safejudge.evals.pictures import load_pictures
from safejudge.evals.suite import Coverage
from safejudge.files import records
from safejudge.render import Browser, Rendered, Stage, extract, render
from safejudge.text import counted, storable
from safejudge.types import (
    JSON,
    AnswerProbs,
    Checklist,
    NoReply,
    Picture,
    Probe,
    Reasoning,
)

if TYPE_CHECKING:
    from safejudge.evals.artifactsbench.prompts import Checking
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy

ANSWER = ("model_infer_result", "output", "answer")
"""Fields that may hold an answer; the first that does counts."""
_MAX_TOKENS = 512
NO_ANSWER, NO_CHECKLIST = "no answer", "no checklist"
"""Why a task is not judged, beside how its page fared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How answers are shown and marked."""

    checking: Checking
    stage: Stage
    browser: Browser
    unopened: float | None
    """The score of a page that does not open; None: unread."""


@dataclass(frozen=True, slots=True)
class Data:
    """Tasks and one generator's answers."""

    generator: str
    tasks: tuple[Task, ...]
    answers: Mapping[str, str]
    """By the index of a task."""
    left_out: Mapping[str, int]
    """Why records do not count, and how many."""
    unread: tuple[str, ...]


def gather(tasks: Path, answers: Path) -> Data:
    """Read the tasks and the answers. Raises `InputError` where there are none."""
    for path, holds in ((tasks, "tasks (--data)"), (answers, "answers (--suite-arg answers=FILE)")):
        if not path.is_file():
            raise InputError(f"{path}: there is no such file of {holds}")
    left_out: Counter[str] = Counter()
    lines = [recorded.read_file(path, path.name) for path in (tasks, answers)]
    known = dict(_tasks(lines[0].records, left_out))
    said = _answers(lines[1].records, known, left_out)
    if not known:
        raise InputError(f"{tasks}: holds no task; a line has index, question and checklist")
    if not said:
        raise InputError(
            f"{answers}: holds no answer to a task; a line has its index and {' or '.join(ANSWER)}"
        )
    unread = tuple(f"{one.file}: {problem}" for one in lines for problem in one.problems)
    return Data(answers.stem, tuple(known.values()), said, left_out, unread)


def _tasks(rows: Sequence[JSON], left_out: Counter[str]) -> Iterator[tuple[str, Task]]:
    seen: set[str] = set()
    for row in rows:
        task = task_of(row) if {"index", "checklist"} <= row.keys() else None
        if task is None:
            left_out["no task with index, question and checklist"] += 1
        elif task.index in seen:
            left_out["task whose index was there before; the first counts"] += 1
        else:
            seen.add(task.index)
            yield task.index, task


def _answers(
    rows: Sequence[JSON], tasks: Mapping[str, Task], left_out: Counter[str]
) -> dict[str, str]:
    answers: dict[str, str] = {}
    for row in rows:
        index = recorded.word(row.get("index"))
        text = next((row[name] for name in ANSWER if isinstance(row.get(name), str)), None)
        if text is None:
            left_out["line without an answer"] += 1
        elif index not in tasks:
            left_out["answer to an unknown index"] += 1
        elif index in answers:
            left_out["second answer to a task; the first counts"] += 1
        else:
            answers[index] = storable(text)
    return answers


# --- judging --------------------------------------------------------------------------------------


def judge_tasks(run: Run, data: Data, plan: Plan) -> JSON:
    """Judge every task that has no record yet; what made the scores."""
    instead = "--suite-arg at=0 shows one"
    refuse_more(run.models.engines, len(plan.stage.at), "a page", instead)
    rows = harness.sampled([task.difficulty for task in data.tasks], run)
    tasks = [data.tasks[row] for row in rows]
    stage = {"at": list(plan.stage.at), "size": list(plan.stage.size)}
    protocols = [plan.checking, repr(stage)]
    made_by = harness.provenance(run, protocols, prompts.digest(), engine_alone=True)
    source = harness.digest(run.data, [[repr(t), data.answers.get(t.index)] for t in data.tasks])
    description: JSON = {
        "generator": data.generator, "checking": plan.checking, "stage": stage,
        "unopened": plan.unopened, "left_out": dict(data.left_out), "unread": list(data.unread),
    }  # fmt: skip

    def judged(window: list[Task]) -> list[JSON]:
        return _judged(window, data, plan, run)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, tasks, lambda task: task.index, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(tasks: Sequence[Task], data: Data, plan: Plan, run: Run) -> list[JSON]:
    """The record of each task: what was said of its page, or why there is nothing to see."""
    shown = [_shown(task, data.answers.get(task.index), plan, run) for task in tasks]
    requests = list(dict.fromkeys(r for _, asked in shown for r in asked.values()))
    replies = dict(zip(requests, run.models.answer(requests) if requests else [], strict=True))
    return [
        record
        | (
            {"said": {name: _read(replies[r], run.policy) for name, r in asked.items()}}
            if asked
            else {}
        )
        for record, asked in shown
    ]


Requests = dict[str, Probe | Reasoning]
"""By the id of a point, or `whole`."""


def _shown(task: Task, answer: str | None, plan: Plan, run: Run) -> tuple[JSON, Requests]:
    """The beginning of a task's record, and what is asked about its page."""
    record: JSON = {
        "image": records.image_name(task.index), "label": task.difficulty, "area": task.area,
    }  # fmt: skip
    if answer is None or task.checklist is None:
        return record | {"status": NO_ANSWER if answer is None else NO_CHECKLIST}, {}
    record |= {"points": {point.id: point.most for point in task.checklist.points}}
    done = rendered(answer, plan)
    findings = [
        f"{f.kind}: {f.what}" + (f" ({f.count})" if f.count > 1 else "") for f in done.findings
    ]
    record |= {"status": done.status, "findings": findings}
    if done.status != "rendered":
        return record, {}
    loaded = load_pictures([shot.image for shot in done.shots], run)
    pictures = tuple(picture for picture in loaded if isinstance(picture, Picture))
    captions = tuple(shot.caption for shot in done.shots)
    if len(pictures) < len(captions):  # a picture that the policy does not take
        return record | {"status": "crashed"}, {}
    record |= {"digests": [picture.digest for picture in pictures]}
    if len(answer) > prompts.MOST_SIGNS:
        answer, record["cut"] = answer[: prompts.MOST_SIGNS], len(answer)
    if plan.checking == "whole":
        prompt = prompts.whole(task.question, answer, captions, task.checklist)
        return record, {"whole": prompt.written(pictures, _MAX_TOKENS)}
    return record, {
        point.id: prompts.meets(task.question, answer, captions, point).probe(
            pictures, prompts.LEVELS
        )
        for point in task.checklist.points
    }


def rendered(answer: str, plan: Plan) -> Rendered:
    """What comes of the page in an answer; nothing is started for an answer without one."""
    found = extract(answer)
    if found.page is None:
        return Rendered(
            "cut page" if found.kind == "cut page" else "nothing to render", None, (), ()
        )
    return render(found.page, plan.stage, plan.browser)


def _read(reply: Any, policy: Policy) -> JSON:
    """What one reply says: the share of a point that is met, or the score of the whole."""
    if not isinstance(reply, AnswerProbs):
        reading = read_score(storable(str(reply)))
        why = "no reply" if isinstance(reply, NoReply) else reading.why
        return {"score": reading.score, "why": why, "text": storable(str(reply))}
    mass = reply.label_mass
    if reply.problem is not None or mass <= 0 or mass < policy.minimum_label_mass:
        return {"share": None, "why": "no reply" if reply.problem else "little label mass"}
    level = sum(n * p for n, p in enumerate(reply.p_labels)) / sum(reply.p_labels)
    return {"share": level / (len(prompts.LEVELS) - 1), "mass": mass}


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge_tasks` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    about, model = harness.data_of(out), str(harness.provenance_of(out).get("model", ""))
    readings = {row["image"]: reading_of(row, about.get("unopened")) for row in rows}
    tasks = {row["image"]: Task(row["image"], "", None, row["area"], row["label"]) for row in rows}
    judge = f"{model}, {about.get('checking', '')}"
    answered = {row["image"]: readings[row["image"]] for row in rows if row["status"] != NO_ANSWER}
    judged = Judged(
        about.get("generator", ""), judge, harness.RECORDS, answered, (), about.get("left_out", {})
    )
    result = score(Recorded(tasks, (judged,), {}, tuple(about.get("unread", ()))), live=True)
    asked = sum("said" in row for row in rows)
    return replace(
        result,
        findings=(*_findings(rows), *result.findings),
        coverage=Coverage(asked, len(rows) - asked),
        samples=tuple(s | _sums(row) for s, row in zip(result.samples, rows, strict=True)),
    )


def reading_of(row: JSON, unopened: float | None) -> Reading:
    """The score of one record, or why there is none."""
    if "said" not in row:
        opens = row["status"] in {NO_ANSWER, NO_CHECKLIST}
        return Reading(None if opens else unopened, row["status"])
    if "whole" in row["said"] and "score" in row["said"]["whole"]:
        return Reading(row["said"]["whole"]["score"], row["said"]["whole"]["why"])
    sums = _sums(row)
    if sums["sum"] is None:
        return Reading(None, f"{counted(sums['points_unread'], 'point')} unread")
    return Reading(sums["sum"])


def _sums(row: JSON) -> JSON:
    """What the points of one record add up to; nothing where no point was asked."""
    said = row.get("said", {})
    if not any("share" in entry for entry in said.values()):
        return {}
    checklist = Checklist.model_validate(
        {"points": [{"id": i, "title": i, "most": most} for i, most in row["points"].items()]}
    )
    marks = checklist.marked(
        {
            name: None if entry["share"] is None else entry["share"] * row["points"][name]
            for name, entry in said.items()
        }
    )
    return {
        "sum": marks.sum, "sum_of_read": marks.sum_of_read, "points_unread": marks.unread,
        "points": dict(marks.values),
    }  # fmt: skip


def _findings(rows: Sequence[JSON]) -> Iterator[str]:
    """How pages fared, and what was cut."""
    statuses = Counter(row["status"] for row in rows)
    for status, n in statuses.items():
        if status != "rendered":
            named = [row["image"] for row in rows if row["status"] == status][:5]
            more = " and more" if n > len(named) else ""
            yield f"{counted(n, 'task')} not asked about, {status}: {', '.join(named)}{more}."
    for kind in ("one colour", "clipped"):
        names = [r["image"] for r in rows if any(f.startswith(kind) for f in r.get("findings", ()))]
        if names:
            yield f"{counted(len(names), 'page')} {kind}: {', '.join(names[:5])}."
    if cut := [row["image"] for row in rows if "cut" in row]:
        yield (
            f"{counted(len(cut), 'answer')} cut at {prompts.MOST_SIGNS} characters for the judge, "
            f"its page whole: {', '.join(cut[:5])}."
        )
