"""Condition trees: three-valued evaluation, scores, and what to ask next. Pure.

Takes a condition and what is known of its preconditions; gives an outcome, a range of outcomes,
a range of scores, or the next precondition worth asking. Knows nothing of pictures or models.

Outcomes and scores obey one algebra: with no = 0, undecided = 1/2 and yes = 1, Kleene's logic is
min for `all`, max for `any` and 1 - max for `none`; scores in [0, 1] are combined the same way.
So a root whose outcome is decided has its score on the same side of 1/2 as that outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Outcome, Precondition, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from safejudge.types import PreconditionVerdict

    Bounds = tuple[float, float]

_TRUTH = {Outcome.NO: 0.0, Outcome.UNDECIDED: 0.5, Outcome.YES: 1.0}
_OUTCOME = {truth: outcome for outcome, truth in _TRUTH.items()}


def evaluate(condition: Condition, outcomes: Mapping[Precondition, Outcome]) -> Outcome:
    """Return the outcome of the whole condition; a leaf that is absent counts as undecided."""

    def truth(leaf: Precondition) -> Bounds:
        value = _TRUTH[outcomes.get(leaf, Outcome.UNDECIDED)]
        return value, value

    return _OUTCOME[_bounds(condition, truth)[0]]


def possible(
    condition: Condition, outcomes: Mapping[Precondition, Outcome]
) -> tuple[Outcome, Outcome]:
    """Return the lowest and highest outcome that the absent leaves can still bring about.

    The condition is settled when both are equal. The range is exact unless an absent leaf stands
    both inside and outside a `none`; then it may be too wide (a question too many, never one too
    few).
    """

    def truth(leaf: Precondition) -> Bounds:
        if leaf not in outcomes:
            return 0.0, 1.0
        value = _TRUTH[outcomes[leaf]]
        return value, value

    low, high = _bounds(condition, truth)
    return _OUTCOME[low], _OUTCOME[high]


def next_leaf(
    condition: Condition,
    outcomes: Mapping[Precondition, Outcome],
    skip: Collection[Precondition] = (),
) -> Precondition | None:
    """Return the first leaf, in listed order, that is absent from `outcomes` and still matters.

    A leaf matters while no subtree around it is settled. Leaves in `skip` are passed over but
    settle nothing: they were asked, and their answer is still open. None: nothing left to ask.
    """
    low, high = possible(condition, outcomes)
    if low == high:
        return None
    match condition:
        case Precondition():
            return None if condition in skip else condition
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            open_leaves = (next_leaf(part, outcomes, skip) for part in parts)
            return next((leaf for leaf in open_leaves if leaf is not None), None)


def supporting(
    condition: Condition, outcomes: Mapping[Precondition, Outcome]
) -> tuple[Precondition, ...]:
    """Return the leaves that hold and that a condition which holds rests on, exceptions aside.

    Empty for a condition that does not hold. A leaf that stands under a `none` as well is left out.
    """
    signs = polarities(condition)
    found = dict.fromkeys(_supporting(condition, outcomes))
    return tuple(leaf for leaf in found if signs.get(leaf, False))


def _supporting(
    condition: Condition, outcomes: Mapping[Precondition, Outcome]
) -> Iterator[Precondition]:
    if evaluate(condition, outcomes) is not Outcome.YES:
        return
    match condition:
        case Precondition():
            yield condition
        case AllOf(all=parts) | AnyOf(any=parts):
            for part in parts:
                yield from _supporting(part, outcomes)


def answered(
    condition: Condition, verdicts: Iterable[PreconditionVerdict]
) -> dict[Precondition, PreconditionVerdict]:
    """Put answers beside the leaves of a condition that they are about, in the order asked."""
    of = {(leaf.statement, leaf.look_at): leaf for leaf in leaves(condition)}
    keyed = (((verdict.statement, verdict.look_at), verdict) for verdict in verdicts)
    return {of[key]: verdict for key, verdict in keyed if key in of}


def score_interval(
    condition: Condition, scores: Mapping[Precondition, float]
) -> tuple[float, float]:
    """Return the bounds of the condition's score when every absent leaf may score 0 to 1."""

    def score(leaf: Precondition) -> Bounds:
        return (scores[leaf], scores[leaf]) if leaf in scores else (0.0, 1.0)

    return _bounds(condition, score)


def _bounds(condition: Condition, leaf_bounds: Callable[[Precondition], Bounds]) -> Bounds:
    match condition:
        case Precondition():
            return leaf_bounds(condition)
        case AllOf(all=parts):
            lows, highs = zip(*(_bounds(part, leaf_bounds) for part in parts), strict=True)
            return min(lows), min(highs)
        case AnyOf(any=parts):
            lows, highs = zip(*(_bounds(part, leaf_bounds) for part in parts), strict=True)
            return max(lows), max(highs)
        case NoneOf(none=parts):
            lows, highs = zip(*(_bounds(part, leaf_bounds) for part in parts), strict=True)
            return 1.0 - max(highs), 1.0 - max(lows)


def polarities(condition: Condition) -> dict[Precondition, bool]:
    """Say of each leaf whether it stands under an even number of `none` (True) or an odd one.

    A leaf that stands under both is left out: an error about it has no one direction.
    """
    signs: dict[Precondition, set[bool]] = {}
    for leaf, positive in _signed(condition, positive=True):
        signs.setdefault(leaf, set()).add(positive)
    return {leaf: leaf_signs.pop() for leaf, leaf_signs in signs.items() if len(leaf_signs) == 1}


def _signed(condition: Condition, *, positive: bool) -> Iterator[tuple[Precondition, bool]]:
    match condition:
        case Precondition():
            yield condition, positive
        case AllOf(all=parts) | AnyOf(any=parts):
            for part in parts:
                yield from _signed(part, positive=positive)
        case NoneOf(none=parts):
            for part in parts:
                yield from _signed(part, positive=not positive)


def flatten(condition: Condition) -> tuple[tuple[Precondition, ...], tuple[str, ...]]:
    """Return the published form of a condition, a flat AND list, and what was lost on the way.

    CLUE (arXiv 2501.00192, sec. 3.3) knows neither trees nor exceptions; an item may be a
    disjunction, put as one question. So parts of an `all` are spliced into the list; an `any`
    becomes one precondition, "A or B"; an `any` whose parts are not leaves joins the statements
    of each part by "and" first ("A and B or C"); a `none` is dropped, with a warning, and so is a
    program inside an `any`, of which its statement stays. The list is empty when the condition
    holds nothing but exceptions.
    """
    warnings: list[str] = []
    return tuple(dict.fromkeys(_flat(condition, warnings))), tuple(warnings)


def _flat(condition: Condition, warnings: list[str]) -> list[Precondition]:
    match condition:
        case Precondition():
            return [condition]
        case AllOf(all=parts):
            return [leaf for part in parts for leaf in _flat(part, warnings)]
        case AnyOf(any=parts):
            options = [_without_programs(_flat(part, warnings), warnings) for part in parts]
            options = [option for option in options if option]
            if len(options) < 2:
                return options[0] if options else []
            return [_joined([_joined(option, "and") for option in options], "or")]
        case NoneOf():
            lost = "; ".join(leaf.statement for leaf in leaves(condition))
            warnings.append(f"the flat form has no exceptions, so it drops: {lost}")
            return []


def _without_programs(flat: list[Precondition], warnings: list[str]) -> list[Precondition]:
    """Leave what can be put into one question with other parts; a program is no question."""
    kept = []
    for leaf in flat:
        if leaf.program is not None:
            warnings.append(
                "the flat form puts `any` as one question, so it drops the program: "
                f"{leaf.program.text}"
            )
        if leaf.is_asked:
            kept.append(leaf.model_copy(update={"program": None}))
    return kept


def _joined(parts: list[Precondition], word: str) -> Precondition:
    """Put several preconditions into one; full stops inside the sentence go."""
    *heads, last = (part.statement for part in parts)
    statement = f" {word} ".join([*(head.rstrip(" .") for head in heads), last])
    objects = (word for part in parts if part.look_at for word in part.look_at.split(" and "))
    return Precondition(statement=statement, look_at=" and ".join(dict.fromkeys(objects)) or None)
