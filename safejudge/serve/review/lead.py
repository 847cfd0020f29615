"""What whoever answers for the rules wants to know of each: how often, how sure, how right.

Takes the journal's summary by week and what people decided; gives markup for the page, and the
numbers in it. People see chosen images: only those drawn by lot speak for all.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import Estimate, ratio, share
from safejudge.evals.stats.raters import cohen_kappa, krippendorff_alpha
from safejudge.journal.beside import answers, beside_the_judge
from safejudge.journal.weeks import bring_up_to_date, first_weeks, monday, week_of, weeks
from safejudge.serve.review.bars import Column, Part, columns, stacked
from safejudge.serve.review.item import template
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markupsafe import Markup

    from safejudge.journal.beside import Answers, Beside
    from safejudge.journal.weeks import WeekOfRule
    from safejudge.serve.review.asked import Review
    from safejudge.types import JSON

OUTCOMES = ("violated", "undecided", "not_violated", "not_relevant")
_MIDDLE = (4, 5)
"""Tenths of scores that are near 1/2."""
_SAID = {"violates": "violated", "does_not": "not_violated"}


def rules(review: Review, number: int) -> JSON:
    """Show every rule over the last weeks."""
    bring_up_to_date(review.journal)
    last = week_of(time.time())
    first = last - number + 1
    known = review.rules
    found: dict[str, list[WeekOfRule]] = {name: [] for name in known}
    for row in weeks(review.journal, since=first):
        found.setdefault(row.rule, []).append(row)
    beside: dict[str, list[Beside]] = {}
    for one in beside_the_judge(review.journal, since=monday(first)):
        beside.setdefault(one.rule, []).append(one)
    changed = {week for week in first_weeks(review.journal).values() if week >= first}
    span = range(first, last + 1)
    shown = [_Rule(name, rows, beside.get(name, ()), span, changed) for name, rows in found.items()]
    return {
        "rules": [one.json() for one in shown],
        "agreement": (agreed := agreement(review)).json(),
        "html": template("lead.html").render(
            rules=shown,
            texts={name: rule.text for name, rule in known.items()},
            weeks=number,
            agreement=agreed,
            reviewers=review.reviewers,
            counted=counted,
            in_words=in_words,
        ),
    }


class _Rule:
    """One rule over some weeks."""

    def __init__(
        self,
        name: str,
        rows: Iterable[WeekOfRule],
        beside: Iterable[Beside],
        span: range,
        changed: set[int],
    ) -> None:
        rows = list(rows)
        self.name = name
        self.outcomes: Counter[str] = Counter()
        for row in rows:
            self.outcomes[row.outcome] += row.count
        scored = [row for row in rows if row.tenth >= 0]
        n = sum(row.count for row in scored)
        self.mean = Estimate(ratio(sum(row.total for row in scored), n), n)
        self.near = share(sum(row.count for row in scored if row.tenth in _MIDDLE), n)
        self.violated = share(self.outcomes["violated"], self.asked)
        self.weeks = [_Week.of(week, rows) for week in span]
        self._changed = changed
        beside = list(beside)
        self.audited = Differences.of(one for one in beside if one.why == "audit")
        self.chosen = Differences.of(one for one in beside if one.why != "audit")

    @property
    def asked(self) -> int:
        """Images that it was asked of."""
        return sum(self.outcomes[name] for name in OUTCOMES if name != "not_relevant")

    @property
    def bar(self) -> Markup:
        """Outcomes beside each other."""
        return stacked([Part(name, self.outcomes[name]) for name in OUTCOMES])

    @property
    def scores(self) -> Markup:
        """Mean scores, week by week."""
        return self._columns("Mean score", [week.mean for week in self.weeks])

    @property
    def shares(self) -> Markup:
        """Shares of violations, week by week."""
        return self._columns("Share violated", [week.violated for week in self.weeks])

    def _columns(self, what: str, numbers: list[Estimate]) -> Markup:
        bars = [
            Column(f"{week.day}: {_told(one)}", one.value, week.number in self._changed)
            for week, one in zip(self.weeks, numbers, strict=True)
        ]
        known = [(week, one) for week, one in zip(self.weeks, numbers, strict=True) if one.n]
        if not known:
            return columns(bars, f"{what} by week: nothing was asked")
        (early, first), (late, last) = known[0], known[-1]
        return columns(
            bars,
            f"{what} by week, {counted(len(bars), 'week')}: {_told(first)} in the week of "
            f"{early.day}, {_told(last)} in that of {late.day}",
        )

    def json(self) -> JSON:
        """The numbers."""
        return {
            "rule": self.name,
            "asked": self.asked,
            "outcomes": {name: self.outcomes[name] for name in OUTCOMES},
            "mean": self.mean.json(),
            "near_half": self.near.json(),
            "audited": self.audited.json(),
            "chosen": self.chosen.json(),
            "weeks": [
                {"from": week.day, "mean": week.mean.json(), "violated": week.violated.json()}
                for week in self.weeks
            ],
        }


@dataclass(frozen=True, slots=True)
class _Week:
    number: int
    day: str
    """Its Monday."""
    mean: Estimate
    """Of the scores."""
    violated: Estimate
    """Share of the images that the rule was asked of."""

    @staticmethod
    def of(number: int, rows: Iterable[WeekOfRule]) -> _Week:
        mine = [row for row in rows if row.week == number and row.outcome != "not_relevant"]
        scored = [row for row in mine if row.tenth >= 0]
        n, asked = sum(row.count for row in scored), sum(row.count for row in mine)
        violated = sum(row.count for row in mine if row.outcome == "violated")
        return _Week(
            number,
            time.strftime("%Y-%m-%d", time.gmtime(monday(number))),
            Estimate(ratio(sum(row.total for row in scored), n), n),
            share(violated, asked),
        )


def _told(one: Estimate) -> str:
    return f"{one.value:.2f} (n={one.n})" if one.n else "nothing asked"


# --- people beside the judge ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Differences:
    """How often people and the judge say another thing of a rule."""

    differ: Estimate
    """Share of the images that both could tell."""
    missed: int
    """People say it violates, the judge that it does not."""
    alarms: int
    """The other way round."""
    open_violates: int
    """The judge could not tell; people say it violates."""
    open_does_not: int
    """The judge could not tell; people say it does not."""
    unclear: int
    """People could not tell, or disagree."""

    @staticmethod
    def of(found: Iterable[Beside]) -> Differences:
        """Count."""
        counts: Counter[tuple[str, str]] = Counter()
        for one in found:
            judge = "not_violated" if one.judge == "not_relevant" else one.judge
            counts[_SAID.get(one.people, "unclear"), judge] += 1
        missed = counts["violated", "not_violated"]
        alarms = counts["not_violated", "violated"]
        same = counts["violated", "violated"] + counts["not_violated", "not_violated"]
        return Differences(
            share(missed + alarms, missed + alarms + same),
            missed,
            alarms,
            counts["violated", "undecided"],
            counts["not_violated", "undecided"],
            sum(n for (people, _), n in counts.items() if people == "unclear"),
        )

    def json(self) -> JSON:
        """The numbers."""
        return {
            "differ": self.differ.json(),
            "missed": self.missed,
            "alarms": self.alarms,
            "open_violates": self.open_violates,
            "open_does_not": self.open_does_not,
            "unclear": self.unclear,
        }


# --- reviewers beside each other ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far reviewers agree; `cannot_tell` is an answer as others are."""

    alpha: Estimate
    """Krippendorff's, of all rules and reviewers."""
    by_rule: dict[str, Estimate] = field(default_factory=dict)
    """Krippendorff's, of each rule that two reviewers answered."""
    pairs: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    """Cohen's kappa of each two who answered the same questions."""

    def json(self) -> JSON:
        """The numbers; null for what is undefined."""
        return {
            "alpha": self.alpha.json(),
            "rules": {rule: one.json() for rule, one in self.by_rule.items()},
            "pairs": [
                {"reviewers": list(names), **one.json()} for names, one in self.pairs.items()
            ],
        }


def agreement(review: Review) -> Agreement:
    """Compare what reviewers say of the same questions, of decisions that stand."""
    return agreed(answers(review.journal))


def agreed(found: Answers) -> Agreement:
    """Compare answers; see `journal.beside.answers`."""
    several = {key: said for key, said in found.items() if len(said) > 1}
    by_rule: dict[str, list[tuple[str, ...]]] = {}
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (_, rule, _), said in several.items():
        by_rule.setdefault(rule, []).append(tuple(said.values()))
        for left, right in itertools.combinations(sorted(said), 2):
            pairs.setdefault((left, right), []).append((said[left], said[right]))
    return Agreement(
        krippendorff_alpha(tuple(said.values()) for said in several.values()),
        {rule: krippendorff_alpha(said) for rule, said in sorted(by_rule.items())},
        {names: cohen_kappa(said) for names, said in sorted(pairs.items())},
    )


def in_words(one: Estimate) -> str:
    """Write an agreement down, or why there is none."""
    if not one.n:
        return "nothing was answered by two"
    if math.isnan(one.value):
        return f"undefined: all said the same (n={one.n})"
    return f"{one.value:.2f} (n={one.n})"
