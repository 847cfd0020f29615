"""A caption as a model is shown it: on one line, unable to steer, and bounded.

Takes the text that came with an image, and an engine's way to count and cut tokens; gives what is
put into the questions, or nothing where it is too long. The text is the uploader's, so it may be
made to mislead (`rule.rule_flow` looks without it, too).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from safejudge.text import disarmed, one_line, storable
from safejudge.types import CaptionUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.policy import Policy

_LONGEST_TOKEN = 128
"""Characters; more than so many for each token that is allowed are not even counted."""


class Tokenizer(Protocol):
    """What counts and cuts texts; every engine does."""

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, or an upper bound of them."""

    def cut_text(self, text: str, tokens: int) -> str:
        """The longest beginning of a text that has at most so many tokens."""


def plain_caption(caption: str) -> str | None:
    """Put a caption on one line, so that it cannot write a line of the question; blank is none."""
    return one_line(disarmed(storable(caption))) or None


def shown_caption(
    caption: str | None, tokenizer: Tokenizer, policy: Policy
) -> tuple[str | None, CaptionUse | None]:
    """Return what is shown of a plain caption, and how much that is of it."""
    if caption is None:
        return None, None
    most = policy.max_caption_tokens
    beginning = caption[: most * _LONGEST_TOKEN]
    (count,) = tokenizer.text_tokens([beginning])
    whole = len(beginning) == len(caption)
    if whole and count <= most:
        return caption, CaptionUse(tokens=count, shown=count)
    total = count if whole else len(caption.encode())
    if not policy.cut_captions:
        return None, CaptionUse(tokens=total, shown=0)
    cut = tokenizer.cut_text(beginning, most)
    (shown,) = tokenizer.text_tokens([cut])
    return cut or None, CaptionUse(tokens=total, shown=shown)
