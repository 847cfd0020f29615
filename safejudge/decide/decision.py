"""A judgment and thresholds -> what to do: block, pass, or ask a person.

Takes what a judge said of an image; gives an action for every rule and for the image. An image is
blocked if one rule blocks it. It is passed only if every rule that was asked passes it. All else is
for a person: scores between the thresholds, bounds that do not settle on which side a score lies,
answers that could not be read, rules without a threshold, frames or a caption nobody looked at, and
images that could not be judged. The label of an image stays what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.decide.probability import Line
from safejudge.decide.sample import was_read
from safejudge.decide.thresholds import Slope, Threshold, fit, load
from safejudge.types import Decision, Failure, RuleDecision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from safejudge.decide.thresholds import RuleThresholds, Thresholds
    from safejudge.judge import Judge
    from safejudge.policy import Policy
    from safejudge.types import Constitution, Judgment, Provenance, Result, RuleVerdict

Side: TypeAlias = Literal["violated", "not_violated"] | None
EVEN = 0.5
"""The probability at which both are as likely."""


class Decider:
    """Decides about judgments of one judge. What it was told on the way stands in `notes`."""

    def __init__(
        self,
        thresholds: Thresholds,
        constitution: Constitution,
        provenance: Provenance,
        policy: Policy,
    ) -> None:
        """Keep what fits. Raises `InputError` for thresholds of another model or policy."""
        self.digest = thresholds.digest()
        self._rules, self.notes = fit(thresholds, constitution, provenance, policy)
        self._policy = policy

    @classmethod
    def of(cls, thresholds: Thresholds, judge: Judge) -> Decider:
        """Hold thresholds against a judge. Raises `InputError` for those of another model."""
        return cls(thresholds, judge.constitution, judge.provenance, judge.policy)

    @classmethod
    def load(cls, path: Path, judge: Judge) -> Decider:
        """Read a file of thresholds. Raises `InputError`."""
        return cls.of(load(path), judge)

    def __call__(
        self, result: Result, settled: Mapping[str, RuleDecision] | None = None
    ) -> Decision:
        """Decide about one image; what is `settled` of its rules, by people, is not asked here."""
        if isinstance(result, Failure):
            return Decision(action="person", why=f"not judged: {result.reason}")
        return decide(result, self._rules, self._policy, settled)


def decide(
    judgment: Judgment,
    rules: Mapping[str, RuleThresholds],
    policy: Policy,
    settled: Mapping[str, RuleDecision] | None = None,
) -> Decision:
    """Decide about a judgment by the thresholds of its rules; one without any asks a person.

    `policy` is the one that it was judged by; rules that people have `settled` go by what they say.
    """
    by_people = settled or {}
    said = {
        rule: by_people.get(rule) or _rule(verdict, rules.get(rule))
        for rule, verdict in judgment.rules.items()
    }
    actions = {decision.action for decision in said.values()} - {"not_asked"}
    unseen = _unseen(judgment, policy)
    likely = _likely(said.values(), unseen)
    if "block" in actions:
        return Decision(action="block", likely=likely, rules=said)
    if actions == {"pass"} and not unseen:
        return Decision(action="pass", likely=likely, rules=said)
    asking = [rule for rule, decision in said.items() if decision.action == "person"]
    why = f"not passed by {', '.join(asking)}"
    if not actions:
        why = "no rule was asked"
    elif unseen:
        why = f"not looked at whole: {', '.join(unseen)}"
    return Decision(action="person", why=why, likely=likely, rules=said)


def _likely(
    said: Iterable[RuleDecision], unseen: Sequence[str]
) -> Literal["safe", "unsafe"] | None:
    """Say which an image likely is; one that was not looked at whole is never likely safe."""
    sides = {decision.likely for decision in said if decision.action != "not_asked"}
    if "violated" in sides:
        return "unsafe"
    return "safe" if sides == {"not_violated"} and not unseen else None


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
    probability, likely = _chance(verdict, entry)
    block, passed = entry.block, entry.pass_
    # A lower bound above the one, or an upper bound below the other, settles it.
    if isinstance(block, Threshold) and verdict.bound != "upper" and score > block.at:
        return _acting("block", block, probability, likely)
    if isinstance(passed, Threshold) and verdict.bound != "lower" and score < passed.at:
        return _acting("pass", passed, probability, likely)
    why = _why(verdict, block=isinstance(block, Threshold), passes=isinstance(passed, Threshold))
    return RuleDecision(action="person", why=why, probability=probability, likely=likely)


def _chance(verdict: RuleVerdict, entry: RuleThresholds) -> tuple[float | None, Side]:
    """Return the probability that a rule is violated, and which is likelier."""
    chance = entry.probability
    if not isinstance(chance, Slope) or verdict.margin is None:
        said = verdict.outcome
        return None, said if said in ("violated", "not_violated") else None
    line = Line(chance.offset, chance.slope, chance.before, chance.after)
    probability = line(verdict.margin)
    likely: Side = "violated" if probability > EVEN else "not_violated"
    # A higher score is never less likely: a bound on the one side of even odds settles them.
    open_side = {"upper": "violated", "lower": "not_violated"}.get(verdict.bound)
    exact = verdict.bound == "exact"
    return probability if exact else None, None if likely == open_side else likely


def _acting(
    action: Literal["block", "pass"],
    threshold: Threshold,
    probability: float | None,
    likely: Side,
) -> RuleDecision:
    return RuleDecision(
        action=action,
        threshold=threshold.at,
        promise=threshold.promise,
        probability=probability,
        likely=likely,
    )


def _why(verdict: RuleVerdict, *, block: bool, passes: bool) -> str:
    if not (block or passes):
        return "no threshold"
    if verdict.bound != "exact":
        return f"the score is a bound ({verdict.bound}); --exhaustive makes it exact"
    if block and passes:
        return "between the thresholds"
    return "not beyond the only threshold"
