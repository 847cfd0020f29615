"""Where the time of a run goes: seconds and requests by stage, and the tokens of the engine.

One meter counts for all calls of a judge; it decides nothing. What an engine does not tell is not
known, and is not shown.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.engines.forks import ProcessLock
from safejudge.types import Locate, Look, Probe, Reasoning, Similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from safejudge.types import JSON

IMAGES = "reading images"
STAGES: dict[type, str] = {
    Look: "programs",
    Similarity: "relevance",
    Probe: "questions",
    Locate: "regions",
    Reasoning: "reasoning",
}
"""What the requests of a flow are called."""


def stage_of(kind: type, engine: str = "") -> str:
    """Call requests of a kind by their stage; `engine` names one beside a judge's first."""
    return f"{STAGES[kind]} of {engine}" if engine else STAGES[kind]


@dataclass(slots=True)
class Tokens:
    """What was put to an engine since it was opened; see `Engine.tokens`."""

    prompt: int = 0
    """Tokens of all prompts, those of their pictures included."""
    cached: int | None = None
    """How many of them were in the prefix cache; None where nobody says."""

    @staticmethod
    def sum_of(counts: Iterable[Tokens | None]) -> Tokens | None:
        """Add up what several engines read; None if none of them counts."""
        known = [count for count in counts if count is not None]
        if len(known) < 2:
            return known[0] if known else None
        total = Tokens()
        for count in known:
            total.add(count.prompt, count.cached)
        return total

    def add(self, prompt: int, cached: int | None) -> None:
        """Count one prompt."""
        self.prompt += prompt
        if cached is not None:
            self.cached = (self.cached or 0) + cached


@dataclass(slots=True)
class Meter:
    """Seconds and requests of every stage, since it was made; thread-safe."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By stage; of stages that run side by side in threads, the sum."""
    requests: Counter[str] = field(default_factory=Counter)
    """By stage, as they came: a flow makes equal ones one before. Language priors from the disk
    count too."""

    @property
    def questions(self) -> int:
        """Of all engines."""
        stage = STAGES[Probe]
        of_others = f"{stage} of "
        return sum(n for s, n in self.requests.items() if s == stage or s.startswith(of_others))

    told: Callable[[str, float, int], None] | None = None
    """Is told of every stretch of work: its stage, seconds and requests; in whatever thread."""
    _lock: ProcessLock = field(default_factory=ProcessLock, repr=False)

    @contextmanager
    def stage(self, name: str, requests: int = 0) -> Iterator[None]:
        """Count what runs inside for a stage, also where it fails."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.count(name, time.perf_counter() - begun, requests)

    def count(self, name: str, seconds: float, requests: int) -> None:
        """Count a stretch of work of a stage."""
        with self._lock:
            self.seconds[name] += seconds
            self.requests[name] += requests
        if self.told is not None:
            self.told(name, seconds, requests)


def account(meter: Meter, tokens: Tokens | None) -> JSON:
    """Put what one judge spent into a form that travels."""
    read = None if tokens is None else [tokens.prompt, tokens.cached]
    return {"seconds": dict(meter.seconds), "requests": dict(meter.requests), "tokens": read}


def together(accounts: Iterable[JSON]) -> tuple[Meter, Tokens | None]:
    """Add up the accounts of several judges; tokens are None where none of them counts."""
    meter, tokens = Meter(), None
    for spent in accounts:
        for stage, seconds in spent["seconds"].items():
            meter.seconds[stage] += seconds
        meter.requests.update(spent["requests"])
        if spent["tokens"] is not None:
            tokens = tokens or Tokens()
            tokens.add(*spent["tokens"])
    return meter, tokens
