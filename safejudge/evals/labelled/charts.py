"""What the page of the suite `labelled` shows beside tables: charts, and the worst mistakes.

Takes scores with targets, rates with intervals, and records; knows nothing of how either is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from safejudge.evals.stats import curves
from safejudge.evals.stats.rates import CALLED
from safejudge.method.logic import polarities
from safejudge.show.figures import Bar, Chart, Mistake, Series
from safejudge.text import counted
from safejudge.types import Outcome

if TYPE_CHECKING:
    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.stats.intervals import Estimate
    from safejudge.types import JSON, Constitution, Rule

    Rates = Mapping[str, Estimate]
    """Of one line of the table, by name."""
    Scores = tuple[Sequence[float], Sequence[bool]]
    Points = tuple[tuple[float, float], ...]
    _Ranked = tuple[bool, float, Mistake]
    """Whether a verdict was undecided, how right it was, and what is shown of it."""

MISTAKES = 12
"""Mistakes that are shown."""
ROWS, OF_EACH = 30, 10
"""A rule has curves of its own from so many images on, and so many true ones and false ones."""
TOGETHER = ("images", "all rules")
"""Lines that are about more than one rule."""


# --- charts ---------------------------------------------------------------------------------------


def charts(lines: Mapping[str, Scores], rates: Mapping[str, Rates]) -> tuple[Chart, ...]:
    """Bars of the rates, and curves of the lines that hold both classes, the rules apart.

    A rule has curves if it was asked often enough, and was true and false often enough: of a
    handful of rows a curve is noise.
    """
    mixed = {name: line for name, line in lines.items() if len(set(line[1])) == 2}
    together = {name: mixed[name] for name in TOGETHER if name in mixed}
    rules = {name: line for name, line in mixed.items() if name not in TOGETHER}
    enough = {name: line for name, line in rules.items() if _is_enough(line[1])}
    few = len(rules) - len(enough)
    note = f" Left out: {counted(few, 'rule')} of fewer than {ROWS} images, or {OF_EACH} of a kind."
    curves_drawn = [
        chart
        for suffix, part, left_out in (
            ("", together, ""),
            (", rule by rule", enough, note if few else ""),
        )
        if part
        for chart in _curves(suffix, part, left_out)
    ]
    return (*_bars(rates), *curves_drawn)


def _is_enough(targets: Sequence[bool]) -> bool:
    true = sum(targets)
    return len(targets) >= ROWS and min(true, len(targets) - true) >= OF_EACH


def _curves(suffix: str, lines: Mapping[str, Scores], left_out: str) -> list[Chart]:
    series = {
        draw: tuple(Series(name, draw(*line)) for name, line in lines.items())
        for draw in (_roc, _precision_recall, _reliability)
    }
    return [
        Chart(
            f"ROC{suffix}",
            "line",
            "false positive rate",
            "recall",
            series[_roc],
            "The diagonal is chance. Lines without both classes are left out, here and below."
            + left_out,
            diagonal=True,
        ),
        Chart(
            f"Precision and recall{suffix}",
            "line",
            "recall",
            "precision",
            series[_precision_recall],
            "In steps: the area under a curve is its AUPRC." + left_out,
        ),
        Chart(
            f"Reliability{suffix}",
            "line",
            "mean score",
            "share that is true",
            series[_reliability],
            "Scores in ten bins; empty ones are left out, and few rows make a bin jump. On the "
            "diagonal a score is a probability; below it, it is too high." + left_out,
            diagonal=True,
            marked=True,
        ),
    ]


def _roc(scores: Sequence[float], targets: Sequence[bool]) -> Points:
    points = curves.sweep(scores, targets)
    return ((0.0, 0.0), *((point.fpr, point.recall) for point in points))


def _precision_recall(scores: Sequence[float], targets: Sequence[bool]) -> Points:
    points: list[tuple[float, float]] = []
    recall = 0.0
    for point in curves.sweep(scores, targets):
        points += [(recall, point.precision), (point.recall, point.precision)]
        recall = point.recall
    return tuple(points)


def _reliability(scores: Sequence[float], targets: Sequence[bool]) -> Points:
    return tuple(
        (group.mean_score, group.share_true) for group in curves.reliability(scores, targets)
    )


def _bars(rates: Mapping[str, Rates]) -> Iterable[Chart]:
    """One chart for what is missed and what is called wrongly; every line is a group."""
    groups = tuple(
        Series(
            name,
            bars=tuple(
                Bar(rate, estimate.value, estimate.low, estimate.high)
                for rate, estimate in estimates.items()
                if rate in ("precision", "recall", "FPR")
            ),
        )
        for name, estimates in rates.items()
    )
    note = "Whiskers are intervals of 95 %, as in the table; a dash is a rate without any row."
    return [Chart("Rates", "bars", "rate", "line", groups, note)] if groups else []


# --- which stage ----------------------------------------------------------------------------------


def blamed(rule: Rule, verdict: JSON, wrong: Literal["yes", "no"]) -> str:
    """The test behind the least sure statement that speaks for the wrong side, or is undecided.

    Relevance, where the filter skipped a rule that would not have been wrong without it.
    """
    outcome = verdict["outcome"]
    if outcome == "not_relevant":
        outcome = verdict.get("unfiltered")
        if outcome is None or CALLED[outcome] != wrong:
            return "relevance"
    side = {leaf.statement: positive for leaf, positive in polarities(rule.condition).items()}
    leaves = verdict["preconditions"]
    undecided = [leaf for leaf in leaves if leaf["outcome"] == "undecided"]
    speaking = [
        leaf
        for leaf in leaves
        if leaf["outcome"] != "undecided"
        and (leaf["outcome"] == wrong) == side.get(leaf["statement"], True)
    ]
    suspects = undecided if outcome == "undecided" else speaking
    closest = min(suspects or leaves, key=lambda leaf: abs(leaf["margin"]), default=None)
    return "unreadable" if closest is None else str(closest["test"])


# --- mistakes -------------------------------------------------------------------------------------


def mistakes(
    constitution: Constitution, judged: Iterable[tuple[Label, JSON]]
) -> tuple[Mistake, ...]:
    """Wrong verdicts, the surest first and undecided ones last.

    About rules where the label knows them, and about the image where it only says safe or unsafe.
    """
    ranked: list[_Ranked] = []
    for label, record in judged:
        if label.violations is None:
            ranked += _image_mistakes(constitution, label, record)
        else:
            for rule in constitution.rules:
                target = label.violates(rule.id)
                if target is not None and rule.id in record["rules"]:
                    verdict = record["rules"][rule.id]
                    ranked += _rule_mistakes(rule, label.image, verdict, target=target)
    ranked.sort(key=lambda row: row[:2])
    return tuple(mistake for _, _, mistake in ranked[:MISTAKES])


def _rule_mistakes(rule: Rule, image: str, verdict: JSON, *, target: bool) -> list[_Ranked]:
    called = CALLED[verdict["outcome"]]
    if called is _right(target=target):
        return []
    stage = blamed(rule, verdict, "no" if target else "yes")
    mistake = Mistake(
        image,
        (image,),
        f"{rule.id}: {_word(verdict['outcome'])}",
        "violated" if target else "not violated",
        f"{_score(verdict['score'])}; it hangs on the stage {_word(stage)}.",
        _trace(verdict),
    )
    return [(called is Outcome.UNDECIDED, -_wrongness(verdict["score"], target=target), mistake)]


def _image_mistakes(constitution: Constitution, label: Label, record: JSON) -> list[_Ranked]:
    """One verdict about a whole image; it hangs on the rule with the highest score."""
    target, called = bool(label.unsafe), CALLED[record["label"]]
    if called is _right(target=target):
        return []
    rules = [
        rule
        for rule in constitution.rules
        if rule.id in record["rules"]
        and (target or record["rules"][rule.id]["outcome"] != "not_relevant")
    ]
    worst = max(rules, key=lambda rule: record["rules"][rule.id]["score"] or 0.0, default=None)
    reason = f"{_score(record['score'])}."
    trace: tuple[str, ...] = ()
    if worst is not None:
        verdict = record["rules"][worst.id]
        stage = blamed(worst, verdict, "no" if target else "yes")
        reason = (
            f"{_score(record['score'])}; the rule with the highest is {worst.id}, which hangs on "
            f"the stage {_word(stage)}."
        )
        trace = _trace(verdict)
    true = "unsafe" if target else "safe"
    mistake = Mistake(label.image, (label.image,), str(record["label"]), true, reason, trace)
    return [(called is Outcome.UNDECIDED, -_wrongness(record["score"], target=target), mistake)]


def _right(*, target: bool) -> Outcome:
    return Outcome.YES if target else Outcome.NO


def _wrongness(score: float | None, *, target: bool) -> float:
    """How far a score lies on the wrong side, in [0, 1]; the middle where there is none."""
    return 0.5 if score is None else 1 - score if target else score


def _score(score: float | None) -> str:
    return "No score" if score is None else f"Score {score:.3f}"


def _word(name: str) -> str:
    return name.replace("_", " ")


def _trace(verdict: JSON) -> tuple[str, ...]:
    """Every statement that was asked: outcome, what decided, score."""
    return tuple(
        f"{leaf['statement']} {leaf['outcome']} ({_word(leaf['test'])}, {leaf['score']:.3f})"
        for leaf in verdict["preconditions"]
    )
