"""What an edit of a constitution means: two constitutions -> typed changes. Pure.

Conditions are compared by what they mean: the order of a list, a list of one, and a list inside
its like change no verdict, so they are no change. That a rule can only be violated less, or only
more, is claimed where every change of its condition goes that one way, whatever is true, false
or undecided of the statements. Two wordings are two statements here, so a reworded one claims
nothing; nor does this know what the relevance filter makes of another objective.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, leaves, operator, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from safejudge.types import Call, Constitution, Rule

    Kind = type[AllOf | AnyOf | NoneOf]

T = TypeVar("T")
Effect = Literal["less", "more", "open", "none"]
"""What a change does to violations: only fewer, only more, either; `none`: it is elsewhere."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different."""

    rule: str
    """Id of the rule, the new one if it was renamed; empty for the constitution's own texts."""
    kind: str
    """A field's name; or, such as "exception removed", what happened to a part of the condition."""
    path: tuple[str, ...]
    """The lists of the condition around it, from the outermost; empty for a field."""
    old: str | None
    """What it was; None for what is added."""
    new: str | None
    """What it is; None for what is removed."""
    effect: Effect
    """What this change alone does to the violations of the rule."""


# --- constitutions and rules ----------------------------------------------------------------------


def changes(old: Constitution, new: Constitution) -> list[Change]:
    """List what changed in meaning: the head, the new rules in their order, what was removed."""
    fields = [*_fields("", old, new, ("name", "description"))]
    order = {rule.id: number for number, rule in enumerate(new.rules)}
    pairs = [*_pairs(old.rules, new.rules, lambda rule: rule.id, _alike_rules)]
    pairs.sort(key=lambda pair: len(order) if pair[1] is None else order[pair[1].id])
    return fields + [change for pair in pairs for change in _rule(*pair)]


def effect_of(edits: Sequence[Change]) -> Effect:
    """Say what several changes of one rule do together."""
    effects = {change.effect for change in edits} - {"none"}
    return "none" if not effects else effects.pop() if len(effects) == 1 else "open"


def _rule(old: Rule | None, new: Rule | None) -> Iterator[Change]:
    fields = ("category", "severity", "text", "objective", "relevance", "moderation")
    if old is not None and new is not None:
        if old.id != new.id:
            yield Change(new.id, "renamed", (), old.id, new.id, "none")
        yield from _fields(new.id, old, new, fields)
        yield from _conditions(old.condition, new.condition, _Spot(new.id))
    elif new is not None:
        yield Change(new.id, "rule added", (), None, f"{new.category}, {new.severity}", "more")
        yield Change(new.id, "text", (), None, new.text, "none")
        yield Change(new.id, "condition", (), None, _one_line(new.condition), "none")
    elif old is not None:
        yield Change(old.id, "rule removed", (), f"{old.category}, {old.severity}", None, "less")
        yield Change(old.id, "text", (), old.text, None, "none")
        yield Change(old.id, "condition", (), _one_line(old.condition), None, "none")


def _fields(rule: str, old: T, new: T, names: Sequence[str]) -> Iterator[Change]:
    for name in names:
        values = (getattr(side, name) for side in (old, new))
        before, after = (", ".join(v) if isinstance(v, tuple) else v or None for v in values)
        if before != after:
            yield Change(rule, name, (), before, after, "none")


def _alike_rules(old: Rule, new: Rule) -> float:
    """How alike two rules are but for the id; 0 for what is rather another rule."""
    texts = (f"{r.text} {r.objective} {_one_line(_tidy(r.condition))}" for r in (old, new))
    likeness = _ratio(*texts)
    return likeness if likeness >= 0.7 else 0.0


# --- conditions -----------------------------------------------------------------------------------

_ROLES: dict[Kind, str] = {AllOf: "requirement", AnyOf: "alternative", NoneOf: "exception"}
_NAMES: dict[Kind, str] = {AllOf: "all", AnyOf: "any", NoneOf: "none"}
_SMALL = {"a", "an", "and", "are", "at", "in", "is", "of", "on", "or", "the", "to", "visible"}
"""Words that two statements may share by chance."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A list inside the condition of a rule."""

    rule: str
    path: tuple[str, ...] = ()
    sign: int = 1
    """1 where what holds more often makes for more violations, -1 for fewer; 0: unknown."""

    def inside(self, kind: Kind) -> _Spot:
        turned = -self.sign if kind is NoneOf else self.sign
        return replace(self, path=(*self.path, f"{_NAMES[kind]} of"), sign=turned)

    def role(self, kind: Kind) -> str:
        """Name a part of this list; narrowing an exception must not read like narrowing a rule."""
        around = -self.sign if kind is NoneOf else self.sign
        return f"exception's {_ROLES[kind]}" if around < 0 else _ROLES[kind]

    def change(
        self, kind: str, old: str | None = None, new: str | None = None, direction: int = 0
    ) -> Change:
        """Make a change after which the list holds more often (1), less often (-1) or either."""
        effect: Effect = ("open", "more", "less")[self.sign * direction]
        return Change(self.rule, kind, self.path, old, new, effect)


def _conditions(old: Condition, new: Condition, spot: _Spot) -> list[Change]:
    """Compare conditions as they are written and as they are tidied; take what is shorter.

    Tidied, an inner `any` that became `all` is no list any more; as written, it is one change.
    """
    readings = (_compare(old, new, spot), _compare(_tidy(old), _tidy(new), spot))
    return min(readings, key=len)


def one_at_a_time(old: Condition, new: Condition) -> Iterator[Condition]:
    """Yield the old condition with one edit of those that lead to the new one, each in its turn.

    Conditions are tidied before: what changes no verdict is no edit. A list that became another
    kind of list is one edit with all that changed in it.
    """
    edited = _one_at_a_time(_tidy(old), _tidy(new))
    yield from (condition for condition in edited if condition is not None)


def _one_at_a_time(old: Condition, new: Condition) -> Iterator[Condition | None]:
    """Do the same with tidy ones; None where an exception went that was the only one."""
    if _key(old) == _key(new):
        return
    kind = _kind_of_both(old, new)
    if kind is None:
        yield new
        return
    whole, wanted = (parts(side) if type(side) is kind else (side,) for side in (old, new))
    for before, after in _pairs(whole, wanted, _key, _alike):
        if before is None and after is not None:
            yield _list_of(kind, (*whole, after))
        elif before is not None:
            for edited in [None] if after is None else _one_at_a_time(before, after):
                swapped = [edited if part is before else part for part in whole]
                left = [part for part in swapped if part is not None]
                if left:
                    yield _list_of(kind, left)
                elif kind is NoneOf:
                    yield None


def _kind_of_both(old: Condition, new: Condition) -> Kind | None:
    """Say as what kind of list both are read, one of them perhaps of one part; None for none."""
    if isinstance(old, Precondition) and isinstance(new, Precondition):
        return None
    if not isinstance(old, Precondition) and type(old) is type(new):
        return type(old)
    for kind in (AllOf, AnyOf):
        if kind in (type(old), type(new)):
            keys = [{*map(_key, parts(s) if type(s) is kind else (s,))} for s in (old, new)]
            if keys[0] & keys[1]:
                return kind
    return None


def _list_of(kind: Kind, inner: Sequence[Condition]) -> Condition:
    return kind.model_validate({_NAMES[kind]: tuple(inner)})


def _tidy(condition: Condition) -> Condition:
    """Write a condition without what changes no verdict; exceptions of one `all` become a list."""
    if isinstance(condition, Precondition):
        return condition
    kind = type(condition)
    like = AnyOf if kind is NoneOf else kind
    tidied = [_tidy(part) for part in parts(condition)]
    inner = [p for part in tidied for p in (parts(part) if type(part) is like else (part,))]
    exceptions = [e for part in inner if isinstance(part, NoneOf) for e in part.none]
    if kind is AllOf and exceptions:
        inner = [part for part in inner if not isinstance(part, NoneOf)]
        inner.append(NoneOf(none=_once(exceptions)))
    once = _once(inner)
    return once[0] if len(once) == 1 and kind is not NoneOf else kind(**{_NAMES[kind]: once})


def _once(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    return tuple({_key(condition): condition for condition in conditions}.values())


def _key(condition: Condition) -> Hashable:
    """What is equal for conditions that differ in order only."""
    if isinstance(condition, Precondition):
        return condition
    return type(condition), frozenset(map(_key, parts(condition)))


def _compare(old: Condition, new: Condition, spot: _Spot, role: str = "statement") -> list[Change]:
    """Compare two conditions in the way that takes the fewest changes."""
    if _key(old) == _key(new):
        return []
    if isinstance(old, Precondition) and isinstance(new, Precondition):
        return list(_leaf(old, new, spot, role))
    # A condition is also a list of one, of either kind: so an exception is added to a rule that
    # had no list before, and an alternative to a single statement.
    kinds = [kind for kind in (AllOf, AnyOf) if kind in (type(old), type(new))]
    comparisons: list[list[Change]] = []
    if not isinstance(old, Precondition) and not isinstance(new, Precondition):
        comparisons.append(_lists((type(old), parts(old)), (type(new), parts(new)), spot))
    if type(old) is not type(new):
        for kind in kinds or [AllOf]:
            lists = [parts(side) if type(side) is kind else (side,) for side in (old, new)]
            comparisons.append(_lists((kind, lists[0]), (kind, lists[1]), spot))
    return min(comparisons, key=len)


def _leaf(old: Precondition, new: Precondition, spot: _Spot, role: str) -> Iterator[Change]:
    if old.statement != new.statement and (old.is_asked or new.is_asked):
        yield spot.change(f"{role} reworded", old.statement, new.statement)
    spot = replace(spot, path=(*spot.path, f"`{new.statement}`"))
    if old.look_at != new.look_at:
        yield spot.change("look_at", old.look_at, new.look_at)
    if old.reworded != new.reworded:
        yield spot.change("reworded", old.reworded, new.reworded)
    if old.contrast != new.contrast:
        yield spot.change("contrast", _listed(old.contrast), _listed(new.contrast))
    if old.program != new.program:
        was = None if old.program is None else old.program.text
        now = None if new.program is None else new.program.text
        yield spot.change("program", was, now, _stricter(old.program, new.program))


def _stricter(old: Call | None, new: Call | None) -> int:
    """Return -1 where a program asks for a larger share and else for the same, 1 for a smaller one.

    0 where nobody can say.
    """
    if old is None or new is None or old.name != new.name:
        return 0
    shares = [side.arguments.get("at_least") for side in (old, new)]
    others = [
        {name: value for name, value in side.arguments.items() if name != "at_least"}
        for side in (old, new)
    ]
    before, after = shares
    if others[0] != others[1] or not isinstance(before, float) or not isinstance(after, float):
        return 0
    return 1 if after < before else -1


def _listed(texts: Sequence[str]) -> str | None:
    return "; ".join(texts) or None


def _lists(
    old: tuple[Kind, Sequence[Condition]], new: tuple[Kind, Sequence[Condition]], spot: _Spot
) -> list[Change]:
    """Compare two lists part by part; of other kinds as well, for `any` that became `all`."""
    (was, olds), (kind, news) = old, new
    pairs = [*_pairs(olds, news, _key, _alike)]
    edits = []
    if was is not kind:
        # Least and greatest compare only where something is in both lists.
        comparable = NoneOf not in (was, kind) and any(None not in pair for pair in pairs)
        direction = (1 if kind is AnyOf else -1) if comparable else 0
        at = replace(spot, path=(*spot.path, _first(news)))
        edits.append(at.change("operator", f"{_NAMES[was]} of", f"{_NAMES[kind]} of", direction))
        spot = spot if direction else replace(spot, sign=0)
    inside = spot.inside(kind)
    for before, after in pairs:
        if before is not None and after is not None:
            edits += _compare(before, after, _inside_named(inside, after, news), inside.role(kind))
        elif after is not None:
            edits += _alone(after, kind, inside, came=True)
        elif before is not None:
            edits += _alone(before, was, spot.inside(was), came=False)
    return edits


def _inside_named(spot: _Spot, part: Condition, around: Sequence[Condition]) -> _Spot:
    """Say which of several lists is meant, by the statement that it begins with."""
    alike = [sibling for sibling in around if type(sibling) is type(part)]
    if isinstance(part, Precondition) or len(alike) < 2:
        return spot
    return replace(spot, path=(*spot.path, _first([part])))


def _first(conditions: Sequence[Condition]) -> str:
    return f"`{next(leaves(conditions[0])).statement}`"


def _alone(part: Condition, kind: Kind, spot: _Spot, *, came: bool) -> Iterator[Change]:
    """Say that a part was added or removed; exceptions beside requirements one by one."""
    if kind is AllOf and isinstance(part, NoneOf):
        for exception in part.none:
            yield from _alone(exception, NoneOf, spot.inside(NoneOf), came=came)
        return
    direction = 1 if came is not (kind is AllOf) else -1
    if came:
        yield spot.change(f"{spot.role(kind)} added", None, _one_line(part), direction)
    else:
        yield spot.change(f"{spot.role(kind)} removed", _one_line(part), None, direction)


def _one_line(condition: Condition) -> str:
    """Write a condition on one line."""
    if isinstance(condition, Precondition):
        look = f" (look at: {condition.look_at})" if condition.look_at else ""
        program = condition.program if condition.is_asked else None
        looks = "" if program is None else f" (program {program.text})"
        return f"{condition.statement}{look}{looks}"
    return f"{operator(condition)} ({'; '.join(map(_one_line, parts(condition)))})"


# --- what belongs together ------------------------------------------------------------------------


def _pairs(
    olds: Sequence[T],
    news: Sequence[T],
    key: Callable[[T], Hashable],
    alike: Callable[[T, T], float],
) -> Iterator[tuple[T | None, T | None]]:
    """Pair what has one key, then what is alike, the likest first; then what is left alone."""
    positions = {key(new): number for number, new in enumerate(news)}
    partner = {i: positions[key(old)] for i, old in enumerate(olds) if key(old) in positions}
    paired = set(partner.values())
    scores = [
        (alike(old, new), -i, -j)
        for i, old in enumerate(olds)
        for j, new in enumerate(news)
        if i not in partner and j not in paired
    ]
    for score, i, j in sorted(scores, reverse=True):
        if score > 0 and -i not in partner and -j not in paired:
            partner[-i] = -j
            paired.add(-j)
    for i, old in enumerate(olds):
        yield old, news[partner[i]] if i in partner else None
    yield from ((None, new) for j, new in enumerate(news) if j not in paired)


def _alike(old: Condition, new: Condition) -> float:
    """How much two parts of one list have in common; 0 below a half, and for opposites."""
    if isinstance(old, NoneOf) and isinstance(new, NoneOf):
        return 1.0
    if isinstance(old, NoneOf) or isinstance(new, NoneOf):
        # Alone, or with requirements beside it: the same exception all the same.
        lone, other = (old, new) if isinstance(old, NoneOf) else (new, old)
        inside = isinstance(other, AllOf) and _key(lone) in map(_key, other.all)
        return 1.0 if inside else 0.0
    likeness = _ratio(_one_line(old), _one_line(new))
    if not isinstance(old, Precondition) or not isinstance(new, Precondition):
        mine, theirs = ({leaf.statement for leaf in leaves(side)} for side in (old, new))
        likeness = max(likeness, len(mine & theirs) / min(len(mine), len(theirs)))
    return likeness if likeness >= 0.5 else 0.0


def _ratio(old: str, new: str) -> float:
    """Share of the words in common, in order; small words do not count."""
    mine, theirs = ([w for w in t.lower().split() if w not in _SMALL] for t in (old, new))
    return difflib.SequenceMatcher(None, mine, theirs, autojunk=False).ratio()
