"""What our replies say of an image, beside the form that a client expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from safejudge.journal.held import settled_of
from safejudge.serve.faults import Fault
from safejudge.serve.service import Answered, Finding
from safejudge.serve.wire import Wire
from safejudge.types import Decision, Failure, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.journal.held import Held


class PersonSaid(Wire):
    """What people decided of one image and rule."""

    verdict: Literal["violates", "does_not"]
    reviewers: list[str]
    """Who said so."""
    at: float
    """When the last of them did, in seconds since 1970 (UTC)."""


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
    frames_unseen: int = 0
    """Frames of an animation that nobody looked at; where the operator did not say how many are
    enough, such an image is undecided, unless it is unsafe."""
    people: dict[str, PersonSaid] = Field(default_factory=dict)
    """Rules that people settled; what they say counts."""
    repeated: bool = False
    """Whether it was judged before, and answered from the journal."""
    error: Fault | None = None
    """Why it was not judged."""


def people_of(held: Mapping[str, Held]) -> dict[str, PersonSaid]:
    """Say what people decided of one image."""
    return {
        rule: PersonSaid(verdict=one.verdict, reviewers=list(one.reviewers), at=one.at)
        for rule, one in settled_of(held).items()
    }


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
        frames_unseen=0 if result.frames is None else result.frames.of - result.frames.looked_at,
    )


def details_of(answered: Answered) -> list[ImageDetail]:
    """Say what was found about every image of a request."""
    found = map(detail_of, answered.results, answered.decisions)
    beside = zip(found, answered.people, answered.repeated, answered.findings, strict=True)
    return [
        detail.model_copy(
            update={"people": people_of(held), "repeated": repeated}
            | ({"label": "undecided"} if (finding, detail.label) == ("open", "safe") else {})
        )
        for detail, held, repeated, finding in beside
    ]


def flags(finding: Finding, *, open_flags: bool) -> bool:
    """Whether an image is flagged; one that nobody looked at always is."""
    return finding in ("unsafe", "failed") or (finding == "open" and open_flags)
