"""How numbered statements combine: "(1 or 2) and not 3" and statements -> a condition.

Takes untrusted text; gives a condition, or says what is wrong with the text. Only numbers, `and`,
`or`, `not` and brackets mean anything; there is nothing to evaluate and nowhere to recurse to but
into brackets, which are counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safejudge.constitution.schema import MAX_TREE
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, placed_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEEPEST = 5
"""Brackets inside one another; a rule for pictures has one or two."""
_TOKEN = re.compile(r"\s*(\d+|and|or|not|[()])", re.IGNORECASE)


class CombineError(ValueError):
    """A text that does not say how the statements combine; the message says why."""


def combine(text: str, statements: Sequence[Precondition]) -> Condition:
    """Read how statements combine; `and` binds closer than `or`. Raises `CombineError`."""
    reader = _Reader(_tokens(text), statements)
    condition = reader.alternatives(0)
    if reader.left:
        raise CombineError(f"`{reader.left[0]}` stands where `and` or `or` is expected")
    if _height(condition) > MAX_TREE:  # a file of rules may hold no more
        raise CombineError(f"and, or and not are nested deeper than {MAX_TREE}")
    unused = [str(n) for n in range(1, len(statements) + 1) if n not in reader.used]
    if unused:
        raise CombineError(f"it leaves out statement {', '.join(unused)}")
    return condition


def _height(condition: Condition) -> int:
    return max(len(path) for path, _ in placed_leaves(condition))


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip().rstrip(".").rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CombineError(
                f"`{text[position:].strip()[:20]}` is no number, and, or, not, bracket"
            )
        tokens.append(match.group(1).lower())
        position = match.end()
    return tokens


class _Reader:
    """A cursor over the tokens; one method for each level of binding."""

    def __init__(self, tokens: list[str], statements: Sequence[Precondition]) -> None:
        self.left = tokens
        self.used: set[int] = set()
        self._statements = statements

    def alternatives(self, depth: int) -> Condition:
        parts = [self.requirements(depth)]
        while self._next("or"):
            parts.append(self.requirements(depth))
        flat = [p for part in parts for p in (part.any if isinstance(part, AnyOf) else (part,))]
        return flat[0] if len(flat) == 1 else AnyOf(any=tuple(flat))

    def requirements(self, depth: int) -> Condition:
        parts = [self.negation(depth)]
        while self._next("and"):
            parts.append(self.negation(depth))
        flat = [p for part in parts for p in (part.all if isinstance(part, AllOf) else (part,))]
        required = [part for part in flat if not isinstance(part, NoneOf)]
        # Not A and not B: one list of exceptions, at the end.
        refused = tuple(p for part in flat if isinstance(part, NoneOf) for p in part.none)
        combined = (*required, *((NoneOf(none=refused),) if refused else ()))
        return combined[0] if len(combined) == 1 else AllOf(all=combined)

    def negation(self, depth: int) -> Condition:
        if not self._next("not"):
            return self.single(depth)
        part = self.single(depth)
        return NoneOf(none=part.any if isinstance(part, AnyOf) else (part,))

    def single(self, depth: int) -> Condition:
        if self._next("("):
            if depth == _DEEPEST:
                raise CombineError(f"brackets are nested deeper than {_DEEPEST}")
            inside = self.alternatives(depth + 1)
            if not self._next(")"):
                raise CombineError("a bracket is not closed")
            return inside
        if not self.left or not self.left[0].isdecimal():
            instead = f"`{self.left[0]}` stands" if self.left else "it ends"
            raise CombineError(f"{instead} where the number of a statement is expected")
        token = self.left.pop(0)
        number = int(token) if len(token) < 10 else 0  # Python refuses to read endless ones
        if not 1 <= number <= len(self._statements):
            raise CombineError(f"there is no statement {token[:20]}, only {len(self._statements)}")
        self.used.add(number)
        return self._statements[number - 1]

    def _next(self, token: str) -> bool:
        if self.left[:1] == [token]:
            self.left.pop(0)
            return True
        return False
