"""ProJudge live: every step judged by any engine, one by one or all at once as published.

A record a solution holds people's marks beside what was said in each reading. Where a picture is
missing nobody is asked, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.engines.together import refuse_more
from safejudge.errors import ImageError, InputError
from safejudge.evals import harness, recorded
from safejudge.evals.answers.pictures import Pictures
from safejudge.evals.pictures import load_pictures
from safejudge.evals.projudge import prompts
from safejudge.evals.projudge.records import Case, Cases, Judged, Recorded, is_case
from safejudge.evals.projudge.replies import KINDS, Mark, read_marks
from safejudge.evals.projudge.score import score
from safejudge.evals.suite import Coverage
from safejudge.files import records
from safejudge.flow import drive, gather
from safejudge.method.steps import Solution, steps_flow
from safejudge.text import clean, counted, storable
from safejudge.types import Failure, NoReply, Outcome, Picture

if TYPE_CHECKING:
    from safejudge.evals.prompts import Reading
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON, StepVerdict

_MAX_TOKENS = 2048
"""A written reply is cut there; one that is cut has no whole list and is unread."""
_RIGHT = {Outcome.YES: True, Outcome.NO: False, Outcome.UNDECIDED: None}


@dataclass(frozen=True, slots=True)
class Data:
    """The solutions that are judged, and what of the data is not."""

    cases: tuple[Case, ...]
    folder: Path
    """Where the pictures lie."""
    left_out: dict[str, int]
    unread: tuple[str, ...]


def gather_cases(path: Path, images: str) -> Data:
    """Read the solutions of a file (JSON, JSONL, Parquet) or of all files below a folder.

    `images` is the folder of the pictures; empty: that of the data. Raises `InputError` where there
    is no solution.
    """
    cases, unread = Cases(), list[str]()
    for name, rows, problems in _files(path):
        unread += [f"{name}: {problem}" for problem in problems]
        for row in filter(is_case, rows):
            cases.take(row)
        if foreign := sum(not is_case(row) for row in rows):
            unread.append(f"{name}: {counted(foreign, 'record')} without process_evaluation")
    if not cases.found:
        why = "; ".join([*unread, *cases.left_out]) or "there is no .json, .jsonl or .parquet"
        raise InputError(f"{path}: holds no solution that can be judged ({clean(why)})")
    folder = Path(images) if images else path if path.is_dir() else path.parent
    return Data(tuple(cases.found.values()), folder, dict(cases.left_out), tuple(unread))


def _files(path: Path) -> Iterator[tuple[str, Sequence[JSON], Sequence[str]]]:
    for name, file in recorded.data_files(path):
        if file.suffix.lower() == recorded.PARQUET:
            yield name, *_table(file)
        else:
            lines = recorded.read_file(file, name)
            yield name, lines.records, lines.problems


def _table(file: Path) -> tuple[Sequence[JSON], Sequence[str]]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"{file}: reading it needs pyarrow; pip install 'safejudge[eval]'"
        ) from error
    try:
        return parquet.read_table(file).to_pylist(), ()
    except (OSError, ValueError, ArrowException) as error:
        return (), (f"is no Parquet that can be read: {error}",)


# --- judging --------------------------------------------------------------------------------------


def judge_cases(run: Run, data: Data, readings: Sequence[Reading]) -> JSON:
    """Judge every solution that has no record yet; what made the answers."""
    cases = [data.cases[row] for row in harness.sampled([c.form for c in data.cases], run)]
    if not cases:
        raise InputError(f"--split {', '.join(run.splits)}: no solution of this data is that")
    most = max(cases, key=lambda case: len(case.pictures))
    refuse_more(run.models.engines, len(most.pictures), most.key, "--split pure_text needs none")
    run.models.engine.check_statements(
        [Solution.of(case.question, (), case.steps).text for case in cases]
    )
    folder = Pictures(data.folder)
    made_by = harness.provenance(run, list(readings), prompts.digest(), engine_alone=True)
    source = harness.digest("projudge", [repr(case) for case in data.cases])
    description: JSON = {"left_out": data.left_out, "unread": list(data.unread)}

    def judged(window: list[Case]) -> list[JSON]:
        return _judged(window, folder, readings, run)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, cases, lambda case: case.key, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(
    cases: Sequence[Case], folder: Pictures, readings: Sequence[Reading], run: Run
) -> list[JSON]:
    shown = [_shown(case, folder, run) for case in cases]
    solutions = {
        case.key: Solution.of(case.question, pictures, case.steps)
        for case, pictures in zip(cases, shown, strict=True)
        if not isinstance(pictures, str)
    }
    said: dict[str, JSON] = {key: {} for key in solutions}
    if "weighted" in readings:
        flows = (steps_flow(solution, run.policy) for solution in solutions.values())
        verdicts = drive(gather(flows), run.models.answer) if solutions else []
        for key, of_one in zip(solutions, verdicts, strict=True):
            said[key]["weighted"] = [_entry(verdict) for verdict in of_one]
    if "written" in readings:
        for key, reply in zip(solutions, _written(list(solutions.values()), run), strict=True):
            said[key]["written"] = reply
    return [_record(c, p, said.get(c.key)) for c, p in zip(cases, shown, strict=True)]


def _written(solutions: Sequence[Solution], run: Run) -> list[JSON]:
    asked = [prompts.marked(one).written(one.pictures, _MAX_TOKENS) for one in solutions]
    requests = list(dict.fromkeys(asked))
    replies = dict(zip(requests, run.models.answer(requests) if requests else [], strict=True))
    return [_text(replies[request]) for request in asked]


def _text(reply: object) -> JSON:
    text = storable(str(reply))
    return (
        {"text": text, "problem": reply.problem} if isinstance(reply, NoReply) else {"text": text}
    )


def _entry(verdict: StepVerdict) -> JSON:
    return {
        "right": _RIGHT[verdict.outcome], "kind": verdict.kind, "why": verdict.why,
        "score": verdict.score, "test": verdict.test, "note": verdict.note,
    }  # fmt: skip


def _shown(case: Case, folder: Pictures, run: Run) -> tuple[Picture, ...] | str:
    """The pictures of a solution, or why it cannot be judged."""
    try:
        paths = [folder.find(path) for path in case.pictures]
    except ImageError as error:
        return str(error)
    loaded = load_pictures(paths, run)
    if failed := [picture for picture in loaded if isinstance(picture, Failure)]:
        return failed[0].message
    return tuple(picture for picture in loaded if isinstance(picture, Picture))


def _record(case: Case, shown: tuple[Picture, ...] | str, said: JSON | None) -> JSON:
    record: JSON = {
        "image": records.image_name(case.key), "label": case.form, "subject": case.subject,
        "people": [[mark.text, mark.right, mark.kind] for mark in case.marks],
    }  # fmt: skip
    if isinstance(shown, str):
        return record | {"error": {"reason": "missing", "message": shown}}
    said = said or {}
    silent = any(entry["test"] == "unreadable" for entry in said.get("weighted", ()))
    silent = silent or "problem" in said.get("written", {})
    # What an engine did not answer is asked again where the run goes on.
    return record | {"digests": [p.digest for p in shown], "said": said, "unread": silent}


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge_cases` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    about, model = harness.data_of(out), str(harness.provenance_of(out).get("model", ""))
    judged = [row for row in rows if "error" not in row]
    cases = {row["image"]: _case(row) for row in judged}
    readings = dict.fromkeys(reading for row in judged for reading in row["said"])
    judges = tuple(
        Judged(
            f"{model}, {reading}", harness.RECORDS,
            {row["image"]: _marks(row["said"][reading], cases[row["image"]].steps)
             for row in judged},
        )
        for reading in readings
    )  # fmt: skip
    result = score(
        Recorded(cases, judges, about.get("left_out", {}), tuple(about.get("unread", ())))
    )
    lost = [f"{row['image']}: not judged ({row['error']['message']})." for row in rows
            if "error" in row]  # fmt: skip
    return replace(
        result,
        findings=(*lost, *result.findings),
        coverage=Coverage(len(judged), len(lost), sum(about.get("left_out", {}).values())),
    )


def _case(row: JSON) -> Case:
    marks = tuple(
        Mark(text, right, kind if kind in KINDS else None) for text, right, kind in row["people"]
    )
    return Case(row["image"], row["subject"], row["label"], "", (), marks)


def _marks(said: JSON | list[JSON], steps: Sequence[str]) -> tuple[Mark, ...] | str:
    """What was said of each step; of a reply in words, as it is read, or why it is not."""
    if isinstance(said, dict):
        return read_marks(said["text"], steps)
    return tuple(
        Mark(step, entry["right"], entry["kind"], entry["kind"] or "", entry["why"] or "",
             entry["score"])
        for step, entry in zip(steps, said, strict=True)
    )  # fmt: skip
