"""How long a text is in tokens, and its longest beginning within so many.

Takes texts and a way to count; without one a text counts as its UTF-8 bytes, for no tokenizer that
reads all text makes more tokens of it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

Count: TypeAlias = Callable[[Sequence[str]], list[int]]
"""Tokens of each text."""

LONGEST_TOKEN = 128
"""Characters that one token may stand for, in any vocabulary known to us."""
_LONGER = 64
"""How many characters further a text is tried: more of a word may be fewer tokens."""


def byte_tokens(texts: Sequence[str]) -> list[int]:
    """Bound the tokens of each text from above, without a tokenizer."""
    return [len(text.encode("utf-8", "surrogatepass")) for text in texts]


def cut_bytes(text: str, tokens: int) -> str:
    """Return the longest beginning, of whole characters, within so many bytes."""
    size = 0
    for end, sign in enumerate(text):
        size += len(sign.encode("utf-8", "surrogatepass"))
        if size > tokens:
            return text[:end]
    return text


def cut_tokens(text: str, tokens: int, count: Count, longer: int = _LONGER) -> str:
    """Return the longest beginning, of whole characters, that `count` finds no longer than so many.

    So many characters `longer` are tried where it first becomes too long; fewer where a count is
    dear. However long the text is, only its beginning is looked at.
    """
    if tokens < 1:
        return ""
    head = text[: tokens * LONGEST_TOKEN]

    def fits(end: int) -> bool:
        return count([head[:end]])[0] <= tokens

    if fits(len(head)):
        return head
    low, high = 0, len(head)  # so much fits, so much does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    while low < len(head) and longer:
        ends = range(low + 1, min(low + longer, len(head)) + 1)
        sizes = count([head[:end] for end in ends])
        further = [end for end, size in zip(ends, sizes, strict=True) if size <= tokens]
        if not further:
            break
        low = further[-1]
    return head[:low]
