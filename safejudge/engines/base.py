"""What an engine is: two batched methods, list in, equally long list out.

An engine knows models, tokens and pictures. It knows nothing of rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import AnswerProbs, EngineCard, Probe, Reasoning


class Engine(Protocol):
    """A model that answers questions about pictures."""

    @property
    def card(self) -> EngineCard:
        """What this engine is: model, revision, label tokens, versions."""

    def check_statements(self, statements: Sequence[str]) -> None:
        """Raise `StatementError` if this model cannot be asked one of these at all.

        General models accept every statement; a narrow one (`sketch`) knows its grammar.
        """

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read the label probabilities of each probe, in order.

        Raises `EngineCallError` when the engine itself fails. A single probe that cannot be
        answered is an `AnswerProbs` with a `problem`, in its place.
        """

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Generate one reply per request, in order, greedily (temperature 0).

        A reply to a request with a schema was generated under that schema, but may be cut at
        `max_tokens`; the caller validates it.
        """

    def close(self) -> None:
        """Give back memory and processes. Calling it twice is fine."""
