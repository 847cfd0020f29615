"""Verdicts on rules -> one number for a trainer. Pure.

Takes the judge's verdicts on one picture, and how they are to be graded; gives a reward, or says
why there is none. Knows no engine and no trainer.

**Margin.** Rule i is violated with log-odds m_i = logit(score_i), clipped to +-clip, and has a
weight w_i in [0, 1], its severity's times its own. What it adds to safety is

    s_i = -m_i          where m_i <= 0   (rather not violated: the weight plays no part)
    s_i = -w_i * m_i    where m_i >  0   (rather violated: the worse the violation, the lower)

and the picture's margin is that of its worst rule, as its label is: S = min_i s_i. A rule that is
kept cannot make up for one that is broken, as it would in a sum, and a light rule that is kept
costs nothing. Severity says how bad a violation is, so it weighs violations only; thereby S > 0
just if every rule has a score below 1/2. A rule of weight 0 is left out.

**Reward.** S / temperature, in [-clip / temperature, clip / temperature]. It never falls when a
rule's score does. It is graded down to the clip, not near-binary as the label is: in a group whose
members all get the same reward, a trainer of the GRPO family learns nothing.

**What was not read is not graded.** A verdict's score counts 1/2 for a precondition whose answer
could not be read, which is a convention, not an observation. Here such a precondition may have any
score, so its rule has bounds, and so has S. If both bounds of S are one number, the gap did not
matter; else there is no reward.

**Blend.** With another reward o (quality, likeness to the prompt), else the safest picture is a
blank one:

    weight * min(S, enough) / temperature + other_weight * max(o, floor)     where S >= gate
    weight * min(S, enough) / temperature + other_weight * floor             where S <  gate

From `enough` on safer counts no more, so o decides among safe pictures. Below the gate o cannot
pay: no unsafe picture beats one past the gate, whatever o says of either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.method.debias import MARGIN_LIMIT, margin
from safejudge.method.logic import answered, score_interval
from safejudge.method.precondition import was_read
from safejudge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from safejudge.images.pairs import Images, Prompts
    from safejudge.policy import Policy
    from safejudge.types import Condition, Constitution, RuleVerdict

    Bounds = tuple[float, float]
    OtherReward = Callable[[Images, Prompts | None], Sequence[float | None]]

SEVERITIES = {
    Severity.CRITICAL: 1.0,
    Severity.HIGH: 0.75,
    Severity.MEDIUM: 0.5,
    Severity.LOW: 0.25,
}
"""What a violation weighs by its severity, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Grading:
    """How verdicts become a number; see the module for the formula.

    Raises `InputError` for values outside their ranges.
    """

    temperature: float = 1.0
    """What margins are divided by; above 0. 1 leaves them in log-odds."""
    clip: float = 10.0
    """Log-odds beyond this size count as this much; above 0, at most 20 (`debias.MARGIN_LIMIT`)."""
    severities: Mapping[Severity, float] = field(default_factory=lambda: dict(SEVERITIES))
    """What a violation weighs by the rule's severity, in [0, 1]; every severity must be there."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """By rule id, what the rule weighs besides, in [0, 1]; 1 for a rule that is not named."""

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(f"temperature is {self.temperature:g}; give a number above 0")
        if not 0 < self.clip <= MARGIN_LIMIT:
            raise InputError(f"clip is {self.clip:g}; give log-odds in (0, {MARGIN_LIMIT:g}]")
        for name, weight in (*self.severities.items(), *self.weights.items()):
            if not 0 <= weight <= 1:
                raise InputError(
                    f"the weight of {str(name)!r} is {weight:g}; give a number in [0, 1]"
                )
        if absent := [name.value for name in Severity if name not in self.severities]:
            raise InputError(f"severities has no weight for {', '.join(absent)}; name all four")

    def by_rule(self, constitution: Constitution) -> dict[str, float]:
        """Return the weight of every rule that counts.

        Raises `InputError` for a weight that belongs to no rule, and if no rule counts.
        """
        rule_ids = [rule.id for rule in constitution.rules]
        if strange := [name for name in self.weights if name not in rule_ids]:
            raise InputError(
                f"weights names {', '.join(map(repr, strange))}, and constitution "
                f"{constitution.name!r} has no such rule; its rules are {', '.join(rule_ids)}"
            )
        weights = {
            rule.id: self.severities[rule.severity] * self.weights.get(rule.id, 1.0)
            for rule in constitution.rules
        }
        if not any(weights.values()):
            raise InputError(f"every rule of {constitution.name!r} weighs 0; let one count")
        return {name: weight for name, weight in weights.items() if weight > 0}


@dataclass(frozen=True, slots=True)
class Blend:
    """Another reward beside safety, and what it may do; see the module for the formula.

    Raises `InputError` for numbers that contradict each other.
    """

    other: OtherReward
    """Takes what the reward was called with (images, prompts); returns one float per image, the
    larger the better, or None where it has none; then neither has the blend."""
    weight: float = 1.0
    """What safety weighs; at least 0."""
    other_weight: float = 1.0
    """What the other reward weighs; at least 0."""
    gate: float = 0.0
    """A picture with a margin below this, in log-odds, is unsafe: `other` counts as `floor`."""
    enough: float = 3.0
    """Margins above this, in log-odds, count as this: odds of 1 to 20 are safe enough."""
    floor: float = 0.0
    """The least that `other` counts; lower values are raised to it, so that the gate holds."""

    def __post_init__(self) -> None:
        numbers = (self.weight, self.other_weight, self.gate, self.enough, self.floor)
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"a number of this blend is not finite: {numbers}")
        if self.weight < 0 or self.other_weight < 0:
            raise InputError(
                f"weights of a blend are at least 0, not {self.weight:g} and {self.other_weight:g}"
            )
        if self.gate > self.enough:
            raise InputError(
                f"gate {self.gate:g} lies above enough {self.enough:g}; a picture past the gate "
                "would count as less safe than it has to be"
            )


@dataclass(frozen=True, slots=True)
class Rating:
    """What one image is worth to a trainer."""

    reward: float | None
    """The reward; None where there is none (never 0 or 1 instead)."""
    margin: float | None = None
    """S, in log-odds: above 0 where every rule is rather kept. Before temperature and blend."""
    worst: str | None = None
    """Id of the rule that S is the margin of."""
    rules: Mapping[str, float | None] = field(default_factory=dict)
    """By rule id, -m_i clipped: above 0 where the rule is kept. None where it was not read."""
    other: float | None = None
    """What the other reward of a blend said."""
    reason: str | None = None
    """Why there is no reward, a word: `Failure.reason`'s, `unread`, `frames`, `engine` or
    `other`."""
    problem: str | None = None
    """Why there is no reward, for people."""


def margin_bounds(
    condition: Condition, verdict: RuleVerdict, policy: Policy, grading: Grading
) -> Bounds:
    """Return the least and the most that -m_i can be, clipped; equal where the rule was read.

    A precondition that was skipped or could not be read may have any score.
    """
    read = [leaf for leaf in verdict.preconditions if was_read(leaf, policy)]
    if (
        verdict.score is not None
        and verdict.bound == "exact"
        and len(read) == len(verdict.preconditions)
    ):
        low = high = verdict.score  # the tree was evaluated already, and nothing in it was made up
    else:
        scores = {leaf: answer.score for leaf, answer in answered(condition, read).items()}
        low, high = score_interval(condition, scores)
    return clipped(-margin(high), grading.clip), clipped(-margin(low), grading.clip)


def clipped(value: float, limit: float) -> float:
    """Hold a number within +-limit."""
    return max(-limit, min(limit, value))


def weighed(rule_margin: float, weight: float) -> float:
    """s_i: a rule's margin (-m_i), where it speaks of a violation times the rule's weight."""
    return rule_margin if rule_margin >= 0 else weight * rule_margin


def rated(bounds: Mapping[str, Bounds], weights: Mapping[str, float], grading: Grading) -> Rating:
    """Grade one picture by the bounds of -m_i of every rule; the worst rule counts.

    `bounds` may hold rules without a weight; they do not count.
    """
    rules = {name: low if low == high else None for name, (low, high) in bounds.items()}
    lowest = {name: weighed(bounds[name][0], weight) for name, weight in weights.items()}
    highest = {name: weighed(bounds[name][1], weight) for name, weight in weights.items()}
    worst = min(lowest, key=lambda name: lowest[name])
    if lowest[worst] != min(highest.values()):
        unread = [name for name in weights if rules[name] is None]
        problem = f"no usable answer to a question of {unread[0]}" + (
            f" and {len(unread) - 1} more rules" if len(unread) > 1 else ""
        )
        return Rating(None, rules=rules, reason="unread", problem=problem)
    lowest_margin = lowest[worst]
    return Rating(lowest_margin / grading.temperature, lowest_margin, worst, rules)


def blended(safety: float, other_reward: float, blend: Blend, temperature: float) -> float:
    """Put a picture's margin (log-odds) and another reward together; never lower for more."""
    counted = max(other_reward, blend.floor) if safety >= blend.gate else blend.floor
    safety_part = min(safety, blend.enough) / temperature
    return blend.weight * safety_part + blend.other_weight * counted
