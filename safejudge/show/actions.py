"""What thresholds say to do with images, in words: the same on a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.types import RuleDecision

MEANINGS = {"block": "to be blocked", "pass": "passed", "person": "for a person"}
"""The actions, and what each means for images."""


class Cut(NamedTuple):
    """A score beyond which a rule acts, and the promise about it."""

    at: float
    promise: float | None

    def in_words(self, action: str) -> str:
        """Write it: "above 0.83, at most 5 % innocent"."""
        side, error = ("above", "innocent") if action == "block" else ("below", "violating")
        told = f"{side} {self.at:.3g}"
        return told if self.promise is None else f"{told}, at most {_percent(self.promise)} {error}"


def in_words(actions: Mapping[str, int]) -> str:
    """Count images by what is to be done: "1 to be blocked, 2 passed, 3 for a person"."""
    return ", ".join(f"{actions.get(name, 0)} {told}" for name, told in MEANINGS.items())


def of_rule(decision: RuleDecision) -> str:
    """Say what a rule wants done, and by which threshold and promise or why not."""
    if decision.action == "not_asked":
        return "not asked"
    if decision.action == "person":
        told = f"a person: {decision.why}" if decision.why else "a person"
    else:
        cut = cut_of(decision)
        beyond = "" if cut is None else f": {cut.in_words(decision.action)}"
        told = f"{decision.action}{beyond}"
    if decision.probability is None:
        return told
    return f"{told}; probability {decision.probability:.2f}"


def cut_of(decision: RuleDecision) -> Cut | None:
    """Return the threshold by which a rule acted; None where it did not act."""
    if decision.threshold is None or decision.action not in ("block", "pass"):
        return None
    return Cut(decision.threshold, decision.promise)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
