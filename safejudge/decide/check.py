"""Thresholds against labels that they have not seen: whether each promise is kept.

Takes thresholds and a fresh sample; says of every promise kept, broken, or that so few images
cannot tell. Exact binomial tests: kept, where the upper bound of the share of errors (at the
confidence of the promise) is within it; broken, where the lower bound is above it, at a confidence
that all tests of the check share (Bonferroni), so that many promises make no alarm of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.decide.decision import decide
from safejudge.decide.sample import truth_of
from safejudge.decide.thresholds import Threshold, short
from safejudge.evals.stats import binomial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from safejudge.decide.sample import Sample
    from safejudge.decide.thresholds import RuleThresholds, Thresholds
    from safejudge.policy import Policy

Found = Literal["kept", "broken", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a fresh sample says of one promise."""

    rule: str
    action: Literal["block", "pass"]
    promise: float
    """At most this share of errors."""
    delta: float
    n: int
    """Fresh images on which the action falls."""
    errors: int
    low: float
    """Lower bound of the share of errors, for `broken`."""
    high: float
    """Upper bound of it, for `kept`."""

    @property
    def found(self) -> Found:
        """Whether the promise is kept."""
        if self.n and self.high <= self.promise:
            return "kept"
        return "broken" if self.low > self.promise else "cannot tell"

    @property
    def missing(self) -> int:
        """How many more images, without an error, would show that it is kept."""
        return max(0, binomial.needed(self.promise, self.delta, self.errors) - self.n)


@dataclass(frozen=True, slots=True)
class Whole:
    """What became of whole images; about these nothing is promised."""

    action: Literal["block", "pass", "person"]
    n: int
    """Images."""
    errors: int
    """Blocked ones that are safe, passed ones that are unsafe; of a person's, unsafe ones."""
    low: float
    """95 % interval of the share."""
    high: float


def unseen(sample: Sample, thresholds: Thresholds) -> int:
    """Take out of a sample what the thresholds were made with; return how many images that is."""
    known = set(thresholds.images)
    before = len(sample.judged)
    sample.judged = [pair for pair in sample.judged if short(pair[1].id) not in known]
    for rule in sample.rules.values():
        rule.rows = [row for row in rule.rows if short(row.image) not in known]
    return before - len(sample.judged)


def check(sample: Sample, rules: Mapping[str, RuleThresholds], policy: Policy) -> list[Kept]:
    """Test every promise of these rules on a fresh sample, judged by this policy."""
    tests: list[tuple[str, Literal["block", "pass"], Threshold]] = []
    for rule, entry in rules.items():
        if isinstance(entry.block, Threshold):
            tests.append((rule, "block", entry.block))
        if isinstance(entry.pass_, Threshold):
            tests.append((rule, "pass", entry.pass_))
    said = [(label, decide(judgment, rules, policy)) for label, judgment in sample.judged]
    found = []
    for rule, action, threshold in tests:
        truths = [
            truth
            for label, decision in said
            if rule in decision.rules and decision.rules[rule].action == action
            and (truth := truth_of(label, rule)) is not None
        ]  # fmt: skip
        errors = sum(truths) if action == "pass" else len(truths) - sum(truths)
        n, delta = len(truths), threshold.delta
        low = binomial.lower(errors, n, 1 - delta / len(tests))
        high = binomial.upper(errors, n, 1 - delta)
        found.append(Kept(rule, action, threshold.promise, delta, n, errors, low, high))
    return found


def whole(sample: Sample, rules: Mapping[str, RuleThresholds], policy: Policy) -> list[Whole]:
    """Count what becomes of whole images."""
    said = [
        (decide(judgment, rules, policy).action, label.unsafe)
        for label, judgment in sample.judged
        if label.unsafe is not None
    ]
    wrong: dict[Literal["block", "pass", "person"], Callable[[bool], bool]] = {
        "block": lambda unsafe: not unsafe, "pass": bool, "person": bool,
    }  # fmt: skip
    found = []
    for action, is_error in wrong.items():
        truths = [unsafe for did, unsafe in said if did == action]
        n, errors = len(truths), sum(map(is_error, truths))
        bounds = binomial.lower(errors, n, 0.975), binomial.upper(errors, n, 0.975)
        found.append(Whole(action, n, errors, *bounds))
    return found
