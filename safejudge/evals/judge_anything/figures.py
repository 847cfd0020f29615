"""Figures of one judge's marks beside people's: by kind of request, and by side. Pure.

Agreement is exact equality of marks. A mark that is missing or could not be read is wrong in
`..._unread_wrong` and in every accuracy of pairs, and left out in `..._of_read` and in what is
computed of two columns. A side is the plain mean of its kinds, as in the paper.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from safejudge.evals.judge_anything.records import (
    SIDES,
    TIE,
    Judged,
    Key,
    rubrics_of,
    side_of,
)
from safejudge.evals.stats import agreement
from safejudge.evals.stats.intervals import NAN, Estimate, grouped, mean_of, share_of
from safejudge.evals.stats.jackknife import estimates

if TYPE_CHECKING:
    from safejudge.evals.judge_anything.records import Recorded

Estimates = dict[str, Estimate]
"""Under stable names: `kind.Text2Text.pearson`, `side.MMU.pearson`."""
Mark = float | None
"""A judge's; a median of several judges' lies perhaps between two."""
_CORRELATIONS = {"pearson": agreement.pearson, "spearman": agreement.spearman}
_NO_MEAN = ("missing", "unread")
"""Of kinds alone."""


def figures(judged: Judged, recorded: Recorded) -> Estimates:
    """Everything that one judge's marks in one setting come to."""
    return figures_of(judged, judged.marks, recorded)


def figures_of(judged: Judged, marks: Mapping[Key, Mark], recorded: Recorded) -> Estimates:
    """The same of other marks in the place of the judge's own."""
    keys = asked(judged, recorded)
    measure = _scores if judged.task == "score" else _pairs
    results: Estimates = {}
    for kind, rows in grouped(recorded.kinds[key.item] for key in keys).items():
        part = [keys[row] for row in rows]
        people = [recorded.people[judged.task][key] for key in part]
        found = {
            "missing": share_of([key not in marks for key in part], _items(part)),
            "unread": share_of([key in marks and marks[key] is None for key in part], _items(part)),
            **measure(part, people, [marks.get(key) for key in part]),
        }
        results |= {f"kind.{kind}.{name}": value for name, value in found.items()}
    return results | _sides(results)


def asked(judged: Judged, recorded: Recorded) -> list[Key]:
    """Everything that people marked and the judge was to mark, by kind."""
    rubrics = rubrics_of(judged.setting)
    keys = [
        key
        for key in recorded.people[judged.task]
        if key.rubric in rubrics and key.item in recorded.kinds
    ]
    return sorted(keys, key=lambda key: recorded.kinds[key.item])


def _items(keys: Sequence[Key]) -> list[str]:
    """What belongs together: marks of one request are not independent."""
    return [key.item for key in keys]


def _scores(keys: Sequence[Key], people: Sequence[int], marks: Sequence[Mark]) -> Estimates:
    items = _items(keys)
    same = [mark == human for human, mark in zip(people, marks, strict=True)]
    read = [mark is not None for mark in marks]
    rows = [
        (float(human), float(mark), item)
        for human, mark, item in zip(people, marks, items, strict=True)
        if mark is not None
    ]
    human, judge = [row[0] for row in rows], [row[1] for row in rows]
    groups = [row[2] for row in rows]
    off = [b - a for a, b in zip(human, judge, strict=True)]
    return {
        "agreement_unread_wrong": share_of(same, items),
        "agreement_of_read": share_of(same, items, read),
        **(
            estimates(_CORRELATIONS, human, judge, groups=groups, correlations=_CORRELATIONS)
            if rows
            else {name: Estimate(NAN, 0) for name in _CORRELATIONS}
        ),
        "mae": mean_of([abs(value) for value in off], groups),
        "signed_error": mean_of(off, groups),
    }


def _pairs(keys: Sequence[Key], people: Sequence[int], marks: Sequence[Mark]) -> Estimates:
    items = _items(keys)
    same = [mark == human for human, mark in zip(people, marks, strict=True)]
    untied = [human != TIE for human in people]
    decided = [human != TIE and mark in (0, 2) for human, mark in zip(people, marks, strict=True)]
    return {
        "with_tie": share_of(same, items),
        "with_tie_of_read": share_of(same, items, [mark is not None for mark in marks]),
        "without_human_ties": share_of(same, items, untied),
        "both_decided": share_of(same, items, decided),
        "says_first": share_of([mark == 0 for mark in marks], items),
        "says_equal": share_of([mark == TIE for mark in marks], items),
    }


def _sides(kinds: Estimates) -> Estimates:
    """Plain means over the kinds of each side that are there."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, value in kinds.items():
        _, kind, figure = name.split(".")
        if figure not in _NO_MEAN:
            found.setdefault((side_of(kind), figure), []).append(value.value)
    order = sorted(found, key=lambda key: list(SIDES).index(key[0]))
    return {
        f"side.{side}.{figure}": Estimate(
            agreement.mean(found[side, figure]), len(found[side, figure])
        )
        for side, figure in order
    }


# --- several judges together ----------------------------------------------------------------------


def fused(judges: Sequence[Judged]) -> dict[Key, Mark]:
    """The median of several judges' scores, or the code that more than half of them gave.

    Judges of one task and setting. Unread and missing scores are left out of a median; of codes
    they count as asked, so that there may be no majority: None.
    """
    keys = dict.fromkeys(key for judged in judges for key in judged.marks)
    by_key = {key: [judged.marks.get(key) for judged in judges] for key in keys}
    if judges[0].task == "pair":
        return {key: agreement.majority(marks) for key, marks in by_key.items()}
    return {key: _median([m for m in marks if m is not None]) for key, marks in by_key.items()}


def _median(marks: Sequence[int]) -> Mark:
    return float(statistics.median(marks)) if marks else None


def kinds_missing(recorded: Recorded) -> dict[str, tuple[str, ...]]:
    """By side, the kinds of the benchmark without any request in the folder."""
    there = Counter(recorded.kinds.values())
    return {side: tuple(k for k in kinds if not there[k]) for side, kinds in SIDES.items()}
