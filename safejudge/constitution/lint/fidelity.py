"""Whether a condition says what its text says: words, counts, relations, alternatives, exceptions.

Takes the objective text of a rule and a condition; gives every difference in words for whoever has
to mend it. The text is cut into clauses at its connectives, each clause is matched to the
statements that hold its words, and the connectives between clauses are compared with the operators
between their statements.

English only, and no grammar: it does not know what words mean, so a condition in other words than
its text is reported, and one that binds the same words differently is not: who does it to whom,
"A and B or C", what an exception in the middle speaks of. `and`, `or`, `unless` and their like
part clauses, and so does every comma, semicolon and full stop; `while`, `with`, `not`, brackets and
quotes do not. An exception comes after what it is an exception of, or before all of the text and
up to its first comma; an exception of an exception is not understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, islice, product
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.constitution.lint.stems import (
    ALLOWING,
    EXCEPTION,
    FREE,
    SIGNS,
    STRONG,
    WHOLES,
    is_count,
    is_relation,
    said_words,
    stem,
    tokens,
)
from safejudge.text import quoted
from safejudge.types import Condition, Step, placed_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Difference",
    "contradictions",
    "covers",
    "differences",
    "losses",
    "unmentioned",
]

Kind = Literal["word", "count", "relation", "statement", "alternative", "exception", "added"]


class Difference(NamedTuple):
    """One thing that a text says and a condition does not, or the other way round."""

    kind: Kind
    """What got lost: a word, count or relation of a statement, a whole statement, an alternative
    (or its opposite), an exception; `added` for what only the condition says."""
    problem: str
    """The same as a sentence."""


# --- public -------------------------------------------------------------------------------------


def differences(text: str, condition: Condition) -> list[Difference]:
    """Compare a text with a condition; empty if nothing was found that differs."""
    clauses, found = _clauses(text), _leaves(condition)
    match = _matched(clauses, found)
    return [
        *_unsaid(clauses, found, match),
        *_misplaced(clauses, match),
        *_added(text, found, match),
    ]


def contradictions(text: str, condition: Condition) -> list[Difference]:
    """Find where a condition combines its statements otherwise than its text does, words aside.

    Alternatives that are required, requirements of which one is enough, and exceptions that are
    none: what can be told where people wrote a condition in words of their own.
    """
    clauses, found = _clauses(text), _leaves(condition)
    wrong = _misplaced(clauses, _matched(clauses, found))
    if any(clause.excepted for clause in clauses) and not any(_nones(leaf.way) for leaf in found):
        wrong.append(
            Difference("exception", "the text has an exception, and nothing is under `none`")
        )
    return wrong


def covers(text: str, condition: Condition) -> list[str]:
    """For each statement of a condition, in listed order, the words of the text that it covers."""
    clauses, found = _clauses(text), _leaves(condition)
    match = _matched(clauses, found)
    told = []
    for leaf in found:
        own = [clause for clause in clauses if leaf in match.get(clause.place, ())]
        own = own or [c for c in clauses if leaf.statement in _statements(match.get(c.place, ()))]
        words = [w for c in own for w in c.words if w in FREE or stem(w) in leaf.stems]
        told.append(" ".join(words))
    return told


def losses(text: str, rewritten: str) -> list[Difference]:
    """Find exceptions, alternatives and counts of a text of which another wording has none."""
    found = []
    if ALLOWING.search(text.casefold()) and not EXCEPTION.search(rewritten.casefold()):
        problem = f"{quoted(text, 200)} has an exception, and the new wording has none"
        found.append(Difference("exception", problem))
    if "or" in tokens(text) and "or" not in tokens(rewritten):
        problem = f"{quoted(text, 200)} has an `or`, and the new wording has none"
        found.append(Difference("alternative", problem))
    kept = said_words(rewritten) | WHOLES
    lost = dict.fromkeys(w for w in tokens(text) if is_count(w) and stem(w) not in kept)
    if lost:
        found.append(Difference("count", f"the new wording lacks {', '.join(map(quoted, lost))}"))
    return found


def unmentioned(text: str, rewritten: str) -> list[str]:
    """Clauses of a text of which another wording has no word: left out, or in other words."""
    known = said_words(rewritten)
    clauses = [clause for clause in _clauses(text) if known.isdisjoint(clause.stems)]
    return [" ".join(clause.words) for clause in clauses]


# --- clauses ------------------------------------------------------------------------------------

Joint = Literal["", "and", "or", "unless"]


@dataclass(frozen=True, slots=True)
class _Clause:
    """A stretch of text between two connectives."""

    place: int
    words: tuple[str, ...]
    stems: frozenset[str]
    joint: Joint
    """How it is joined to the clause at `anchor`; empty for the first one, and where a comma or
    full stop alone parts them."""
    anchor: int
    excepted: bool
    """Whether it is said in an exception."""


def _pieces(text: str) -> list[tuple[set[str], list[str]]]:
    """Cut a text at its connectives: what stands before each piece, and its words."""
    pieces: list[tuple[set[str], list[str]]] = [(set(), [])]
    for token in tokens(text):
        if token not in SIGNS:
            pieces[-1][1].append(token)
        elif any(word not in FREE for word in pieces[-1][1]):
            pieces.append(({token}, []))
        else:
            pieces[-1][0].add(token)
            pieces[-1][1].clear()
    return [(signs, words) for signs, words in pieces if any(w not in FREE for w in words)]


def _clauses(text: str) -> list[_Clause]:
    pieces = _pieces(text)
    joints = _joints([signs for signs, _ in pieces])
    clauses: list[_Clause] = []
    main, excepted = 0, False
    for place, (signs, words) in enumerate(pieces):
        before = excepted
        if "unless" in signs:
            excepted = True
        elif not signs.isdisjoint(STRONG) or ("," in signs and clauses and clauses[0].excepted):
            excepted = False
        # An exception speaks of the last thing that is none, and so does what follows it.
        anchor = main if "unless" in signs or before != excepted else place - 1
        if before and not excepted and all(clause.excepted for clause in clauses):
            joints[place] = "unless"  # the exception came first
        main = main if excepted else place
        stems = frozenset(stem(word) for word in words if word not in FREE)
        clauses.append(_Clause(place, tuple(words), stems, joints[place], max(anchor, 0), excepted))
    return clauses


def _joints(signs: Sequence[set[str]]) -> list[Joint]:
    """Read how each piece is joined to the one before.

    In "A, B or C" the comma says "or" too, and so does the semicolon in "A; B; or C".
    """
    joints: list[Joint] = []
    following: dict[str, Joint] = {}
    for found in reversed(signs):
        joint: Joint = ""
        if "unless" in found:
            joint = "unless"
        elif "or" in found or "and" in found:
            joint = "or" if "or" in found else "and"
        elif len(found) == 1 and following.get(min(found)) != "unless":
            joint = following.get(min(found), "")
        joints.append(joint)
        if found.isdisjoint(STRONG):
            following[","] = joint
        else:
            following = {";": joint} if ";" in found else {}
    joints.reverse()
    return ["" if place == 0 else joint for place, joint in enumerate(joints)]


# --- statements ---------------------------------------------------------------------------------

Way = tuple[Step, ...]
"""From the root of a condition to a statement."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One statement with its place in the condition."""

    way: Way
    statement: str
    stems: frozenset[str]

    @property
    def excepted(self) -> bool:
        """Whether an odd number of `none` stands above it."""
        return _nones(self.way) % 2 == 1


def _leaves(condition: Condition) -> list[_Leaf]:
    return [
        _Leaf(way, leaf.statement, said_words(leaf.statement))
        for way, leaf in placed_leaves(condition)
    ]


def _nones(way: Way) -> int:
    return sum(operator == "none" for operator, _ in way)


def _operator(one: Way, other: Way) -> Literal["and", "or"]:
    """How two statements of the same side combine, by De Morgan where both are excepted below."""
    shared = 0
    while one[shared] == other[shared]:
        shared += 1
    says_or = one[shared][0] != "all"
    if _nones(one[shared + 1 :]) % 2 == 1:
        says_or = not says_or
    return "or" if says_or else "and"


# --- clauses and statements ---------------------------------------------------------------------

Match = dict[int, tuple[_Leaf, ...]]
"""By the place of a clause, the statements that say it; a clause that none says is left out."""


def _matched(clauses: Sequence[_Clause], found: Sequence[_Leaf]) -> Match:
    """Give each clause a statement that has all its words, or several that share them."""
    owners: dict[_Leaf, _Clause] = {}
    for clause in clauses:
        _settle(clause, found, owners, set())
    match: Match = {clause.place: (leaf,) for leaf, clause in owners.items()}
    for clause in clauses:
        if clause.place in match:
            continue
        spare = [leaf for leaf in found if leaf not in owners and leaf.excepted == clause.excepted]
        joined = [leaf for leaf in found if clause.stems <= leaf.stems and _has_joint(leaf)]
        if group := _group(clause, spare):
            match[clause.place] = group
            owners |= dict.fromkeys(group, clause)
        elif joined:
            match[clause.place] = (joined[0],)
    if _misplaced(clauses, match):
        return min(_arranged(found, match), key=lambda one: len(_misplaced(clauses, one)))
    return match


def _arranged(found: Sequence[_Leaf], match: Match) -> Iterator[Match]:
    """The ways to share out statements that stand in several branches; the first is the match."""
    yield match
    copies = {leaf: [o for o in found if o.statement == leaf.statement] for leaf in found}
    taken = [(place, copies[leaves[0]]) for place, leaves in match.items() if len(leaves) == 1]
    places, choices = zip(*taken, strict=True) if taken else ((), ())
    for chosen in islice(product(*choices), _WAYS):
        way = match | {place: (leaf,) for place, leaf in zip(places, chosen, strict=True)}
        if len(set(chosen)) == len(chosen) and _nested(way):
            yield way


_WAYS = 100
"""Most ways that are tried."""


def _nested(match: Match) -> bool:
    """Whether every branch of a condition is said in one stretch of the text."""
    ways = [match[place][0].way for place in sorted(match)]
    for depth in range(1, max(map(len, ways)) + 1):
        stretches = [way for way, _ in groupby(way[:depth] for way in ways)]
        if len(stretches) > len(set(stretches)):
            return False
    return True


def _settle(
    clause: _Clause, found: Sequence[_Leaf], owners: dict[_Leaf, _Clause], tried: set[_Leaf]
) -> bool:
    """Give a clause the nearest statement that holds it; its owner may have to take another."""
    fitting = [leaf for leaf in found if clause.stems <= leaf.stems and leaf not in tried]
    fitting.sort(key=lambda o: (o.excepted != clause.excepted, len(o.stems), o in owners))
    for leaf in fitting:
        tried.add(leaf)
        if leaf not in owners or _settle(owners[leaf], found, owners, tried):
            owners[leaf] = clause
            return True
    return False


def _group(clause: _Clause, spare: Sequence[_Leaf]) -> tuple[_Leaf, ...]:
    """Several statements that all must hold and say a clause together; none if there are not."""
    left = set(clause.stems)
    group: list[_Leaf] = []
    for leaf in spare:
        together = all(_operator(leaf.way, other.way) == "and" for other in group)
        if left & leaf.stems and together:
            left -= leaf.stems
            group.append(leaf)
    return () if left else tuple(group)


def _has_joint(leaf: _Leaf) -> bool:
    return len(_pieces(leaf.statement)) > 1


def _statements(found: Sequence[_Leaf]) -> set[str]:
    return {leaf.statement for leaf in found}


# --- what differs -------------------------------------------------------------------------------


def _unsaid(
    clauses: Sequence[_Clause], found: Sequence[_Leaf], match: Match
) -> Iterator[Difference]:
    taken = {leaf for leaves in match.values() for leaf in leaves}
    for clause in clauses:
        if clause.place in match:
            continue
        said = quoted(" ".join(clause.words), 120)
        near = _nearest(clause, [leaf for leaf in found if leaf not in taken])
        lost = clause.stems - near.stems if near else frozenset()
        if near is None or not lost:
            kind: Kind = "exception" if clause.excepted else "statement"
            yield Difference(kind, f"the text says {said}, and no statement of its own says so")
            continue
        words = [word for word in clause.words if stem(word) in lost]
        kind = "word"
        if any(map(is_count, words)):
            kind = "count"
        elif all(map(is_relation, words)):
            kind = "relation"
        lacks = f"lacks {', '.join(map(quoted, words))}"
        yield Difference(kind, f"of {said} the statement {quoted(near.statement, 120)} {lacks}")


def _nearest(clause: _Clause, spare: Sequence[_Leaf]) -> _Leaf | None:
    """The spare statement that says at least half of a clause, and most of it."""
    best = max(spare, key=lambda leaf: len(leaf.stems & clause.stems), default=None)
    near = best is not None and 2 * len(best.stems & clause.stems) >= len(clause.stems)
    return best if near else None


def _misplaced(clauses: Sequence[_Clause], match: Match) -> list[Difference]:
    return [*_wrong_side(clauses, match), *_wrong_operator(clauses, match)]


def _wrong_side(clauses: Sequence[_Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        for leaf in match.get(clause.place, ()):
            if leaf.excepted != clause.excepted:
                side = "an exception" if clause.excepted else "no exception"
                yield Difference(
                    "exception",
                    f"{quoted(leaf.statement, 120)} is {side} in the text, and "
                    f"{'stands under no `none`' if clause.excepted else 'stands under `none`'}",
                )


def _wrong_operator(clauses: Sequence[_Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        pair = match.get(clause.place, ()), match.get(clause.anchor, ())
        if not clause.joint or not pair[0] or not pair[1]:
            continue
        leaf, other = pair[0][0], pair[1][0]
        if leaf == other:
            if clause.joint == "or" and "or" in tokens(leaf.statement):
                said = quoted(leaf.statement, 120)
                yield Difference("alternative", f"{said} holds an `or` that belongs under `any`")
        elif clause.joint == "unless":
            if leaf.excepted != other.excepted and not _binds(leaf.way, other.way):
                both = _both(other, leaf)
                yield Difference("exception", f"the exception of {both} stands beside, not with it")
        elif leaf.excepted == other.excepted and _operator(leaf.way, other.way) != clause.joint:
            wanted = "alternatives (`any`)" if clause.joint == "or" else "both wanted (`all`)"
            said = f"the text says {clause.joint}: {_both(other, leaf)} are {wanted}"
            yield Difference("alternative", said)


def _both(one: _Leaf, other: _Leaf) -> str:
    return f"{quoted(one.statement, 120)} and {quoted(other.statement, 120)}"


def _binds(exception: Way, other: Way) -> bool:
    """Whether an exception and what it is an exception of stand in one `all`."""
    shared = 0
    while exception[shared] == other[shared]:
        shared += 1
    return exception[shared][0] == "all"


def _added(text: str, found: Sequence[_Leaf], match: Match) -> Iterator[Difference]:
    known = said_words(text)
    taken = _statements([leaf for leaves in match.values() for leaf in leaves])
    for leaf in found:
        strange = [w for w in tokens(leaf.statement) if w not in FREE and w not in SIGNS]
        strange = [quoted(word) for word in strange if stem(word) not in known]
        said = quoted(leaf.statement, 120)
        if strange:
            yield Difference("added", f"{said} has {', '.join(strange)}, which the text has not")
        elif leaf.statement not in taken:
            yield Difference("added", f"{said} is nothing that the text says")
