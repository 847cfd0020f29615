"""An engine around an engine: the base of those that change what goes in or what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.engines.base import OPTIONAL
from safejudge.engines.lengths import byte_tokens, cut_bytes

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

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Ask the engine inside; one that cannot say gets the upper bound."""
        return self.engine.text_tokens(texts) if _measures(self.engine) else byte_tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Ask the engine inside; for one that cannot say the upper bound holds."""
        inside = _measures(self.engine)
        return self.engine.cut_text(text, tokens) if inside else cut_bytes(text, tokens)

    def close(self) -> None:
        """Close the engine inside."""
        self.engine.close()


def whole(engine: Engine) -> Engine:
    """Return an engine with every member: one of another package may lack the later ones."""
    return engine if _measures(engine) else WrappedEngine(engine)


def _measures(engine: Engine) -> bool:
    return all(hasattr(engine, name) for name in OPTIONAL)
