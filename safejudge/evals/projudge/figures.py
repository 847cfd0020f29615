"""Marks of steps beside people's -> figures. Pure.

Published (ProJudge, sec. 4): a step is judged as people did, of all steps; a wrong step is called
wrong and of the right type, of all wrong steps. What is missing or unread is wrong everywhere. Ours
beside them: the same of steps that were read; precision, recall and F1 of wrong steps, the first
wrong step, the whole solution; and what two judges come to that do not look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.evals.projudge.replies import KINDS, Mark
from safejudge.evals.stats.intervals import Estimate, share_of
from safejudge.evals.stats.rates import rates_of
from safejudge.types import Outcome

if TYPE_CHECKING:
    from safejudge.evals.projudge.records import Case

Estimates = dict[str, Estimate]
Said = Mapping[str, "tuple[Mark, ...] | str"]
"""What a judge said of each case, or why that is unread."""
UNREAD = Mark("", None)

ALWAYS_RIGHT, ALWAYS_WRONG = "(every step is right)", "(every step is a reasoning error)"
"""Judges that do not look, beside which the figures stand."""


def blind(cases: Mapping[str, Case]) -> dict[str, Said]:
    """What the judges say that do not look."""
    marks = {
        ALWAYS_RIGHT: Mark("", right=True),
        ALWAYS_WRONG: Mark("", right=False, kind="Reasoning"),
    }
    return {
        name: {key: (mark,) * len(case.marks) for key, case in cases.items()}
        for name, mark in marks.items()
    }


def marks_of(case: Case, said: Said) -> tuple[Mark, ...]:
    """One mark a step; of a reply that is missing or unread, nothing is known of any."""
    marks = said.get(case.key, "")
    return (UNREAD,) * len(case.marks) if isinstance(marks, str) else marks


def figures(cases: Mapping[str, Case], said: Said) -> Estimates:
    """Everything that one judge comes to; steps of one solution belong together."""
    rows = [
        (case.key, people, mark)
        for case in cases.values()
        for people, mark in zip(case.marks, marks_of(case, said), strict=True)
    ]
    groups = [key for key, *_ in rows]
    same = [mark.right is people.right for _, people, mark in rows]
    read = [mark.right is not None for *_, mark in rows]
    wrong = [not people.right for _, people, _ in rows]
    typed = [mark.right is False and mark.kind == people.kind for _, people, mark in rows]
    calls = [
        (not people.right, Outcome.YES if mark.right is False else Outcome.NO)
        for _, people, mark in rows
    ]
    rates = rates_of(calls, groups)
    flagged = sum(called is Outcome.YES for _, called in calls)
    if not flagged:  # nothing was called wrong, so nothing of it can be right
        rates["precision"] = replace(rates["precision"], n=0)
    return {
        "replies_read": share_of([not isinstance(said.get(key, ""), str) for key in cases]),
        "steps_read": share_of(read, groups),
        "step_correctness": share_of(same, groups),
        "step_correctness_of_read": share_of(same, groups, read),
        "error_type": share_of(typed, groups, wrong),
        "precision": rates["precision"],
        "recall": rates["recall"],
        "F1": rates["F1"],
        **_whole(cases, said),
        **_by_kind(rows, groups, typed),
    }


def _by_kind(
    rows: Sequence[tuple[str, Mark, Mark]], groups: Sequence[str], typed: Sequence[bool]
) -> Estimates:
    return {
        f"error_type.{kind}": share_of(typed, groups, [p.kind == kind for _, p, _ in rows])
        for kind in KINDS
        if any(people.kind == kind for _, people, _ in rows)
    }


def _whole(cases: Mapping[str, Case], said: Said) -> Estimates:
    """Of solutions: the first wrong step, and whether all is right; with a step unread, neither."""
    first, whole = [], []
    for case in cases.values():
        marks = [mark.right for mark in marks_of(case, said)]
        people = [mark.right for mark in case.marks]
        read = None not in marks
        if not all(people):
            place = people.index(False)
            first.append(read and marks[: place + 1] == [True] * place + [False])
        whole.append(read and all(marks) is all(people))
    return {"first_wrong_step": share_of(first), "solution_verdict": share_of(whole)}


def counts(cases: Mapping[str, Case], said: Said) -> dict[str, int]:
    """How often a type stands where none belongs, is none of the seven, or is missing."""
    marks = [mark for case in cases.values() for mark in marks_of(case, said)]
    wrong = [mark for mark in marks if mark.right is False]
    return {
        "type_on_a_right_step": sum(bool(mark.said) for mark in marks if mark.right),
        "type_unknown": sum(bool(mark.said) and mark.kind is None for mark in wrong),
        "type_missing": sum(not mark.said for mark in wrong),
    }
