"""What whoever uploads a picture is told: nothing, a refusal, or to come again.

Takes results; gives a word for machines, a sentence for people and an entry of a reply. The entry
has the form of FastAPI's own errors of validation, so that a client reads both with the same code.
Knows no framework.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.errors import BusyError, QueueFullError
from safejudge.types import Failure
from safejudge.types.pictures import LISTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.errors import SafejudgeError
    from safejudge.guards.shared import Opened
    from safejudge.types import JSON, Decision, Result

LOG = logging.getLogger("safejudge.guards")

Code: TypeAlias = Literal[
    "unsafe", "unsettled", "unreadable", "too_large", "missing", "too_many", "no_length",
    "busy", "unavailable",
]  # fmt: skip
"""Why a picture is not let in. The last two say nothing of the picture: nobody looked at it."""

MESSAGES: dict[Code, str] = {
    "unsafe": "This picture is not allowed here: %(named)s.",
    "unsettled": "This picture could not be cleared. Choose another one.",
    "unreadable": "This file cannot be read as a picture. Save it again as PNG or JPEG.",
    "too_large": "This picture is too large. Send a smaller one.",
    "missing": "There is no picture here. Send one as a file of a form.",
    "too_many": "There are too many pictures. Send fewer at a time.",
    "no_length": "The request does not say how long it is. Send a Content-Length.",
    "busy": "Too many pictures are being checked. Try again in a moment.",
    "unavailable": "Pictures cannot be checked now. Try again in a moment.",
}
"""What people are told; `named` are the categories."""

RETRY = 2
"""Seconds after which it is worth to come again."""
LARGE = frozenset({"too_large", "too_many_pixels"})
"""Reasons of a failure by which a picture is more than the policy takes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one picture is not let in."""

    code: Code
    categories: tuple[str, ...] = ()
    """Those of the violated rules, in the constitution's order."""

    @property
    def message(self) -> str:
        """The same for people."""
        return MESSAGES[self.code] % {"named": ", ".join(self.categories)}


def refusal_of(result: Result, opened: Opened) -> Refusal | None:
    """Say why a picture is not let in; None: it is.

    Without thresholds, what `Judge.passes` lets pass is let in. With thresholds only what they pass
    is, whatever `Policy.allow_undecided` says.
    """
    judge, decider = opened.judge, opened.decider
    if isinstance(result, Failure):
        code: Code = "too_large" if result.reason in LARGE else "unreadable"
        if result.reason == LISTED:
            code = "unsettled"  # whoever uploads it learns nothing of the list
        refusal = None if judge.passes(result) else Refusal(code)
    elif decider is not None:
        refusal = _decided(decider(result), opened)
    elif judge.passes(result):
        refusal = None
    elif result.label == "unsafe":
        refusal = Refusal("unsafe", _categories(result.violations, opened))
    else:
        refusal = Refusal("unsettled")
    if refusal is not None:
        why = result.reason if isinstance(result, Failure) else ", ".join(result.violations)
        LOG.info("refused %s: %s (%s)", result.id, refusal.code, why)
    return refusal


def _decided(decision: Decision, opened: Opened) -> Refusal | None:
    if decision.action == "pass":
        return None
    if decision.action == "person":
        return Refusal("unsettled")
    blocking = [rule for rule, said in decision.rules.items() if said.action == "block"]
    return Refusal("unsafe", _categories(blocking, opened))


def _categories(rules: Iterable[str], opened: Opened) -> tuple[str, ...]:
    # Not the rules, scores or reasons: whoever sees which statement tipped the scale, and by how
    # much, can change the picture until it does not. A category tells an honest person enough.
    by_rule = {rule.id: rule.category for rule in opened.judge.constitution.rules}
    return tuple(dict.fromkeys(by_rule[rule] for rule in rules))


def not_judged(error: SafejudgeError) -> Refusal:
    """Say that nobody could look at the pictures now; why is for the log alone."""
    if isinstance(error, BusyError):
        LOG.warning("an upload was not judged: %s", error)
    else:
        LOG.error("an upload was not judged: %s", error)
    return Refusal("busy" if isinstance(error, QueueFullError) else "unavailable")


def entry(
    loc: Sequence[str | int], code: str, message: str, categories: Sequence[str] = ()
) -> JSON:
    """Return what a reply's `detail` holds of a refusal; `loc` says which field is meant.

    `type` is FastAPI's name for what Django calls `code`, so both are there.
    """
    return {
        "type": code,
        "loc": list(loc),
        "msg": message,
        "code": code,
        "categories": list(categories),
    }


def status_of(codes: Iterable[str]) -> tuple[int, dict[str, str]]:
    """Return status and headers of a reply with these refusals.

    One that will be the same the next time counts before one that may not.
    """
    by_code = {"busy": 429, "unavailable": 503}
    status = min((by_code.get(code, 422) for code in codes), key=(422, 429, 503).index)
    return status, {} if status == 422 else {"Retry-After": str(RETRY)}
