"""An engine around an engine: the base of those that change what goes in or what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.base import Engine
    from safejudge.engines.meter import Tokens
    from safejudge.types import AnswerProbs, EngineCard, Probe, Reasoning


class WrappedEngine:
    """Passes everything on to `self.engine`; see `Engine`. A subclass overrides its own part."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def card(self) -> EngineCard:
        """The card of the engine inside."""
        return self.engine.card

    @property
    def tokens(self) -> Tokens | None:
        """What was put to the engine inside; None if it does not count."""
        return self.engine.tokens

    def check_statements(self, statements: Sequence[str]) -> None:
        """Ask the engine inside."""
        self.engine.check_statements(statements)

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Ask the engine inside."""
        return self.engine.answer_probs(probes)

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Ask the engine inside."""
        return self.engine.reason(requests)

    def close(self) -> None:
        """Close the engine inside."""
        self.engine.close()
