"""What the page of the suite `labelled` shows beside tables: charts, and the worst mistakes.

Takes scores with truths, rates with intervals, and records; knows nothing of how either is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from safejudge.evals.stats import curves
from safejudge.evals.stats.rates import CALLED
from safejudge.method.logic import polarities
from safejudge.show.figures import Bar, Chart, Mistake, Series
from safejudge.types import Outcome

if TYPE_CHECKING:
    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.stats.intervals import Estimate
    from safejudge.types import JSON, Constitution, Rule

    Rates = Mapping[str, Estimate]
    """Of one line of the table, by name."""
    Scores = tuple[Sequence[float], Sequence[bool]]
    Points = tuple[tuple[float, float], ...]

MOST = 12
"""Mistakes that are shown."""
TOGETHER = ("images", "all rules")
"""Lines that are about more than one rule."""


# --- charts ---------------------------------------------------------------------------------------


def charts(lines: Mapping[str, Scores], rates: Mapping[str, Rates]) -> tuple[Chart, ...]:
    """Curves of all lines that hold both classes, the rules apart; and bars of their rates."""
    both = {name: line for name, line in lines.items() if len(set(line[1])) == 2}
    together = {name: both[name] for name in TOGETHER if name in both}
    rules = {name: line for name, line in both.items() if name not in TOGETHER}
    drawn = [
        chart
        for about, some in (("", together), (", rule by rule", rules))
        if some
        for chart in _curves(about, some)
    ]
    return (*drawn, *_bars(rates))


def _curves(about: str, lines: Mapping[str, Scores]) -> list[Chart]:
    series = {
        draw: tuple(Series(name, draw(*line)) for name, line in lines.items())
        for draw in (_roc, _precision_recall, _reliability)
    }
    return [
        Chart(
            f"ROC{about}",
            "line",
            "false positive rate",
            "recall",
            series[_roc],
            "The diagonal is chance. Lines without both classes are left out, here and below.",
            diagonal=True,
        ),
        Chart(
            f"Precision and recall{about}",
            "line",
            "recall",
            "precision",
            series[_precision_recall],
            "In steps: the area under a curve is its AUPRC.",
        ),
        Chart(
            f"Reliability{about}",
            "line",
            "mean score",
            "share that is true",
            series[_reliability],
            "Scores in ten bins; empty ones are left out, and few rows make a bin jump. On the "
            "diagonal a score is a probability; below it, it is too high.",
            diagonal=True,
            marked=True,
        ),
    ]


def _roc(scores: Sequence[float], truths: Sequence[bool]) -> Points:
    points = curves.sweep(scores, truths)
    return ((0.0, 0.0), *((point.fpr, point.recall) for point in points))


def _precision_recall(scores: Sequence[float], truths: Sequence[bool]) -> Points:
    points: list[tuple[float, float]] = []
    before = 0.0
    for point in curves.sweep(scores, truths):
        points += [(before, point.precision), (point.recall, point.precision)]
        before = point.recall
    return tuple(points)


def _reliability(scores: Sequence[float], truths: Sequence[bool]) -> Points:
    return tuple((one.mean_score, one.share_true) for one in curves.reliability(scores, truths))


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
    """The test behind the least sure statement that speaks for the wrong side, or is undecided."""
    if verdict["outcome"] == "not_relevant":
        return "relevance"
    side = {leaf.statement: positive for leaf, positive in polarities(rule.condition).items()}
    asked = verdict["preconditions"]
    undecided = [one for one in asked if one["outcome"] == "undecided"]
    speaking = [
        one
        for one in asked
        if one["outcome"] != "undecided"
        and (one["outcome"] == wrong) == side.get(one["statement"], True)
    ]
    chosen = undecided if verdict["outcome"] == "undecided" else speaking
    least = min(chosen or asked, key=lambda one: abs(one["margin"]), default=None)
    return "unreadable" if least is None else str(least["test"])


# --- mistakes -------------------------------------------------------------------------------------


def mistakes(
    constitution: Constitution, usable: Iterable[tuple[Label, JSON]]
) -> tuple[Mistake, ...]:
    """Wrong verdicts, the surest first and undecided ones last.

    About rules where the label knows them, and about the image where it only says safe or unsafe.
    """
    found: list[tuple[bool, float, Mistake]] = []
    for label, record in usable:
        if label.violations is None:
            found += _about_image(constitution, label, record)
        else:
            for rule in constitution.rules:
                if rule.id in record["rules"]:
                    truth = rule.id in label.violations
                    found += _about_rule(rule, label.image, record["rules"][rule.id], truth=truth)
    found.sort(key=lambda one: one[:2])
    return tuple(mistake for _, _, mistake in found[:MOST])


def _about_rule(
    rule: Rule, image: str, verdict: JSON, *, truth: bool
) -> list[tuple[bool, float, Mistake]]:
    called = CALLED[verdict["outcome"]]
    if called is _right(truth=truth):
        return []
    stage = blamed(rule, verdict, "no" if truth else "yes")
    mistake = Mistake(
        image,
        (image,),
        f"{rule.id}: {_word(verdict['outcome'])}",
        "violated" if truth else "not violated",
        f"{_score(verdict['score'])}; it hangs on the stage {_word(stage)}.",
        _trace(verdict),
    )
    return [(called is Outcome.UNDECIDED, -_wrongness(verdict["score"], truth=truth), mistake)]


def _about_image(
    constitution: Constitution, label: Label, record: JSON
) -> list[tuple[bool, float, Mistake]]:
    """One verdict about a whole image; it hangs on the rule with the highest score."""
    truth, called = bool(label.unsafe), CALLED[record["label"]]
    if called is _right(truth=truth):
        return []
    rules = [rule for rule in constitution.rules if rule.id in record["rules"]]
    worst = max(rules, key=lambda rule: record["rules"][rule.id]["score"] or 0.0, default=None)
    why = f"{_score(record['score'])}."
    trace: tuple[str, ...] = ()
    if worst is not None:
        verdict = record["rules"][worst.id]
        stage = blamed(worst, verdict, "no" if truth else "yes")
        why = (
            f"{_score(record['score'])}; the rule with the highest is {worst.id}, which hangs on "
            f"the stage {_word(stage)}."
        )
        trace = _trace(verdict)
    true = "unsafe" if truth else "safe"
    mistake = Mistake(label.image, (label.image,), str(record["label"]), true, why, trace)
    return [(called is Outcome.UNDECIDED, -_wrongness(record["score"], truth=truth), mistake)]


def _right(*, truth: bool) -> Outcome:
    return Outcome.YES if truth else Outcome.NO


def _wrongness(score: float | None, *, truth: bool) -> float:
    """How far a score lies on the wrong side, in [0, 1]; the middle where there is none."""
    return 0.5 if score is None else 1 - score if truth else score


def _score(score: float | None) -> str:
    return "No score" if score is None else f"Score {score:.3f}"


def _word(name: str) -> str:
    return name.replace("_", " ")


def _trace(verdict: JSON) -> tuple[str, ...]:
    """Every statement that was asked: outcome, what decided, score."""
    return tuple(
        f"{one['statement']} {one['outcome']} ({_word(one['test'])}, {one['score']:.3f})"
        for one in verdict["preconditions"]
    )
