"""What thresholds say to do with an image, and why; and what people decided about it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safejudge.types.base import JSON, Record


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
    likely: Literal["violated", "not_violated"] | None = None
    """Which is likelier by the labels, promised or not; without a line of its own, what the judge
    says. None where it says neither, and where a bound does not settle it."""


class Decision(Record):
    """What to do with an image."""

    action: Literal["block", "pass", "person"]
    why: str | None = None
    """Why a person is asked."""
    likely: Literal["safe", "unsafe"] | None = None
    """Which is likelier by the labels: unsafe if one rule is likely violated, safe if every rule
    that was asked is likely not. Nothing is promised of it, and no action hangs on it."""
    rules: dict[str, RuleDecision] = Field(default_factory=dict)
    """What each rule says."""

    def record(self) -> JSON:
        """For a record: without what is not there."""
        return self.model_dump(mode="json", exclude_none=True)


class Settled(Record):
    """What people decided about one rule on one image."""

    verdict: Literal["violates", "does_not"]
    reviewers: tuple[str, ...]
    """Who said so."""
    at: float
    """When the last of them did, in seconds since 1970 (UTC)."""


class People(Record):
    """What people decided about an image: it counts before what the judge said."""

    label: Literal["safe", "unsafe", "undecided"]
    """What the image is with it."""
    rules: dict[str, Settled]
