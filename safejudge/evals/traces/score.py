"""Marked traces -> which stage of a judge goes wrong, and in which way.

The figures are those that judges of steps get (`projudge`): how many steps are right, the first
wrong step, whole traces; here the judge marks nothing and each step is its own claim. A step counts
where its reviewers agree. Two reviewers are compared as a judge with people is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.headline import of_best
from safejudge.evals.stats.intervals import Estimate, grouped, mean_of, share_of
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.evals.traces.records import CONCLUSION, KINDS, Mark, Marked, Step, read
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.types import JSON

Estimates = dict[str, Estimate]
Settled = Mapping[Step, Mark]
"""What the reviewers of each step agree on."""


def from_outputs(folder: Path) -> EvalResult:
    """Score every marked step below a folder. Raises `InputError` where there is none."""
    marked = read(folder)
    if not any(marked.marks.values()):
        raise InputError(
            f"{folder}: holds no marked steps; label what `journal export --format steps` wrote in "
            "Label Studio, and put its export (JSON) there"
        )
    return score(marked)


def score(marked: Marked) -> EvalResult:
    """Score what was read."""
    agreed = {step: said for step, of in marked.marks.items() if (said := settled(of)) is not None}
    steps = [step for step, said in agreed.items() if said.right is not None]
    numbers = {
        model: figures([steps[row] for row in rows], agreed)
        for model, rows in grouped(step.model for step in steps).items()
    }
    return EvalResult(
        tables=(*_tables(numbers), *_reviewers(marked)),
        findings=tuple(_findings(marked, agreed)),
        numbers={
            model: {name: value.json() for name, value in estimates.items()}
            for model, estimates in numbers.items()
        },
        samples=tuple(_sample(step, of, agreed.get(step)) for step, of in marked.marks.items()),
        unread=marked.unread,
        predictions=tuple(_prediction(step, agreed[step]) for step in steps),
        headline=of_best(numbers, {"steps_right": "steps of traces that people hold right:"}),
    )


def settled(marks: Mapping[str, Mark]) -> Mark | None:
    """What all who marked a step say; None where nobody did, or they disagree.

    Where they agree that it is wrong and not on how, it has no kind.
    """
    said = list(marks.values())
    if not said or len({mark.right for mark in said}) > 1:
        return None
    kinds = {mark.kind for mark in said}
    kind = kinds.pop() if len(kinds) == 1 else None
    return Mark(said[0].right, kind, "; ".join(mark.why for mark in said if mark.why))


def figures(steps: Sequence[Step], agreed: Settled) -> Estimates:
    """Everything that the steps of one judge come to; those of an image belong together."""
    right = [agreed[step].right is True for step in steps]
    images = [step.image for step in steps]
    results = {"steps_right": share_of(right, images), **_traces(steps, right)}
    for stage in sorted({step.stage for step in steps}):
        results[f"stage.{stage}"] = share_of(right, images, [step.stage == stage for step in steps])
    for rule in sorted({step.rule for step in steps}):
        results[f"rule.{rule}"] = share_of(right, images, [step.rule == rule for step in steps])
    for kind in KINDS:
        of_kind = [agreed[step].kind == kind for step in steps]
        results[f"kind.{kind}"] = share_of(of_kind, images, [not one for one in right])
        for stage in sorted({s.stage for s, one in zip(steps, of_kind, strict=True) if one}):
            of_stage = [step.stage == stage for step in steps]
            results[f"stage.{stage}.{kind}"] = share_of(of_kind, images, of_stage)
    return results


def _traces(steps: Sequence[Step], right: Sequence[bool]) -> Estimates:
    """Of rules and images: whether every marked step is right, and where the first wrong one is."""
    whole, first, images = [], [], []
    for rows in grouped(step.trace for step in steps).values():
        wrong = [steps[row].place for row in rows if not right[row]]
        whole.append(not wrong)
        images.append(steps[rows[0]].image)
        if wrong:
            first.append(float(min(wrong)))
    return {"traces_right": share_of(whole, images), "first_wrong_step": mean_of(first)}


# --- tables and findings --------------------------------------------------------------------------


def _tables(numbers: Mapping[str, Estimates]) -> Iterator[Table]:
    whole = ("steps_right", "traces_right", "first_wrong_step")
    rows = [
        (model, str(f["steps_right"].n), *(f[name].text(f["steps_right"].n) for name in whole))
        for model, f in numbers.items()
    ]
    yield Table(
        "Traces", ("judge", "steps", "right", "traces all right", "first wrong step"), tuple(rows)
    )
    for title, start in (("Stages", "stage."), ("Rules", "rule.")):
        yield _parts(title, start, numbers)


def _parts(title: str, start: str, numbers: Mapping[str, Estimates]) -> Table:
    """A row for each judge and part; what is wrong with its steps stands behind, in counts."""
    rows = []
    for model, estimates in numbers.items():
        parts = [name for name in estimates if name.startswith(start)]
        for name in parts:
            if any(name == f"{other}.{kind}" for other in parts for kind in KINDS):
                continue
            value = estimates[name]
            cells = (
                ""
                if (of := estimates.get(f"{name}.{kind}")) is None
                else str(round(of.value * of.n))
                for kind in (KINDS if start == "stage." else ())
            )
            part = name.removeprefix(start)
            rows.append((f"{model}, {part}", str(value.n), value.text(value.n), *cells))
    kinds = tuple(KINDS) if start == "stage." else ()
    note = f"{CONCLUSION}: what the rule came to. Behind: steps by what is wrong." if kinds else ""
    return Table(title, (f"judge, {start[:-1]}", "steps", "right", *kinds), tuple(rows), note)


def _reviewers(marked: Marked) -> Iterator[Table]:
    """Two people at a time, of the steps that both marked; nothing where no two marked one."""
    people = sorted({who for of in marked.marks.values() for who in of})
    rows = []
    for one, other in combinations(people, 2):
        both = [
            (s.image, of[one], of[other]) for s, of in marked.marks.items() if {one, other} <= {*of}
        ]
        if not both:
            continue
        images = [image for image, *_ in both]
        same = share_of([a.right is b.right for _, a, b in both], images)
        wrong = [a.right is b.right is False for _, a, b in both]
        kind = share_of([a.kind == b.kind for _, a, b in both], images, wrong)
        rows.append((f"{one}, {other}", str(len(both)), same.text(len(both)), kind.text(len(both))))
    if rows:
        yield Table("Reviewers", ("two people", "steps", "same mark", "same kind"), tuple(rows))


def _findings(marked: Marked, agreed: Settled) -> Iterator[str]:
    for reason, n in marked.left_out.items():
        if n:
            yield f"Left out: {counted(n, 'time')} {reason}."
    split = sum(len(of) > 0 and step not in agreed for step, of in marked.marks.items())
    if split:
        yield f"{counted(split, 'step')} left out, since reviewers disagree."
    if unknown := sum(mark.right is None for mark in agreed.values()):
        yield f"{counted(unknown, 'step')} of which nobody can tell."
    if untold := sum(mark.right is False and mark.kind is None for mark in agreed.values()):
        yield f"{counted(untold, 'wrong step')} without a kind, or with two."
    worst = Counter(
        (step.stage, mark.kind)
        for step, mark in agreed.items()
        if mark.right is False and mark.kind
    ).most_common(3)
    for (stage, kind), n in worst:
        yield f"{stage}: {counted(n, 'step')} {kind} ({KINDS[kind or '']})."


# --- rows -----------------------------------------------------------------------------------------


def _sample(step: Step, marks: Mapping[str, Mark], said: Mark | None) -> JSON:
    return {
        "judge": step.model, "image": step.image, "rule": step.rule, "place": step.place,
        "stage": step.stage, "step": step.text, "said": step.said, "score": step.score,
        "right": None if said is None else said.right,
        "kind": None if said is None else said.kind,
        "why": None if said is None else said.why or None, "reviewers": len(marks),
    }  # fmt: skip


def _prediction(step: Step, said: Mark) -> Prediction:
    return Prediction(
        protocol=step.model,
        sample=f"{step.image}/{step.rule}/{step.place}",
        answer=step.said,
        right=said.right,
        score=step.score,
        group=step.image,
    )
