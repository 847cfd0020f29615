"""Whether a condition says what its text says: words, counts, relations, alternatives, exceptions.

Takes the objective text of a rule and a condition; gives every difference in words for whoever has
to mend it. The text is cut into clauses at its connectives, each clause is matched to the
statements that hold its words, and the connectives between clauses are compared with the operators
between their statements.

English only, and no grammar: it does not know what words mean, so a condition in other words than
its text is reported, and one that binds the same words differently is not: who does it to whom,
"A and B or C", what an exception in the middle speaks of. What parts clauses: `clauses`; which
statement says which: `matching`; what other words of a rule lose: `rewording`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.constitution.lint.clauses import clauses_of
from safejudge.constitution.lint.matching import (
    Statements,
    arrangements,
    leaves_of,
    matched,
    nones,
    operator_of,
)
from safejudge.constitution.lint.stems import (
    FREE,
    SIGNS,
    is_count,
    is_relation,
    said_words,
    stem,
    tokens,
)
from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.constitution.lint.clauses import Clause
    from safejudge.constitution.lint.matching import Leaf, Match, Path
    from safejudge.types import Condition

__all__ = [
    "Difference",
    "contradictions",
    "covers",
    "differences",
]

Kind = Literal["word", "count", "relation", "statement", "alternative", "exception", "added"]


class Difference(NamedTuple):
    """One thing that a text says and a condition does not, or the other way round."""

    kind: Kind
    """What got lost: a word, count or relation of a statement, a whole statement, an alternative
    (or its opposite), an exception; `added` for what only the condition says."""
    problem: str
    """The same as a sentence."""
    instead: str = "an objective and a condition that say the same"
    """What to write instead."""


# --- public -------------------------------------------------------------------------------------


def differences(text: str, condition: Condition) -> list[Difference]:
    """Compare a text with a condition; empty if nothing was found that differs."""
    clauses, statements = clauses_of(text), Statements(leaves_of(condition))
    match = _matched(clauses, statements)
    return [
        *_unsaid(clauses, statements.leaves, match),
        *_misplaced(clauses, match),
        *_added(text, statements.leaves, match),
    ]


def contradictions(text: str, condition: Condition) -> list[Difference]:
    """Find where a condition combines its statements otherwise than its text does, words aside.

    Alternatives that are required, requirements of which one is enough, and exceptions that are
    none: what can be told where people wrote a condition in words of their own.
    """
    clauses, leaves = clauses_of(text), leaves_of(condition)
    wrong = _misplaced(clauses, _matched(clauses, Statements(leaves)))
    if any(clause.excepted for clause in clauses) and not any(nones(leaf.path) for leaf in leaves):
        exception = next(" ".join(clause.words) for clause in clauses if clause.excepted)
        problem = "the text has an exception, and nothing is under `none`"
        instead = f"`none:` and below it `- {exception}`; or the objective without it"
        wrong.append(Difference("exception", problem, instead))
    return wrong


def covers(text: str, condition: Condition) -> list[str]:
    """For each statement of a condition, in listed order, the words of the text that it covers."""
    clauses, leaves = clauses_of(text), leaves_of(condition)
    match = _matched(clauses, Statements(leaves))
    own: defaultdict[Leaf, list[Clause]] = defaultdict(list)
    by_words: defaultdict[str, list[Clause]] = defaultdict(list)
    for clause in clauses:
        saying = match.get(clause.index, ())
        for leaf in saying:
            own[leaf].append(clause)
        for statement in _statements(saying):
            by_words[statement].append(clause)
    covered = []
    for leaf in leaves:
        matching = own[leaf] or by_words[leaf.statement]
        words = [w for c in matching for w in c.words if w in FREE or stem(w) in leaf.stems]
        covered.append(" ".join(words))
    return covered


# --- clauses and statements ---------------------------------------------------------------------


def _matched(clauses: Sequence[Clause], statements: Statements) -> Match:
    """The match, or of statements in several branches the arrangement that fits the text best."""
    match = matched(clauses, statements)
    if not _misplaced(clauses, match):
        return match
    return min(
        arrangements(statements, match), key=lambda candidate: len(_misplaced(clauses, candidate))
    )


def _statements(leaves: Iterable[Leaf]) -> set[str]:
    return {leaf.statement for leaf in leaves}


# --- what differs -------------------------------------------------------------------------------


def _unsaid(
    clauses: Sequence[Clause], leaves: Sequence[Leaf], match: Match
) -> Iterator[Difference]:
    taken = {leaf for saying in match.values() for leaf in saying}
    spare = Statements([leaf for leaf in leaves if leaf not in taken])
    for clause in clauses:
        if clause.index in match:
            continue
        clause_text = quoted(" ".join(clause.words), 120)
        near = spare.nearest(clause.stems)
        lost = clause.stems - near.stems if near else frozenset()
        if near is None or not lost:
            kind: Kind = "exception" if clause.excepted else "statement"
            place = "under `none:`" if clause.excepted else "in the condition"
            yield Difference(
                kind,
                f"the text says {clause_text}, and no statement of its own says so",
                f"`- {' '.join(clause.words)}` {place}; or the objective without it",
            )
            continue
        words = [word for word in clause.words if stem(word) in lost]
        kind = "word"
        if any(map(is_count, words)):
            kind = "count"
        elif all(map(is_relation, words)):
            kind = "relation"
        lost_words = ", ".join(map(quoted, words))
        yield Difference(
            kind,
            f"of {clause_text} the statement {quoted(near.statement, 120)} lacks {lost_words}",
            f"the statement with {lost_words}; or the objective without",
        )


def _misplaced(clauses: Sequence[Clause], match: Match) -> list[Difference]:
    return [*_wrong_side(clauses, match), *_wrong_operator(clauses, match)]


def _wrong_side(clauses: Sequence[Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        for leaf in match.get(clause.index, ()):
            if leaf.excepted != clause.excepted:
                statement = quoted(leaf.statement, 120)
                side = "an exception" if clause.excepted else "no exception"
                place = "stands under no `none`" if clause.excepted else "stands under `none`"
                instead = (
                    f"`none:` and below it {statement}; or the objective without its exception"
                    if clause.excepted
                    else f"{statement} outside `none`; or in the objective after `unless`"
                )
                problem = f"{statement} is {side} in the text, and {place}"
                yield Difference("exception", problem, instead)


def _wrong_operator(clauses: Sequence[Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        pair = match.get(clause.index, ()), match.get(clause.anchor, ())
        if not clause.joint or not pair[0] or not pair[1]:
            continue
        leaf, anchor = pair[0][0], pair[1][0]
        if leaf == anchor:
            if clause.joint == "or" and "or" in tokens(leaf.statement):
                statement = quoted(leaf.statement, 120)
                problem = f"{statement} holds an `or` that belongs under `any`"
                instead = "`any:` and below it one statement for each side of the `or`"
                yield Difference("alternative", problem, instead)
        elif clause.joint == "unless":
            if leaf.excepted != anchor.excepted and not _binds(leaf.path, anchor.path):
                pair_text = _two_statements(anchor, leaf)
                problem = f"the exception of {pair_text} stands beside, not with it"
                instead = (
                    f"`all:` with {quoted(anchor.statement, 120)} and, beside it, `none:` with "
                    f"{quoted(leaf.statement, 120)}"
                )
                yield Difference("exception", problem, instead)
        elif (
            leaf.excepted == anchor.excepted and operator_of(leaf.path, anchor.path) != clause.joint
        ):
            meaning = "alternatives (`any`)" if clause.joint == "or" else "both wanted (`all`)"
            problem = f"the text says {clause.joint}: {_two_statements(anchor, leaf)} are {meaning}"
            wanted, other = ("any", "and") if clause.joint == "or" else ("all", "or")
            if leaf.excepted:  # by De Morgan a list of exceptions is one of alternatives
                wanted = "none" if clause.joint == "or" else "none:` with `all"
            instead = f"both below `{wanted}:`; or `{other}` between them in the objective"
            yield Difference("alternative", problem, instead)


def _two_statements(first: Leaf, second: Leaf) -> str:
    return f"{quoted(first.statement, 120)} and {quoted(second.statement, 120)}"


def _binds(exception: Path, exempted: Path) -> bool:
    """Whether an exception and what it is an exception of stand in one `all`."""
    shared = 0
    while exception[shared] == exempted[shared]:
        shared += 1
    return exception[shared][0] == "all"


def _added(text: str, leaves: Sequence[Leaf], match: Match) -> Iterator[Difference]:
    stems = said_words(text)
    saying = _statements(leaf for group in match.values() for leaf in group)
    for leaf in leaves:
        strange = [w for w in tokens(leaf.statement) if w not in FREE and w not in SIGNS]
        strange = [quoted(word) for word in strange if stem(word) not in stems]
        statement = quoted(leaf.statement, 120)
        if strange:
            words = ", ".join(strange)
            problem = f"{statement} has {words}, which the text has not"
            yield Difference("added", problem, f"{words} in the objective too, or in neither")
        elif leaf.statement not in saying:
            problem = f"{statement} is nothing that the text says"
            yield Difference("added", problem, "the same in the objective, or no such statement")
