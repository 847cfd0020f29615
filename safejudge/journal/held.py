"""A judgment beside what people decided about the same image: what counts is what they say.

Takes a result and the decisions that hold; gives the result that is answered. The record that the
judge made stays what it was; an answer says which rules people settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from safejudge.journal.rows import rule_digests
from safejudge.method.verdict import conclude
from safejudge.types import Failure, ImageInput, People, RuleDecision, Settled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.policy import Policy
    from safejudge.types import Constitution, Result

Verdict: TypeAlias = Literal["violates", "does_not", "cannot_tell"]
"""What a person says of an image and a rule."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

BY_PERSON = "a person decided"
"""Why an action is taken."""


@dataclass(frozen=True, slots=True)
class Held:
    """What people say of one image and rule, and what holds."""

    verdict: Verdict
    """Of all whose decision stands."""
    reviewers: tuple[str, ...]
    at: float
    """When the last of them said so."""


def with_people(result: Result, held: Mapping[str, Held], policy: Policy) -> Result:
    """Return a judgment as people settled it: outcomes and label; a rule's score is then 0 or 1.

    What keeps a label undecided beside its rules (frames, a caption) does so still. An image that
    could not be read stays a failure: nobody has looked at it.
    """
    if isinstance(result, Failure) or not result.rules.keys() & held.keys():
        return result
    rules = dict(result.rules)
    for rule in rules.keys() & held.keys():
        violated = held[rule].verdict == "violates"
        rules[rule] = rules[rule].model_copy(
            update={
                "outcome": "violated" if violated else "not_violated",
                "score": float(violated),
                "margin": None,
                "bound": "exact",
            }
        )
    image = ImageInput(result.id, result.image, (), result.frames)
    made = (result.usage, result.provenance, policy)
    return conclude(image, rules, *made, caption=result.caption)


def people_of(result: Result, held: Mapping[str, Held]) -> People | None:
    """Say what people decided about an image, beside the `result` that it comes to with it."""
    rules = settled_of(held)
    if isinstance(result, Failure) or not rules:
        return None
    return People(label=result.label, rules=rules)


def settled_of(held: Mapping[str, Held]) -> dict[str, Settled]:
    """Return what people settled about one image, by rule; who cannot tell settles nothing."""
    return {
        rule: Settled(verdict=said, reviewers=one.reviewers, at=one.at)
        for rule, one in held.items()
        if (said := one.verdict) != "cannot_tell"
    }


def held_still(
    people: People | None, then: Constitution | None, now: Constitution | None
) -> dict[str, Held]:
    """Return what people decided by the rules of `then` and holds for those of `now`, by rule."""
    if people is None or then is None or now is None:
        return {}
    before, after = rule_digests(then), rule_digests(now)
    return {
        rule: Held(one.verdict, one.reviewers, one.at)
        for rule, one in people.rules.items()
        if rule in after and before.get(rule) == after[rule]
    }


def settled_actions(held: Mapping[str, Held]) -> dict[str, RuleDecision]:
    """Say what people's decisions do, in the place of thresholds."""
    return {
        rule: RuleDecision(action="block" if one.verdict == "violates" else "pass", why=BY_PERSON)
        for rule, one in held.items()
    }
