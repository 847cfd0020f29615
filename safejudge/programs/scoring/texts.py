"""Words that should stand in a picture, and words that were read there -> a share in [0, 1].

Two ways. `word_share` is ours: whole words, each word that was read used once, letters of every
script. `published_share` is GIR-Bench's (arXiv 2510.11026): only a-z, 0-9 and spaces count, a word
may be found inside another one, and a word that is wanted twice is found once at most.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

SURE = 0.5
"""Reads that an OCR is not surer of than this count for nothing (GIR-Bench)."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_LATIN = re.compile(r"[^a-z0-9 ]")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, which put no space between words."""


def words(text: str) -> list[str]:
    """Part a text into its words, in lower case and one spelling of each letter.

    A letter of a script without spaces is a word of its own: where such words end nobody can tell.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return _WORD.findall(_UNSPACED.sub(r" \g<0> ", plain))


def is_spaced(text: str) -> bool:
    """Whether a text is of scripts that put spaces between words."""
    return _UNSPACED.search(unicodedata.normalize("NFKC", text)) is None


def word_share(reference: str, seen: str) -> float | None:
    """Share of the reference's words that were read, each read word used once.

    None where the reference has no words, so that there is no share.
    """
    wanted, read = Counter(words(reference)), Counter(words(seen))
    total = wanted.total()
    return (wanted & read).total() / total if total else None


def missing_words(reference: str, seen: str) -> list[str]:
    """Return the words of the reference that were not read, as often as they lack."""
    lacking = Counter(words(reference)) - Counter(words(seen))
    return list(lacking.elements())


def published_share(reference: str, seen: str) -> float:
    """Different words of the reference found anywhere in the text that was read / all its words.

    So "go go go" read perfectly is 1/3, "art" is found in "start", and a reference without Latin
    letters or digits is 0.
    """
    wanted, read = _latin(reference).split(), _latin(seen)
    return sum(word in read for word in set(wanted)) / len(wanted) if wanted else 0.0


def _latin(text: str) -> str:
    return _LATIN.sub("", text.lower())
