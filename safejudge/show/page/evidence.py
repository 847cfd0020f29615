"""Where the things are that a violation rests on: boxes for the page, which decide nothing.

A judge looks for the central object of a statement only where it needs it. A person who is shown a
violation wants to see it all the same, so a page has the detector look for the objects of the
statements that made it, on the picture that is shown. No record holds what is found so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from safejudge.errors import EngineCallError
from safejudge.flow import Answer, Request
from safejudge.method import logic
from safejudge.method.regions import believed, words_of
from safejudge.policy import Policy
from safejudge.types import Locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import Box, Condition, Picture, Precondition, RuleVerdict

Seek: TypeAlias = Callable[[Sequence[Request]], Sequence[Answer]]
"""Answers a `Locate` with boxes."""


def evidence(
    violated: Sequence[tuple[Condition, RuleVerdict]],
    picture: Picture,
    seek: Seek,
    policy: Policy | None,
) -> Iterator[Box]:
    """Yield the boxes of what rules that are violated on a picture rest on, and nobody looked for.

    None where the detector fails: a page is no reason to end a run.
    """
    wanted = dict.fromkeys(
        words_of(leaf.look_at)
        for condition, verdict in violated
        for leaf in _support(condition, verdict)
        if leaf.look_at
    )
    if not wanted:
        return
    try:
        answers = seek([Locate(picture, words) for words in wanted])
    except EngineCallError:
        return
    for boxes in answers:
        if isinstance(boxes, tuple):
            yield from believed(boxes, policy or Policy())


def _support(condition: Condition, verdict: RuleVerdict) -> Sequence[Precondition]:
    answers = logic.answered(condition, verdict.preconditions)
    holding = logic.supporting(condition, {leaf: v.outcome for leaf, v in answers.items()})
    return [leaf for leaf in holding if answers[leaf].boxes is None]
