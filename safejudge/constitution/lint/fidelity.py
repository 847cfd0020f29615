"""Whether a condition says what its text says: words, counts, relations, alternatives, exceptions.

Takes the objective text of a rule and a condition; gives every difference in words for whoever has
to mend it. The text is cut into clauses at its connectives, each clause is matched to the
statements that hold its words, and the connectives between clauses are compared with the operators
between their statements.

English only, and no grammar: it does not know what words mean, so a condition in other words than
its text is reported, and one that binds the same words differently is not: who does it to whom,
"A and B or C", what an exception in the middle speaks of. What parts clauses: `clauses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, islice, product
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.constitution.lint.clauses import Clause, clauses_of, pieces_of
from safejudge.constitution.lint.stems import (
    ALLOWING,
    EXCEPTION,
    FREE,
    SIGNS,
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
    clauses, statements = clauses_of(text), _leaves(condition)
    match = _matched(clauses, statements)
    return [
        *_unsaid(clauses, statements, match),
        *_misplaced(clauses, match),
        *_added(text, statements, match),
    ]


def contradictions(text: str, condition: Condition) -> list[Difference]:
    """Find where a condition combines its statements otherwise than its text does, words aside.

    Alternatives that are required, requirements of which one is enough, and exceptions that are
    none: what can be told where people wrote a condition in words of their own.
    """
    clauses, statements = clauses_of(text), _leaves(condition)
    wrong = _misplaced(clauses, _matched(clauses, statements))
    if any(clause.excepted for clause in clauses) and not any(
        _nones(leaf.path) for leaf in statements
    ):
        wrong.append(
            Difference("exception", "the text has an exception, and nothing is under `none`")
        )
    return wrong


def covers(text: str, condition: Condition) -> list[str]:
    """For each statement of a condition, in listed order, the words of the text that it covers."""
    clauses, statements = clauses_of(text), _leaves(condition)
    match = _matched(clauses, statements)
    covered = []
    for leaf in statements:
        matching = [clause for clause in clauses if leaf in match.get(clause.index, ())]
        matching = matching or [
            c for c in clauses if leaf.statement in _statements(match.get(c.index, ()))
        ]
        words = [w for c in matching for w in c.words if w in FREE or stem(w) in leaf.stems]
        covered.append(" ".join(words))
    return covered


def losses(text: str, rewritten: str) -> list[Difference]:
    """Find exceptions, alternatives and counts of a text of which another wording has none."""
    lost_parts = []
    if ALLOWING.search(text.casefold()) and not EXCEPTION.search(rewritten.casefold()):
        problem = f"{quoted(text, 200)} has an exception, and the new wording has none"
        lost_parts.append(Difference("exception", problem))
    if "or" in tokens(text) and "or" not in tokens(rewritten):
        problem = f"{quoted(text, 200)} has an `or`, and the new wording has none"
        lost_parts.append(Difference("alternative", problem))
    stems = said_words(rewritten) | WHOLES
    lost = dict.fromkeys(w for w in tokens(text) if is_count(w) and stem(w) not in stems)
    if lost:
        lost_parts.append(
            Difference("count", f"the new wording lacks {', '.join(map(quoted, lost))}")
        )
    return lost_parts


def unmentioned(text: str, rewritten: str) -> list[str]:
    """Clauses of a text of which another wording has no word: left out, or in other words."""
    stems = said_words(rewritten)
    clauses = [clause for clause in clauses_of(text) if stems.isdisjoint(clause.stems)]
    return [" ".join(clause.words) for clause in clauses]


# --- statements ---------------------------------------------------------------------------------

Path = tuple[Step, ...]
"""From the root of a condition to a statement."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One statement with its place in the condition."""

    path: Path
    statement: str
    stems: frozenset[str]

    @property
    def excepted(self) -> bool:
        """Whether an odd number of `none` stands above it."""
        return _nones(self.path) % 2 == 1


def _leaves(condition: Condition) -> list[_Leaf]:
    return [
        _Leaf(path, leaf.statement, said_words(leaf.statement))
        for path, leaf in placed_leaves(condition)
    ]


def _nones(path: Path) -> int:
    return sum(operator == "none" for operator, _ in path)


def _operator(first: Path, second: Path) -> Literal["and", "or"]:
    """How two statements of the same side combine, by De Morgan where both are excepted below."""
    shared = 0
    while first[shared] == second[shared]:
        shared += 1
    says_or = first[shared][0] != "all"
    if _nones(first[shared + 1 :]) % 2 == 1:
        says_or = not says_or
    return "or" if says_or else "and"


# --- clauses and statements ---------------------------------------------------------------------

Match = dict[int, tuple[_Leaf, ...]]
"""By the place of a clause, the statements that say it; a clause that none says is left out."""


def _matched(clauses: Sequence[Clause], statements: Sequence[_Leaf]) -> Match:
    """Give each clause a statement that has all its words, or several that share them."""
    owners: dict[_Leaf, Clause] = {}
    for clause in clauses:
        _settle(clause, statements, owners, set())
    match: Match = {clause.index: (leaf,) for leaf, clause in owners.items()}
    for clause in clauses:
        if clause.index in match:
            continue
        spare = [
            leaf for leaf in statements if leaf not in owners and leaf.excepted == clause.excepted
        ]
        joined = [leaf for leaf in statements if clause.stems <= leaf.stems and _has_joint(leaf)]
        if group := _group(clause, spare):
            match[clause.index] = group
            owners |= dict.fromkeys(group, clause)
        elif joined:
            match[clause.index] = (joined[0],)
    if _misplaced(clauses, match):
        return min(
            _arranged(statements, match), key=lambda candidate: len(_misplaced(clauses, candidate))
        )
    return match


def _arranged(statements: Sequence[_Leaf], match: Match) -> Iterator[Match]:
    """The ways to share out statements that stand in several branches; the first is the match."""
    yield match
    copies = {leaf: [o for o in statements if o.statement == leaf.statement] for leaf in statements}
    single = [(index, copies[leaves[0]]) for index, leaves in match.items() if len(leaves) == 1]
    indices, choices = zip(*single, strict=True) if single else ((), ())
    for chosen in islice(product(*choices), _ARRANGEMENTS):
        arrangement = match | {index: (leaf,) for index, leaf in zip(indices, chosen, strict=True)}
        if len(set(chosen)) == len(chosen) and _nested(arrangement):
            yield arrangement


_ARRANGEMENTS = 100
"""Most ways that are tried."""


def _nested(match: Match) -> bool:
    """Whether every branch of a condition is said in one stretch of the text."""
    paths = [match[index][0].path for index in sorted(match)]
    for depth in range(1, max(map(len, paths)) + 1):
        stretches = [path for path, _ in groupby(path[:depth] for path in paths)]
        if len(stretches) > len(set(stretches)):
            return False
    return True


def _settle(
    clause: Clause, statements: Sequence[_Leaf], owners: dict[_Leaf, Clause], tried: set[_Leaf]
) -> bool:
    """Give a clause the nearest statement that holds it; its owner may have to take another."""
    fitting = [leaf for leaf in statements if clause.stems <= leaf.stems and leaf not in tried]
    fitting.sort(key=lambda o: (o.excepted != clause.excepted, len(o.stems), o in owners))
    for leaf in fitting:
        tried.add(leaf)
        if leaf not in owners or _settle(owners[leaf], statements, owners, tried):
            owners[leaf] = clause
            return True
    return False


def _group(clause: Clause, spare: Sequence[_Leaf]) -> tuple[_Leaf, ...]:
    """Several statements that all must hold and say a clause together; none if there are not."""
    left = set(clause.stems)
    group: list[_Leaf] = []
    for leaf in spare:
        together = all(_operator(leaf.path, member.path) == "and" for member in group)
        if left & leaf.stems and together:
            left -= leaf.stems
            group.append(leaf)
    return () if left else tuple(group)


def _has_joint(leaf: _Leaf) -> bool:
    return len(pieces_of(leaf.statement)) > 1


def _statements(leaves: Sequence[_Leaf]) -> set[str]:
    return {leaf.statement for leaf in leaves}


# --- what differs -------------------------------------------------------------------------------


def _unsaid(
    clauses: Sequence[Clause], statements: Sequence[_Leaf], match: Match
) -> Iterator[Difference]:
    matched = {leaf for leaves in match.values() for leaf in leaves}
    for clause in clauses:
        if clause.index in match:
            continue
        clause_text = quoted(" ".join(clause.words), 120)
        near = _nearest(clause, [leaf for leaf in statements if leaf not in matched])
        lost = clause.stems - near.stems if near else frozenset()
        if near is None or not lost:
            kind: Kind = "exception" if clause.excepted else "statement"
            yield Difference(
                kind, f"the text says {clause_text}, and no statement of its own says so"
            )
            continue
        words = [word for word in clause.words if stem(word) in lost]
        kind = "word"
        if any(map(is_count, words)):
            kind = "count"
        elif all(map(is_relation, words)):
            kind = "relation"
        lacks = f"lacks {', '.join(map(quoted, words))}"
        yield Difference(
            kind, f"of {clause_text} the statement {quoted(near.statement, 120)} {lacks}"
        )


def _nearest(clause: Clause, spare: Sequence[_Leaf]) -> _Leaf | None:
    """The spare statement that says at least half of a clause, and most of it."""
    best = max(spare, key=lambda leaf: len(leaf.stems & clause.stems), default=None)
    near = best is not None and 2 * len(best.stems & clause.stems) >= len(clause.stems)
    return best if near else None


def _misplaced(clauses: Sequence[Clause], match: Match) -> list[Difference]:
    return [*_wrong_side(clauses, match), *_wrong_operator(clauses, match)]


def _wrong_side(clauses: Sequence[Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        for leaf in match.get(clause.index, ()):
            if leaf.excepted != clause.excepted:
                side = "an exception" if clause.excepted else "no exception"
                yield Difference(
                    "exception",
                    f"{quoted(leaf.statement, 120)} is {side} in the text, and "
                    f"{'stands under no `none`' if clause.excepted else 'stands under `none`'}",
                )


def _wrong_operator(clauses: Sequence[Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        pair = match.get(clause.index, ()), match.get(clause.anchor, ())
        if not clause.joint or not pair[0] or not pair[1]:
            continue
        leaf, anchor = pair[0][0], pair[1][0]
        if leaf == anchor:
            if clause.joint == "or" and "or" in tokens(leaf.statement):
                statement = quoted(leaf.statement, 120)
                yield Difference(
                    "alternative", f"{statement} holds an `or` that belongs under `any`"
                )
        elif clause.joint == "unless":
            if leaf.excepted != anchor.excepted and not _binds(leaf.path, anchor.path):
                pair_text = _two_statements(anchor, leaf)
                yield Difference(
                    "exception", f"the exception of {pair_text} stands beside, not with it"
                )
        elif leaf.excepted == anchor.excepted and _operator(leaf.path, anchor.path) != clause.joint:
            meaning = "alternatives (`any`)" if clause.joint == "or" else "both wanted (`all`)"
            problem = f"the text says {clause.joint}: {_two_statements(anchor, leaf)} are {meaning}"
            yield Difference("alternative", problem)


def _two_statements(first: _Leaf, second: _Leaf) -> str:
    return f"{quoted(first.statement, 120)} and {quoted(second.statement, 120)}"


def _binds(exception: Path, exempted: Path) -> bool:
    """Whether an exception and what it is an exception of stand in one `all`."""
    shared = 0
    while exception[shared] == exempted[shared]:
        shared += 1
    return exception[shared][0] == "all"


def _added(text: str, statements: Sequence[_Leaf], match: Match) -> Iterator[Difference]:
    stems = said_words(text)
    matched = _statements([leaf for leaves in match.values() for leaf in leaves])
    for leaf in statements:
        strange = [w for w in tokens(leaf.statement) if w not in FREE and w not in SIGNS]
        strange = [quoted(word) for word in strange if stem(word) not in stems]
        statement = quoted(leaf.statement, 120)
        if strange:
            yield Difference(
                "added", f"{statement} has {', '.join(strange)}, which the text has not"
            )
        elif leaf.statement not in matched:
            yield Difference("added", f"{statement} is nothing that the text says")
