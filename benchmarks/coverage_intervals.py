"""How often the 95 % intervals of `evals/stats` hold what they should, by simulation.

Runs are made up whose true figures are known: independent images and images in groups that are
alike, few and many groups, rare violations, judges that are good or lean to one side. Counted of
every printed interval: how often it holds the truth, how often there is one, and how wide it is.

The ways in which intervals are made were chosen on the seeds `dev`; what is recorded is of `test`.

`python benchmarks/coverage_intervals.py [--seeds dev|test] [--repeats 1000]`
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from measure import record

from safejudge.evals.mllm_judge import figures
from safejudge.evals.reliability import _COMPARED
from safejudge.evals.stats import fairness, order_bias, preference
from safejudge.evals.stats.intervals import Estimate, share_of
from safejudge.evals.stats.jackknife import estimates
from safejudge.evals.stats.rates import rates_of
from safejudge.evals.suite import Prediction
from safejudge.show.markdown import table
from safejudge.types import Outcome

Lot = np.random.Generator
Flags = npt.NDArray[np.bool_]
Found = Mapping[str, Estimate]
SEEDS = {"dev": 20_000, "test": 130_000}
WANTED = 0.93


@dataclass
class Count:
    """What became of one interval over all repeats."""

    held: int = 0
    shown: int = 0
    width: float = 0.0
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """One kind of run."""

    name: str
    draw: Callable[[Lot], Found]
    """Makes up a run, and what the library says of it."""
    truth: Mapping[str, float]
    """What it should say, by the names of the estimates that have intervals."""
    share: float = 1.0
    """Of the repeats: some take long."""


# --- labelled images ------------------------------------------------------------------------------


def labelled(  # noqa: PLR0913 - what a run of images is made of
    name: str, groups: int, size: int | Sequence[int], *,
    prevalence: float = 0.5, recall: float = 0.85,
    fpr: float = 0.1, alike: float = 0.0, same: float = 0.0,
) -> Scenario:  # fmt: skip
    """Images in groups; `alike`: share that has its group's truth, `same`: of answers."""

    def draw(lot: Lot) -> Found:
        group = np.repeat(np.arange(groups), size)
        own, theirs = lot.random(len(group)) < prevalence, lot.random(groups) < prevalence
        target = np.where(lot.random(len(group)) < alike, theirs[group], own)
        chance = np.where(
            target, propensity(lot, recall, same, groups)[group],
            propensity(lot, fpr, same, groups)[group],
        )  # fmt: skip
        said = lot.random(len(group)) < chance
        calls = [
            (bool(t), Outcome.YES if s else Outcome.NO) for t, s in zip(target, said, strict=True)
        ]
        return rates_of(calls, group.tolist())

    hits, alarms = prevalence * recall, (1 - prevalence) * fpr
    truth = {"precision": hits / (hits + alarms), "recall": recall, "FPR": fpr,
             "F1": 2 * hits / (hits + alarms + prevalence)}  # fmt: skip
    return Scenario(name, draw, truth)


def propensity(lot: Lot, mean: float, same: float, groups: int) -> npt.NDArray[np.float64]:
    """A chance for each group; `same` is the correlation of two answers in one group."""
    if not same:
        return np.full(groups, mean)
    weight = (1 - same) / same
    return lot.beta(mean * weight, (1 - mean) * weight, groups)


def rules_of_images(images: int, rules: int) -> Scenario:
    """All rules of some images: hard images have their mistakes together."""

    def draw(lot: Lot) -> Found:
        image = np.repeat(np.arange(images), rules)
        target = lot.random(len(image)) < 0.06
        said = lot.random(len(image)) < np.where(
            target,
            propensity(lot, 0.9, 0.3, images)[image],
            propensity(lot, 0.02, 0.3, images)[image],
        )
        calls = [
            (bool(t), Outcome.YES if s else Outcome.NO) for t, s in zip(target, said, strict=True)
        ]
        return rates_of(calls, image.tolist())

    hits, alarms = 0.06 * 0.9, 0.94 * 0.02
    truth = {"precision": hits / (hits + alarms), "recall": 0.9, "FPR": 0.02,
             "F1": 2 * hits / (hits + alarms + 0.06)}  # fmt: skip
    return Scenario(f"{images} images of {rules} rules", draw, truth)


# --- agreement with people ------------------------------------------------------------------------


def scores(lot: Lot, groups: int, size: int, rho: float, same: float) -> tuple[Any, Any, Any]:
    """Scores from 1 to 5 of two sides, correlated, alike within groups."""
    group = np.repeat(np.arange(groups), size)

    def normal() -> npt.NDArray[np.float64]:
        shared, own = lot.normal(size=groups)[group], lot.normal(size=len(group))
        return math.sqrt(same) * shared + math.sqrt(1 - same) * own

    first = normal()
    second = rho * first + math.sqrt(1 - rho**2) * normal() + 0.3
    human, judge = (np.clip(np.floor(side + 2.5), 0, 4) + 1 for side in (first, second))
    return group, human, judge


def agreeing(name: str, groups: int, size: int, rho: float, same: float) -> Scenario:
    def draw(lot: Lot) -> Found:
        group, human, judge = scores(lot, groups, size, rho, same)
        return figures_of(human, judge, group.tolist())

    _, human, judge = scores(np.random.default_rng(1), 60_000, 1, rho, 0.0)
    truth = {name: figure.value for name, figure in figures_of(human, judge, None).items()}
    return Scenario(name, draw, truth)


def figures_of(human: Any, judge: Any, groups: list[int] | None) -> dict[str, Estimate]:
    """The figures of agreement, as the suite makes them."""
    correlations = figures._CORRELATIONS  # noqa: SLF001 - whatever the suite prints
    found = estimates(
        correlations, human, judge, groups=groups, correlations=correlations,
        intervals=groups is not None,
    )  # fmt: skip
    off = judge - human
    found["the same"] = share_of(off == 0, groups, intervals=groups is not None)
    found["mean error"] = figures.mean_of(np.abs(off), groups, intervals=groups is not None)
    found["signed error"] = figures.mean_of(off, groups, intervals=groups is not None)
    return found


# --- pairs ----------------------------------------------------------------------------------------

_ANSWERS = (preference.Answer.FIRST, preference.Answer.SECOND, preference.Answer.TIE)


def pairs(name: str, pictures: int, size: int, same: float) -> Scenario:
    """Pairs, several of one caption; a tenth of the answers are ties."""

    def draw(lot: Lot) -> Found:
        caption = np.repeat(np.arange(pictures), size)
        label = lot.integers(0, 2, len(caption))
        right = lot.random(len(caption)) < propensity(lot, 0.8, same, pictures)[caption]
        said = np.where(lot.random(len(caption)) < 0.1, 2, np.where(right, label, 1 - label))
        made = [
            preference.Pair("x", _ANSWERS[first], _ANSWERS[answer], caption=f"c{number}")
            for number, first, answer in zip(caption, label, said, strict=True)
        ]
        return fields(preference.preference(made, preference.decide(made), intervals=True))

    rate = 0.9 * 0.8
    truth = {"acc_with_tie": rate, "acc_without_tie": 0.8, "balanced": rate, "acc_first": rate,
             "ties": 0.1, "chosen_first": 0.5}  # fmt: skip
    return Scenario(name, draw, truth)


def both_orders(name: str, stuck: float) -> Scenario:
    """Pairs in both orders; a share of them is answered by place, mostly the first."""
    count = 40

    def draw(lot: Lot) -> Found:
        made = []
        leans, place = lot.random(count) < stuck, lot.random(count) < 0.9
        for number in range(count):
            for label in (0, 1):
                right = lot.random() < 0.85
                said = int(not place[number]) if leans[number] else label if right else 1 - label
                names = ("a", "b") if label == 0 else ("b", "a")
                images = (f"{number}{names[0]}", f"{number}{names[1]}")
                made.append(preference.Pair(
                    "x", _ANSWERS[label], _ANSWERS[said], caption=str(number), images=images
                ))  # fmt: skip
        answers = preference.decide(made)
        turned = preference.orders(made, answers, intervals=True)
        assert turned is not None  # noqa: S101 - they were shown in both
        whole = fields(preference.preference(made, answers, intervals=True))
        return {f"orders, {k}": v for k, v in fields(turned).items()} | whole

    free = 0.85
    first, second = stuck * 0.9 + (1 - stuck) * free, stuck * 0.1 + (1 - stuck) * free
    mean = (first + second) / 2
    same = (1 - stuck) * (free**2 + (1 - free) ** 2)
    truth = {"orders, chosen_first": first, "orders, rejected_first": second, "orders, mean": mean,
             "orders, agreement": same, "acc_with_tie": mean, "balanced": mean}  # fmt: skip
    return Scenario(name, draw, truth)


def slots(items: int, size: int) -> Scenario:
    """One judge, both orders of two answers, several of one picture (`order_bias`)."""

    def draw(lot: Lot) -> Found:
        item = np.repeat(np.arange(items), size)
        turns = lot.random(len(item)) < propensity(lot, 0.2, 0.3, items)[item]
        choices = [("A", "A") if turn else ("A", "B") for turn in turns]
        marks = [("right", "wrong") if turn else ("right", "right") for turn in turns]
        return order_bias.estimates(choices, marks, {None}, item.tolist())

    truth = {"same_answer": 0.8, "right_in_both": 0.8, "always_A": 0.2}
    return Scenario(f"both slots, {items} pictures of {size}", draw, truth)


def fields(measured: Any) -> dict[str, Estimate]:
    names = (name for name in measured.__slots__)
    values = {name: getattr(measured, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, Estimate)}


# --- evenness -------------------------------------------------------------------------------------


def occupation(lot: Lot, name: int, even: float) -> list[fairness.Rated]:
    """18 ratings of one occupation, whose spread differs from one to the next."""
    ratings = lot.uniform(2.5, 4) + lot.normal(size=18) * lot.gamma(2, even)
    whole = np.clip(np.round(ratings), 1, 5)
    return [fairness.Rated(str(name), float(rating)) for rating in whole]


def evenness(occupations: int, even: float, words: str) -> Scenario:
    rules = fairness.Rules(normalise="none")

    def draw(lot: Lot) -> Found:
        rows = [row for name in range(occupations) for row in occupation(lot, name, even)]
        return fairness.fairness(rows, rules, intervals=True).means

    lot = np.random.default_rng(2)
    rows = [row for name in range(20_000) for row in occupation(lot, name, even)]
    many = fairness.fairness(rows, rules)
    truth = {name: mean.value for name, mean in many.means.items()}
    return Scenario(f"fairness, {occupations} occupations{words}", draw, truth)


# --- a changed run --------------------------------------------------------------------------------


def changed(name: str, groups: int, size: int, *, lost: float, won: float) -> Scenario:
    """Answers before and after a change; some answers are no more, some are none."""

    def draw(lot: Lot) -> Found:
        group = np.repeat(np.arange(groups), size)
        right = lot.random(len(group)) < propensity(lot, 0.8, 0.2, groups)[group]
        flip = np.where(right, propensity(lot, lost, 0.3, groups)[group],
                        propensity(lot, won, 0.3, groups)[group])  # fmt: skip
        after = np.where(lot.random(len(group)) < flip, ~right, right)
        silent = lot.random(len(group)) < propensity(lot, 0.05, 0.3, groups)[group]
        moved = np.abs(lot.normal(size=len(group)) * 0.1)
        pairs = [
            (said(number, g, yes, 0.5), said(number, g, None if no else now, 0.5 + by))
            for number, (g, yes, now, no, by) in enumerate(
                zip(group, right, after, silent, moved, strict=True)
            )
        ]
        return {name: compare(pairs) for name, compare in _COMPARED.items()}

    gone = 0.95 * (0.8 * (1 - lost) + 0.2 * won)
    truth = {"same_answer": 0.8 * (1 - lost) + 0.2 * (1 - won), "right_gained": gone - 0.8,
             "score_moved": 0.1 * math.sqrt(2 / math.pi), "no_answer": 0.05}  # fmt: skip
    return Scenario(name, draw, truth)


def said(number: int, group: int, right: Any, score: float) -> Prediction:
    answer = None if right is None else "yes" if right else "no"
    return Prediction("p", str(number), answer, bool(right), score, group=str(group))


# --- all of it ------------------------------------------------------------------------------------

SCENARIOS = (
    labelled("60 independent images", 60, 1),
    labelled("300 independent images", 300, 1),
    labelled("300 images, 3 % unsafe", 300, 1, prevalence=0.03, fpr=0.02),
    labelled("60 groups of 5, alike", 60, 5, alike=0.9, same=0.5),
    labelled("60 groups of 5, a good judge", 60, 5, recall=0.97, fpr=0.02, alike=0.9, same=0.5),
    labelled("12 groups of 25, alike", 12, 25, alike=0.9, same=0.5),
    labelled("12 groups of 25, little alike", 12, 25, alike=0.3, same=0.1),
    labelled("30 groups of 10, rare", 30, 10, prevalence=0.2, recall=0.9, fpr=0.03,
             alike=0.9, same=0.3),
    labelled("20 groups of 1 to 60, alike", 20, [3 * n + 1 for n in range(20)], alike=0.9,
             same=0.5),
    labelled("60 groups of 1 to 160, alike", 60, [int(1.09**n) for n in range(60)], alike=0.9,
             same=0.5),
    labelled("20 groups of 2", 20, 2, alike=0.9, same=0.5),
    rules_of_images(80, 12),
    agreeing("agreement, 50 answers", 50, 1, 0.6, 0.0),
    agreeing("agreement, 300 answers", 300, 1, 0.6, 0.0),
    agreeing("agreement, 60 groups of 5", 60, 5, 0.6, 0.5),
    agreeing("agreement, 12 groups of 25", 12, 25, 0.6, 0.5),
    pairs("100 pairs", 100, 1, 0.0),
    pairs("40 pictures of 5 pairs", 40, 5, 0.3),
    pairs("20 pairs", 20, 1, 0.0),
    both_orders("40 pairs in both orders", 0.0),
    both_orders("the same, half by place", 0.5),
    slots(60, 3),
    evenness(30, 0.25, ""),
    evenness(12, 0.25, ""),
    evenness(10, 0.25, ""),
    evenness(10, 0.08, ", even"),
    changed("changed run, 200 images", 200, 1, lost=0.1, won=0.05),
    changed("changed run, 40 groups of 5", 40, 5, lost=0.1, won=0.05),
    changed("changed run, 20 pairs, little changes", 20, 1, lost=0.03, won=0.01),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args()
    start = time.process_time()
    counts: dict[tuple[str, str], Count] = defaultdict(Count)
    for number, scenario in enumerate(SCENARIOS):
        for repeat in range(round(options.repeats * scenario.share)):
            lot = np.random.default_rng((SEEDS[options.seeds], number, repeat))
            found = scenario.draw(lot)
            for name, true in scenario.truth.items():
                tally(counts[scenario.name, name], found[name], true)
    rows, below = rows_of(counts)
    shown = len(rows) - sum(row[2] == "-" for row in rows)
    words = (
        f"{shown} intervals, seeds `{options.seeds}`; how they are made was chosen on `dev`. "
        f"Below {WANTED}: {', '.join(below) or 'none'}. "
        f"Lowest: {min(row[2] for row in rows if row[2] != '-')}."
    )
    heads = ("run", "figure", "holds the truth", "shown", "mean width")
    text = f"# Intervals that hold\n\n{words}\n\n{table(heads, rows)}"
    numbers = {
        f"{run}/{name}": {"coverage": c.held / c.shown if c.shown else None, "shown": c.shown}
        for (run, name), c in counts.items()
    }
    print(f"{time.process_time() - start:.0f} s of CPU")
    record("coverage-intervals", {"seeds": options.seeds, "intervals": numbers}, text)


def tally(count: Count, found: Estimate, true: float) -> None:
    count.values.append(found.value)
    if found.interval is not None:
        count.shown += 1
        count.held += found.low - 1e-9 <= true <= found.high + 1e-9
        count.width += found.high - found.low


def rows_of(counts: Mapping[tuple[str, str], Count]) -> tuple[list[tuple[str, ...]], list[str]]:
    """A line for each interval, and those that hold too seldom."""
    rows, below = [], []
    for (run, name), count in counts.items():
        tries = len(count.values)
        if count.shown < 0.05 * tries:  # too seldom to say anything
            rows.append((run, name, "-", f"{count.shown / tries:.0%}", "-"))
            continue
        coverage = count.held / count.shown
        if coverage < WANTED:
            below.append(f"{run}, {name} {coverage:.3f}")
        rows.append((run, name, f"{coverage:.3f}", f"{count.shown / tries:.0%}",
                     f"{count.width / count.shown:.3f}"))  # fmt: skip
    return rows, below


if __name__ == "__main__":
    main()
