"""A reranker's reply -> the number of a candidate, or why there is none. Pure.

The form that is asked for is "Ans: (3)". The published reader takes the first digits in brackets
anywhere, so "Candidate (2) shows a dog. Ans: (7)" is 2, and a year can be an answer.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

NO_ANSWER = "no answer"
TWO_ANSWERS = "two answers"
NO_CANDIDATE = "not a candidate"

_PUBLISHED = re.compile(r"\((\d+)\)")
_MARK = re.compile(r"\bans(?:wer)?\b", re.IGNORECASE)
_NUMBER = r"[(\[]?\s*(\d{1,9})(?![\d.,]*\d)\s*[)\]]?"
_HEAD = re.compile(
    rf"[\s:*#]*(?:(?:is|candidate|option|number)\b[\s:*#]*){{0,3}}{_NUMBER}", re.IGNORECASE
)
_JOINED = re.compile(rf"[\s*]*(?:or|and|/|,|&)[\s*]*{_NUMBER}", re.IGNORECASE)
_BRACKETED = re.compile(r"[(\[]\s*(\d{1,9})\s*[)\]]")


class Choice(NamedTuple):
    """Which candidate a reply names."""

    number: int | None
    """From 1; None where it names none."""
    why: str = ""
    """Why it names none."""


def read_choice(reply: Any, candidates: int) -> Choice:
    """Read what stands after the last "Ans": one number from 1 to `candidates`, in any brackets."""
    if not isinstance(reply, str):
        return Choice(None, NO_ANSWER)
    # Full-width brackets and digits are brackets and digits.
    text = unicodedata.normalize("NFKC", reply)
    marks = [*_MARK.finditer(text)]
    head = _HEAD.match(text, marks[-1].end()) if marks else None
    if head is None:
        return Choice(None, NO_ANSWER)
    rest = text[head.end() :]
    joined = _JOINED.match(rest)
    others = {int(n) for n in _BRACKETED.findall(rest)} | ({int(joined[1])} if joined else set())
    number = int(head[1])
    if others - {number}:
        return Choice(None, TWO_ANSWERS)
    return Choice(number) if 1 <= number <= candidates else Choice(None, NO_CANDIDATE)


def read_published(reply: Any) -> int | None:
    """As the released script reads it: the first digits in round brackets, whatever they are."""
    found = _PUBLISHED.search(reply) if isinstance(reply, str) else None
    return int(found[1][:18]) if found else None
