"""ProJudge from a judge's replies: which steps of a solution are wrong, and in which way.

The published figures count what is unread as wrong. Ours stand beside them, with how much was read;
and two judges that do not look, since either of the published figures can be had without looking.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.headline import of_best
from safejudge.evals.projudge.figures import (
    ALWAYS_RIGHT,
    Estimates,
    blind,
    counts,
    figures,
    marks_of,
)
from safejudge.evals.projudge.records import Judged, Recorded, read
from safejudge.evals.projudge.replies import KINDS
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safejudge.evals.projudge.replies import Mark
    from safejudge.types import JSON


def from_outputs(folder: Path) -> EvalResult:
    """Score every judge whose replies lie below a folder. Raises `InputError`."""
    recorded = read(folder)
    if not recorded.cases:
        raise InputError(
            f"{folder}: holds no solutions; put the file of cases (id, question, "
            "process_evaluation) into the folder, beside the replies"
        )
    if not recorded.judged:
        raise InputError(
            f"{folder}: holds no replies; a record has the id of a case and the judge's reply"
        )
    return score(recorded)


def score(recorded: Recorded) -> EvalResult:
    """Score what was read."""
    cases = recorded.cases
    numbers = {judged.judge: figures(cases, judged.said) for judged in recorded.judged}
    beside = {name: figures(cases, said) for name, said in blind(cases).items()}
    return EvalResult(
        tables=_tables(numbers, beside),
        findings=tuple(_findings(recorded, numbers, beside)),
        numbers={
            judge: {name: estimate.json() for name, estimate in estimates.items()}
            for judge, estimates in (numbers | beside).items()
        },
        samples=tuple(row for judged in recorded.judged for row in _samples(judged, recorded)),
        unread=recorded.unread,
        predictions=tuple(p for judged in recorded.judged for p in _predictions(judged, recorded)),
        headline=of_best(numbers, _HEADLINES),
    )


_HEADLINES = {
    "F1": "wrong steps found: F1",
    "step_correctness": "steps judged as people did",
}


# --- tables and findings --------------------------------------------------------------------------

_STEPS = {
    "as people": "step_correctness",
    "of read": "step_correctness_of_read",
    "right type": "error_type",
    "precision": "precision",
    "recall": "recall",
    "F1": "F1",
}
_SOLUTIONS = {"first wrong step": "first_wrong_step", "all right or not": "solution_verdict"}
_NOTE = (
    "As people, and right type (of wrong steps), are published; what is missing or unread is wrong "
    "in them. Precision, recall and F1 are of wrong steps. Judges in brackets do not look."
)


def _tables(numbers: Mapping[str, Estimates], beside: Mapping[str, Estimates]) -> tuple[Table, ...]:
    both = {**numbers, **beside}
    return (
        _table("Steps", _STEPS, "steps_read", both, _NOTE),
        _table("Solutions", _SOLUTIONS, "replies_read", both, "A step unread: neither is."),
        _table(
            "Wrong steps called wrong, with the right type",
            {kind: f"error_type.{kind}" for kind in KINDS},
            "steps_read",
            numbers,
        ),
    )


def _table(
    title: str, columns: Mapping[str, str], read: str, numbers: Mapping[str, Estimates],
    note: str = "",
) -> Table:  # fmt: skip
    """A row for each judge; how much was read stands first."""
    rows = []
    for judge, estimates in numbers.items():
        n = estimates[read].n
        cells = (estimates[x].text(n) if x in estimates else "" for x in columns.values())
        rows.append((judge, str(n), estimates[read].text(n), *cells))
    return Table(title, ("judge", "n", "read", *columns), tuple(rows), note)


def _findings(
    recorded: Recorded, numbers: Mapping[str, Estimates], beside: Mapping[str, Estimates]
) -> Iterator[str]:
    for reason, n in recorded.left_out.items():
        yield f"{counted(n, 'record')} left out: {reason}."
    floor = beside[ALWAYS_RIGHT]["step_correctness"].value
    if below := [j for j, f in numbers.items() if f["step_correctness"].value <= floor]:
        yield (
            f"{', '.join(below)}: no more steps judged as people did than by calling every step "
            f"right ({floor:.4f})."
        )
    for judged in recorded.judged:
        for reason, n in judged.left_out.items():
            yield f"{judged.judge}: {counted(n, 'line')} left out: {reason}."
        why = Counter(marks for marks in judged.said.values() if isinstance(marks, str))
        for reason, n in why.items():
            yield f"{judged.judge}: {n} of {len(judged.said)} replies unread: {reason}."
        if missing := [key for key in recorded.cases if key not in judged.said]:
            named = ", ".join(missing[:5]) + (" and more" if len(missing) > 5 else "")
            yield f"{judged.judge}: {counted(len(missing), 'case')} without a reply: {named}."
        for name, n in counts(recorded.cases, judged.said).items():
            if n:
                yield f"{judged.judge}: {counted(n, 'step')} {_COUNTED[name]}."


_COUNTED = {
    "type_on_a_right_step": "called right, with a type of error that does not count",
    "type_unknown": "called wrong with a type that is none of the seven",
    "type_missing": "called wrong without a type",
}


# --- rows -----------------------------------------------------------------------------------------


def _samples(judged: Judged, recorded: Recorded) -> Iterator[JSON]:
    for case in recorded.cases.values():
        said = judged.said.get(case.key, "missing")
        marks = marks_of(case, judged.said)
        yield {
            "judge": judged.judge, "file": judged.file, "id": case.key,
            "subject": case.subject or None, "form": case.form or None,
            "human": [_row(mark) for mark in case.marks],
            "said": None if isinstance(said, str) else [_row(mark) for mark in marks],
            "why": said if isinstance(said, str) else None,
        }  # fmt: skip


def _row(mark: Mark) -> JSON:
    row: JSON = {"right": mark.right, "kind": mark.kind, "why": mark.why or None}
    return row if mark.score is None else row | {"score": mark.score}


def _predictions(judged: Judged, recorded: Recorded) -> Iterator[Prediction]:
    for case in recorded.cases.values():
        marks = marks_of(case, judged.said)
        for number, (people, mark) in enumerate(zip(case.marks, marks, strict=True), 1):
            answer = None if mark.right is None else "right" if mark.right else "wrong"
            yield Prediction(
                protocol=judged.judge,
                sample=f"{case.key}/{number}",
                answer=answer,
                right=mark.right is people.right,
                score=mark.score,
                group=case.key,
            )
