"""How reliable a judge is: how sure of itself, and how its answers change when they should not.

Takes the answers of a plain run and of changed ones (`variants`), as `Said`; gives tables. What is
compared are the items that both runs have; an answer that one of them lacks is counted, and is no
agreement and no disagreement.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats import curves
from safejudge.evals.stats.intervals import NAN, Estimate, estimate, share
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.evals.variants import REPEAT, VARIANTS, folders
from safejudge.show.figures import Chart, Series, Table
from safejudge.show.markdown import figure

if TYPE_CHECKING:
    from pathlib import Path

Both = list[tuple[Prediction, Prediction]]
"""The same items, plain and changed."""
Compared = dict[str, dict[str, dict[str, Estimate]]]
"""By way of judging, then by variant, then by what is compared (`_FIGURES`)."""


def report(scored: Callable[[Path], EvalResult], out: Path) -> EvalResult:
    """The tables of a run, and beside them how its changed runs differ. Raises `InputError`."""
    plain = scored(out)
    changed: dict[str, tuple[Prediction, ...]] = {}
    empty = []
    for name, folder in folders(out).items():
        try:
            changed[name] = scored(folder).said
        except InputError as error:  # stopped before its first record
            empty.append(f"variant {name}: {error}")
    by_way = _by_way(plain.said)
    numbers, tables = _calibration(by_way)
    others = {name: _by_way(said) for name, said in changed.items()}
    compared: Compared = {
        way: {name: _compared(some, other.get(way, [])) for name, other in others.items()}
        for way, some in by_way.items()
    }
    numbers |= {
        f"{way}/{name}/{what}": one.json()
        for way, variants in compared.items()
        for name, found in variants.items()
        for what, one in found.items()
    }
    tables += [_changes(compared), _repeats(by_way, changed)]
    return replace(
        plain,
        tables=(*plain.tables, *(one for one in tables if one.rows)),
        charts=(*plain.charts, *_curves(by_way)),
        numbers=plain.numbers | ({"reliability": numbers} if numbers else {}),
        unread=(*plain.unread, *empty),
    )


def _by_way(said: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for one in said:
        found.setdefault(one.way, []).append(one)
    return found


def _compared(plain: Sequence[Prediction], changed: Sequence[Prediction]) -> dict[str, Estimate]:
    other = {one.item: one for one in changed}
    both = [(one, other[one.item]) for one in plain if one.item in other]
    return {what: make(both) for what, make in _FIGURES.items()}


# --- how sure -----------------------------------------------------------------------------------


def _sure(said: Sequence[Prediction]) -> tuple[list[float], list[bool]]:
    """How probable answers were held, and whether they were right."""
    known = [(one.confidence, one.right) for one in said]
    kept = [(sure, right) for sure, right in known if sure is not None and right is not None]
    return [sure for sure, _ in kept], [right for _, right in kept]


def _calibration(
    by_way: Mapping[str, Sequence[Prediction]],
) -> tuple[dict[str, object], list[Table]]:
    numbers: dict[str, object] = {}
    rows = []
    for way, some in by_way.items():
        sure, right = _sure(some)
        if not sure:
            continue
        found = {
            "confidence": ag.mean(sure), "right": ag.mean(right),
            "ece": curves.calibration_error(sure, right), "brier": curves.brier(sure, right),
        }  # fmt: skip
        numbers[f"{way}/calibration"] = found | {"n": len(sure)}
        rows.append((way, str(len(sure)), *map(figure, found.values())))
    note = (
        "How probable the judge held the answer that it gave, beside how often that was right. "
        "ECE: the mean distance of both over ten bins (Naeini et al. 2015); Brier: the mean "
        "squared distance of confidence and truth."
    )
    heads = ("", "n", "confidence", "right", "ECE", "Brier")
    return numbers, [Table("How sure the judge is", heads, tuple(rows), note)]


def _curves(by_way: Mapping[str, Sequence[Prediction]]) -> list[Chart]:
    series = []
    for way, some in by_way.items():
        sure, right = _sure(some)
        points = [(bin_.mean_score, bin_.share_true) for bin_ in curves.reliability(sure, right)]
        if points:
            series.append(Series(way, points=tuple(points)))
    if not series:
        return []
    return [
        Chart(
            "How sure the judge is, and how often it is right", "line", "confidence",
            "share right", tuple(series), "On the diagonal, what is held probable is as "
            "often right; below it, the judge is too sure.", diagonal=True, marked=True,
        )
    ]  # fmt: skip


# --- what changes -------------------------------------------------------------------------------


def _answered(one: Prediction) -> bool:
    """A rating that nobody can call right or wrong is an answer too."""
    return one.answer is not None or (one.score is not None and one.right is None)


def _same(both: Both) -> Estimate:
    known = [(a, b) for a, b in both if a.answer is not None and b.answer is not None]
    return _mean(known, [float(a.answer == b.answer) for a, b in known])


def _gained(both: Both) -> Estimate:
    known = [(a, b) for a, b in both if a.right is not None and b.right is not None]
    return _mean(known, [float(b.right or 0) - float(a.right or 0) for a, b in known])


def _moved(both: Both) -> Estimate:
    known = [
        (a, b, abs(a.score - b.score)) for a, b in both
        if a.score is not None and b.score is not None and _answered(a) and _answered(b)
    ]  # fmt: skip
    return _mean([(a, b) for a, b, _ in known], [moved for *_, moved in known])


def _silent(both: Both, side: int) -> Estimate:
    return share(sum(not _answered(pair[side]) for pair in both), len(both))


def _mean(both: Both, values: Sequence[float]) -> Estimate:
    return estimate(ag.mean, values, groups=_groups(both)) if both else Estimate(NAN, 0)


def _groups(both: Both) -> list[str]:
    return [a.group or a.item for a, _ in both]


_FIGURES: Mapping[str, Callable[[Both], Estimate]] = {
    "same_answer": _same,
    "right_gained": _gained,
    "score_moved": _moved,
    "no_answer": lambda both: _silent(both, 1),
    "no_answer_plain": lambda both: _silent(both, 0),
}


def _changes(compared: Compared) -> Table:
    """A row for each way of judging and each change."""
    names = list(dict.fromkeys(name for variants in compared.values() for name in variants))
    about = "; ".join(f"{name}: {VARIANTS[name].about}" for name in names if name in VARIANTS)
    rows = []
    for way, variants in compared.items():
        for name, found in variants.items():
            n = found["no_answer"].n  # every item that both runs have
            if not n:  # without pictures an encoder has nothing to compare
                continue
            cells = ("-" if math.isnan(one.value) else one.text(n) for one in found.values())
            rows.append((f"{way}, {name}", str(n), *cells))
    note = (
        f"{about}{'.' if about else ''} Same answer: over items that both runs answered. Right: "
        "the share with the change minus that without; an item without an answer is not right. "
        "Score moves: mean distance over items that both answered, in rating points for ratings, "
        "else in [0, 1]. No answer, and none without the change: refused, unreadable or undecided."
    ).lstrip()
    heads = ("same answer", "right, minus plain", "score moves", "no answer", "none without")
    title = "What answers do when something is changed"
    return Table(title, ("", "n", *heads), tuple(rows), note)


def _what(one: Prediction) -> str | None:
    """The answer; of a rating that nobody can call right or wrong, its number."""
    if not _answered(one):
        return None
    return f"{one.score:.3f}" if one.answer is None else one.answer


def _repeats(
    by_way: Mapping[str, Sequence[Prediction]], changed: Mapping[str, Sequence[Prediction]]
) -> Table:
    """How often one answer comes more than half of the time (arXiv 2402.04788)."""
    again = [
        {(one.way, one.item): _what(one) for one in said}
        for name, said in changed.items()
        if name.startswith(REPEAT)
    ]
    rows = []
    for way, some in by_way.items() if again else ():
        groups, held = [], []
        for one in some:
            key = (way, one.item)
            answers = [_what(one), *(answers[key] for answers in again if key in answers)]
            if len(answers) == len(again) + 1:
                (answer, count), *_ = Counter(answers).most_common(1)
                groups.append(one.group or one.item)
                held.append(float(answer is not None and count > len(answers) / 2))
        if held:
            share = estimate(ag.mean, held, groups=groups)
            rows.append((way, str(len(held)), share.text(len(held))))
    return Table(
        f"One answer more than half of {len(again) + 1} times",
        ("", "n", "consistent"),
        tuple(rows),
        "Asked again greedily, in batches of other sizes. An item that mostly has no answer "
        "is not consistent.",
    )
