"""Which of several edits of a rule moved an example: each is tried without the others.

Takes moves, and what judges examples by other rules; gives the moves with those edits that lead to
the new outcome by themselves. Nearly all answers are known by then, so this asks little. Where no
edit does it alone, several do it together, and the move stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.constitution.diff import changes, one_at_a_time
from safejudge.errors import PolicyError
from safejudge.golden.moves import NO_RULE, outcome_of
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safejudge.constitution.diff import Change
    from safejudge.golden.examples import Example
    from safejudge.golden.moves import Move
    from safejudge.types import Constitution, Result, Rule

    JudgedBy = Callable[[Constitution, Sequence[Example]], Sequence[Result]]
    """Judges examples by rules."""

MOST = 16
"""Edits of one rule that are tried."""


def by_single_edits(
    moves: Sequence[Move], old: Constitution, new: Constitution, judged_by: JudgedBy
) -> list[Move]:
    """Find out for moves of rules with several edits which of these do it alone."""
    former = {e.rule: e.old for e in changes(old, new) if e.kind == "renamed"}
    rules = {rule.id: rule for rule in new.rules}
    before = {rule.id: rule for rule in old.rules}
    found: dict[int, list[Change]] = {}
    for name in dict.fromkeys(move.rule for move in moves if _is_open(move)):
        numbers = [n for n, move in enumerate(moves) if move.rule == name and _is_open(move)]
        was = before.get(former.get(name) or name)
        if was is None or name not in rules:
            continue
        for edited, edit in _tries(new, rules[name], was):
            try:
                results = judged_by(edited, [moves[n].example for n in numbers])
            except PolicyError:  # it leaves nothing of such a rule
                continue
            for number, result in zip(numbers, results, strict=True):
                if not isinstance(result, Failure):
                    reached = outcome_of(result.rules[name].outcome)
                    if reached == outcome_of(moves[number].now):
                        found.setdefault(number, []).extend(edit)
    return [
        replace(move, edits=tuple(found[n]), alone=True) if n in found else move
        for n, move in enumerate(moves)
    ]


def _is_open(move: Move) -> bool:
    """Whether it is to be found out which edit it was."""
    skipped = ("not_relevant", NO_RULE)
    return len(move.edits) > 1 and move.was not in skipped and move.now not in skipped


def _tries(
    constitution: Constitution, rule: Rule, was: Rule
) -> Iterator[tuple[Constitution, list[Change]]]:
    """Yield rules of which one is as it was but for one edit, and this edit in words."""
    start = rule.model_copy(update={"condition": was.condition})
    alone = constitution.model_copy(update={"rules": (start,)})
    for number, condition in enumerate(one_at_a_time(was.condition, rule.condition)):
        if number == MOST:
            return
        edited = rule.model_copy(update={"condition": condition})
        tried = constitution.model_copy(update={"rules": (edited,)})
        yield tried, changes(alone, tried)
