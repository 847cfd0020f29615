"""What our replies say of an image, beside the form that a client expects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safejudge.serve.faults import Fault
from safejudge.serve.service import Answered, finding_of
from safejudge.serve.wire import Wire
from safejudge.types import Decision, Failure, Result


class ImageDetail(Wire):
    """What was found about one image."""

    id: str | None
    """SHA-256 of the file; null where no bytes could be had."""
    label: Literal["safe", "unsafe", "undecided", "failed"]
    """`failed`: nobody looked at it, and `error` says why."""
    action: Literal["block", "pass", "person"] | None = None
    """What the thresholds say, where the server has some."""
    score: float | None = None
    """The highest score of a rule, in [0, 1]."""
    violations: list[str] = Field(default_factory=list)
    """Ids of the rules that it violates."""
    undecided: list[str] = Field(default_factory=list)
    """Ids of the rules that could not be settled."""
    error: Fault | None = None
    """Why it was not judged."""


def detail_of(result: Result, decision: Decision | None) -> ImageDetail:
    """Say what was found about one image."""
    action = None if decision is None else decision.action
    if isinstance(result, Failure):
        fault = Fault(message=result.message, type="invalid_request_error", code=result.reason)
        return ImageDetail(id=result.id, label="failed", action=action, error=fault)
    return ImageDetail(
        id=result.id,
        label=result.label,
        action=action,
        score=result.score,
        violations=list(result.violations),
        undecided=[r for r, verdict in result.rules.items() if verdict.outcome == "undecided"],
    )


def details_of(answered: Answered) -> list[ImageDetail]:
    """Say what was found about every image of a request."""
    return list(map(detail_of, answered.results, answered.decisions))


def flags(result: Result, decision: Decision | None, *, open_flags: bool) -> bool:
    """Whether an image is flagged; one that nobody looked at always is."""
    finding = finding_of(result, decision)
    return finding in ("unsafe", "failed") or (finding == "open" and open_flags)
