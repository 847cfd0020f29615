"""Which engines a judge asks: its own, those that count beside it, the one that is asked last."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """The engines of a judge, each known by its place: `Probe.engine` and `Reasoning.engine`."""

    engines: tuple[str, ...] = ("",)
    """URIs of the engines whose mean counts, at the places from 0 on; the first also reasons."""
    escalation: str | None = None
    """URI of the engine that is asked what these leave open, at the place after them."""

    @property
    def is_one(self) -> bool:
        """Whether there is one engine alone."""
        return len(self.engines) == 1 and self.escalation is None

    @property
    def last(self) -> int:
        """Place of the engine that is asked what the others leave open."""
        return len(self.engines)

    @property
    def names(self) -> tuple[str, ...]:
        """URIs by place."""
        return (*self.engines, *(() if self.escalation is None else (self.escalation,)))


ALONE = Panel()
"""One engine, as most judges have it."""
