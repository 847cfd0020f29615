"""What an engine is: two batched methods, list in, equally long list out.

Beside it stand an encoder (how alike are a picture and a text) and a detector (where is a thing),
each with one batched method. All three know models, tokens and pictures, and nothing of rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from safejudge.errors import StatementError
from safejudge.types import Similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.meter import Tokens
    from safejudge.types import AnswerProbs, Box, EngineCard, Locate, Picture, Probe, Reasoning


class Engine(Protocol):
    """A model that answers questions about pictures."""

    @property
    def card(self) -> EngineCard:
        """What this engine is: model, revision, label tokens, versions."""

    @property
    def tokens(self) -> Tokens | None:
        """What was put to the model since it was opened; None for an engine that does not count."""

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
        """Generate one reply per request, in order: greedily, or drawn by its `sampling`.

        A request with `sampling` comes only to an engine whose card says `samples`; its seed is
        part of it, so two seeds are two requests.

        A reply to a request with a schema was generated under that schema, but may be cut at
        `max_tokens`; the caller validates it. A single request that cannot be answered (its
        picture or length is refused) gets a `NoReply`, which is empty and says why.
        """

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Say how many tokens each text takes in a prompt, by itself.

        Where the tokenizer is out of reach, an upper bound: the bytes of its UTF-8. May be left
        out by an engine of another package (`OPTIONAL`), which then gets this bound.
        """

    def cut_text(self, text: str, tokens: int) -> str:
        """Return the longest beginning of a text, of whole characters, within so many tokens.

        As `text_tokens` counts them. May be left out in the same way.
        """

    def close(self) -> None:
        """Give back memory and processes. Calling it twice is fine."""


OPTIONAL = frozenset({"text_tokens", "cut_text"})
"""Members of an engine that came later; `wrapped.whole` adds them where they are missing."""


class Encoder(Protocol):
    """A dual encoder: pictures and texts in one space."""

    @property
    def card(self) -> EngineCard:
        """What this encoder is; `label_tokens` is empty."""

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a text that the text side cannot hold whole."""

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return the cosine of picture and text for each request, in order; in [-1, 1].

        A picture or text of several requests is encoded once. NaN where the model gave none.
        Raises `EngineCallError` when the model itself fails.
        """

    def close(self) -> None:
        """Give back memory. Calling it twice is fine."""


def holds(encoder: Encoder, text: str) -> bool:
    """Whether the text side can take a text whole; one that is cut is another text."""
    try:
        encoder.check_texts([text])
    except StatementError:
        return False
    return True


class Detector(Protocol):
    """A zero-shot object detector."""

    @property
    def card(self) -> EngineCard:
        """What this detector is; `label_tokens` is empty."""

    def check_words(self, words: Sequence[str]) -> None:
        """Raise `StatementError` for words that the detector cannot look for."""

    def locate(self, requests: Sequence[Locate]) -> list[tuple[Box, ...]]:
        """Return the boxes found for each request, in order; the surest first.

        Faint boxes are kept (which are believed is the policy's choice), empty ones are not.
        Raises `EngineCallError` when the model itself fails.
        """

    def close(self) -> None:
        """Give back memory. Calling it twice is fine."""


def survey(encoder: Encoder, texts: Sequence[str], pictures: Sequence[Picture]) -> list[float]:
    """Return the similarity of every picture and every text, pictures outermost.

    Raises `StatementError` for a text that the encoder cannot hold.
    """
    encoder.check_texts(texts)
    return encoder.similarities([Similarity(p, text) for p in pictures for text in texts])
