"""What a server is told beside the judge: where it listens, who may ask, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.queueing import Limits

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20

OnUndecided: TypeAlias = Literal["flag", "error", "pass"]
"""What a short answer says of an image that could not be settled."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves, whatever its rules are."""

    host: str = "127.0.0.1"
    """The address to listen at."""
    port: int = 8750
    """The port; 0 takes a free one."""
    keys: Path | None = None
    """The file of hashed keys; None: whoever reaches the server may ask it."""
    on_undecided: OnUndecided = "flag"
    """Of an image that is undecided: flagged, an error, or let through. One that could not be
    judged is never let through."""
    hosts: tuple[str, ...] = ()
    """Hosts from which pictures may be fetched; none: no URL is followed."""
    images: int = 16
    """Images of one request."""
    body: int = 64 * MIB
    """Bytes of one request."""
    bodies: int = 256 * MIB
    """Bytes of requests that are held at a time."""
    seconds: float = 60.0
    """After so long a request is answered with an error; callers may ask for less."""
    drain: float = 30.0
    """Seconds that requests under way get when the server ends."""
    limits: Limits = field(default_factory=Limits)
    """How much may wait and be under way."""
    reviewers: int = 1
    """People who have to answer a question before it leaves the queue."""
    thumbnail: int = 0
    """The longer side, in pixels, of the small picture that the journal keeps of what a person
    should look at; 0: none is kept."""
    audit: float = 0.0
    """The share of all images that people see, whatever the judge says."""
    retention: float = 0.0
    """Days after which judgments leave the journal; 0: never."""
    log_captions: bool = False
    """Whether the access log holds captions."""
