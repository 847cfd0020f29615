"""A judge's reply about a page -> its score from 0 to 100, ours and as published. Pure.

The reply was asked for as {"Overall Score": "35"} with a reason beside it. The published reader
takes the first digits after the last such key, so 8/10 is 8, 30-40 is 30, 350 is 350. Ours takes
the whole value, and one that is no number from 0 to 100 is unread, with the reason.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from safejudge.evals.replies import number

KEYS = ("Overall Score", "\u603b\u4f53\u6253\u5206")
"""What the score is called; the second where the first stands nowhere."""
MOST = 100.0
REASONS = ("no score", "not a number", "outside 0 to 100")
"""Why a reply is unread."""

_VALUE = r"\s*:\s*(?:\"(?P<quoted>[^\"\n]*)\"|(?P<bare>[^\s,}\"]*))"
_DIGITS = r"\s*:\s*\"?\s*(?P<digits>\d+(?:\.\d+)?)"
_OURS = [re.compile(rf'"{key}"{_VALUE}') for key in KEYS]
_PUBLISHED = [re.compile(rf'"{key}"{_DIGITS}') for key in KEYS]
_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_CLOSED = "</think>"


class Reading(NamedTuple):
    """What one reply says."""

    score: float | None
    """In [0, 100]."""
    why: str = ""
    """Why there is none; one of `REASONS`."""


def read_score(reply: Any) -> Reading:
    """The last score of a reply, thoughts left aside; unclosed thoughts are all of it."""
    text = _THOUGHTS.sub("", reply).rpartition(_CLOSED)[2] if isinstance(reply, str) else ""
    for pattern in _OURS:
        if matches := [*pattern.finditer(text)]:
            value = matches[-1]["quoted"]
            return _checked(matches[-1]["bare"] if value is None else value)
    return Reading(None, REASONS[0])


def _checked(value: str) -> Reading:
    score = number(value)
    if score is None or not _PLAIN.fullmatch(value.strip()):
        return Reading(None, REASONS[1])
    return Reading(score) if 0 <= score <= MOST else Reading(None, REASONS[2])


_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
"""A whole number or a decimal; no 1e2."""


def read_published(reply: Any) -> float | None:
    """The digits after the last key, as the released script takes them."""
    for pattern in _PUBLISHED:
        if matches := [*pattern.finditer(reply if isinstance(reply, str) else "")]:
            return number(matches[-1]["digits"])
    return None
