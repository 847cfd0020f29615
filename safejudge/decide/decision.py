"""A judgment and thresholds -> what to do: block, pass, or ask a person.

Takes what a judge said of an image; gives an action for every rule and for the image. An image is
blocked if one rule blocks it. It is passed only if every rule that was asked passes it. All else is
for a person: scores between the thresholds, bounds that do not settle on which side a score lies,
answers that could not be read, rules without a threshold, frames or a caption nobody looked at, and
images that could not be judged. The label of an image stays what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from safejudge.decide.probability import Line
from safejudge.decide.sample import was_read
from safejudge.decide.thresholds import Slope, Threshold, fit, load
from safejudge.types import Failure, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from safejudge.decide.thresholds import RuleThresholds, Thresholds
    from safejudge.judge import Judge
    from safejudge.policy import Policy
    from safejudge.types import JSON, Judgment, Result, RuleVerdict


class RuleDecision(Record):
    """What one rule says to do."""

    action: Literal["block", "pass", "person", "not_asked"]
    why: str | None = None
    """Why a person is asked."""
    threshold: float | None = None
    """The score beyond which the action is taken."""
    promise: float | None = None
    """At most this share of what it does so is an error."""
    probability: float | None = None
    """That the rule is violated; None where that is not calibrated, or the score is a bound."""


class Decision(Record):
    """What to do with an image."""

    action: Literal["block", "pass", "person"]
    why: str | None = None
    """Why a person is asked."""
    rules: dict[str, RuleDecision] = Field(default_factory=dict)
    """What each rule says."""

    def record(self) -> JSON:
        """For a record: without what is not there."""
        return self.model_dump(mode="json", exclude_none=True)


class Decider:
    """Decides about judgments of one judge. What it was told on the way stands in `notes`."""

    def __init__(self, thresholds: Thresholds, judge: Judge) -> None:
        """Keep what fits the judge. Raises `InputError` for thresholds of another model."""
        self.digest = thresholds.digest()
        made = (judge.constitution, judge.provenance, judge.policy)
        self._rules, self.notes = fit(thresholds, *made)
        self._policy = judge.policy

    @classmethod
    def load(cls, path: Path, judge: Judge) -> Decider:
        """Read a file of thresholds. Raises `InputError`."""
        return cls(load(path), judge)

    def __call__(self, result: Result) -> Decision:
        """Decide about one image."""
        if isinstance(result, Failure):
            return Decision(action="person", why=f"not judged: {result.reason}")
        return decide(result, self._rules, self._policy)


def decide(judgment: Judgment, rules: Mapping[str, RuleThresholds], policy: Policy) -> Decision:
    """Decide about a judgment by the thresholds of its rules; one without any asks a person.

    `policy` is the one that it was judged by.
    """
    said = {rule: _rule(verdict, rules.get(rule)) for rule, verdict in judgment.rules.items()}
    actions = {decision.action for decision in said.values()} - {"not_asked"}
    unseen = _unseen(judgment, policy)
    if "block" in actions:
        return Decision(action="block", rules=said)
    if not actions:
        return Decision(action="person", why="no rule was asked", rules=said)
    if unseen:
        why = f"not looked at whole: {', '.join(unseen)}"
        return Decision(action="person", why=why, rules=said)
    if actions == {"pass"}:
        return Decision(action="pass", rules=said)
    asking = [rule for rule, decision in said.items() if decision.action == "person"]
    return Decision(action="person", why=f"not passed by {', '.join(asking)}", rules=said)


def _unseen(judgment: Judgment, policy: Policy) -> list[str]:
    """What nobody looked at, whatever the label: one that is unsafe does not say so."""
    frames, caption = judgment.frames, judgment.caption
    causes = {
        "frames": policy.every_frame and frames is not None and not frames.all,
        "caption": caption is not None and caption.tokens > 0 and caption.shown == 0,
    }
    return [cause for cause, holds in causes.items() if holds]


def _rule(verdict: RuleVerdict, entry: RuleThresholds | None) -> RuleDecision:
    score = verdict.score
    if verdict.outcome == "not_relevant" or score is None:
        return RuleDecision(action="not_asked")
    if entry is None:
        return RuleDecision(action="person", why="no threshold")
    if not was_read(verdict):
        return RuleDecision(action="person", why="no readable answer")
    exact = verdict.bound == "exact"
    chance = entry.probability
    probability = None
    if exact and isinstance(chance, Slope) and verdict.margin is not None:
        line = Line(chance.offset, chance.slope, chance.before, chance.after)
        probability = line(verdict.margin)
    block, passed = entry.block, entry.pass_
    # A lower bound above the one, or an upper bound below the other, settles it.
    if isinstance(block, Threshold) and verdict.bound != "upper" and score > block.at:
        return _acting("block", block, probability)
    if isinstance(passed, Threshold) and verdict.bound != "lower" and score < passed.at:
        return _acting("pass", passed, probability)
    why = _why(verdict, block=isinstance(block, Threshold), passes=isinstance(passed, Threshold))
    return RuleDecision(action="person", why=why, probability=probability)


def _acting(
    action: Literal["block", "pass"], threshold: Threshold, probability: float | None
) -> RuleDecision:
    return RuleDecision(
        action=action,
        threshold=threshold.at,
        promise=threshold.promise,
        probability=probability,
    )


def _why(verdict: RuleVerdict, *, block: bool, passes: bool) -> str:
    if not (block or passes):
        return "no threshold"
    if verdict.bound != "exact":
        return f"the score is a bound ({verdict.bound}); --exhaustive makes it exact"
    if block and passes:
        return "between the thresholds"
    return "not beyond the only threshold"
