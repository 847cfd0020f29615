"""How long texts are for a server's model: by its own tokenizer where it shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.engines.lengths import LONGEST_TOKEN, byte_tokens, cut_bytes, cut_tokens
from safejudge.engines.server.faults import FailedError, RefusedError
from safejudge.engines.server.messages import neutralise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.server.vocabulary import Vocabulary

TOO_LONG = "the model cannot take this request"
"""What is said before the length of a text that is not sent."""
_LONGER = 16
"""Characters of a word; each further one is a request."""


class TextLengths:
    """Counts tokens of texts as a server's model gets them.

    `context` is how many tokens it takes, where the server tells. A count is a request, so texts
    that are short by their bytes are not counted where their length is not asked for.
    """

    def __init__(self, vocabulary: Vocabulary | None, context: int | None) -> None:
        self._vocabulary = vocabulary
        self._context = context

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Engine.text_tokens`."""
        try:
            return self._counted(texts)
        except (RefusedError, FailedError):
            return byte_tokens(texts)

    def cut(self, text: str, tokens: int) -> str:
        """See `Engine.cut_text`."""
        if byte_tokens([text])[0] <= tokens:
            return text
        if self._vocabulary is not None:
            try:
                return cut_tokens(text, tokens, self._counted, longer=_LONGER)
            except (RefusedError, FailedError):
                pass
        return cut_bytes(text, tokens)

    def too_long(self, texts: Sequence[str]) -> str | None:
        """Say so where the texts of a request alone are more than the model takes."""
        context = self._context
        if context is None or self._vocabulary is None or sum(byte_tokens(texts)) < context:
            return None
        if sum(map(len, texts)) > context * LONGEST_TOKEN:  # too much to be sent even for a count
            return f"its text is longer than the {context:,} tokens that the model takes"
        try:
            tokens = sum(self._counted(texts))
        except (RefusedError, FailedError):
            return None  # the server will say
        if tokens < context:
            return None
        return f"its text alone is {tokens:,} tokens long, and the model takes {context:,}"

    def _counted(self, texts: Sequence[str]) -> list[int]:
        if self._vocabulary is None:
            return byte_tokens(texts)
        return [len(self._vocabulary.encode(neutralise(text))) for text in texts]
