"""Clauses of a text and statements of a condition -> which statement says which clause.

A clause is given the nearest statement that has all its words; one whose statement is taken makes
the taker move on, if that one can (augmenting paths of a bipartite matching). A file is written by
whoever wants to, so no step may cost the square of what a file can hold: statements are found by
their words, and where a search found nothing nobody searches again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, product
from typing import TYPE_CHECKING, Literal

from safejudge.constitution.lint.clauses import pieces_of
from safejudge.constitution.lint.stems import said_words
from safejudge.types import Condition, Step, placed_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.constitution.lint.clauses import Clause

Path = tuple[Step, ...]
"""From the root of a condition to a statement."""


# --- statements -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)  # one place is one leaf, and equal to no other
class Leaf:
    """One statement with its place in the condition."""

    index: int
    """Its place among the statements, in listed order."""
    path: Path
    statement: str
    stems: frozenset[str]

    @property
    def excepted(self) -> bool:
        """Whether an odd number of `none` stands above it."""
        return nones(self.path) % 2 == 1

    @cached_property
    def joined(self) -> bool:
        """Whether the statement itself has a connective."""
        return len(pieces_of(self.statement)) > 1


def leaves_of(condition: Condition) -> list[Leaf]:
    """Every statement of a condition, in listed order."""
    return [
        Leaf(index, path, leaf.statement, said_words(leaf.statement))
        for index, (path, leaf) in enumerate(placed_leaves(condition))
    ]


def nones(path: Path) -> int:
    """How many `none` stand on a path."""
    return sum(operator == "none" for operator, _ in path)


def operator_of(first: Path, second: Path) -> Literal["and", "or"]:
    """How two statements of the same side combine, by De Morgan where both are excepted below."""
    shared = 0
    while first[shared] == second[shared]:
        shared += 1
    says_or = first[shared][0] != "all"
    if nones(first[shared + 1 :]) % 2 == 1:
        says_or = not says_or
    return "or" if says_or else "and"


class Statements:
    """The statements of a condition, to be found by their words."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = leaves
        self._with: defaultdict[str, list[Leaf]] = defaultdict(list)
        for leaf in leaves:
            for stem in leaf.stems:
                self._with[stem].append(leaf)
        self._holding: dict[frozenset[str], list[Leaf]] = {}
        self._nearest: dict[frozenset[str], Leaf | None] = {}

    def holding(self, stems: frozenset[str]) -> list[Leaf]:
        """Those that have all these words, in listed order."""
        if stems not in self._holding:
            rarest = min((self._with.get(stem, []) for stem in stems), key=len, default=self.leaves)
            self._holding[stems] = [leaf for leaf in rarest if stems <= leaf.stems]
        return self._holding[stems]

    def has(self, stem: str) -> bool:
        """Whether any of them has a word."""
        return stem in self._with

    def nearest(self, stems: frozenset[str]) -> Leaf | None:
        """The first that has at least half of these words, and more than any other."""
        known = frozenset(filter(self.has, stems))
        if known not in self._nearest:
            counts = Counter(leaf for stem in known for leaf in self._with[stem])
            self._nearest[known] = max(
                counts, key=lambda leaf: (counts[leaf], -leaf.index), default=None
            )
        best = self._nearest[known]
        return best if best and 2 * len(best.stems & stems) >= len(stems) else None

    def sharing(self, stems: Iterable[str]) -> list[Leaf]:
        """Those that have any of these words, in listed order."""
        found = {leaf.index: leaf for stem in stems for leaf in self._with.get(stem, ())}
        return [found[index] for index in sorted(found)]


# --- clauses and statements -----------------------------------------------------------------------

Match = dict[int, tuple[Leaf, ...]]
"""By the place of a clause, the statements that say it; a clause that none says is left out."""


def matched(clauses: Sequence[Clause], statements: Statements) -> Match:
    """Give each clause a statement that has all its words, or several that share them."""
    matching = _Matching(statements)
    for clause in clauses:
        matching.settle(clause)
    match: Match = {clause.index: (leaf,) for leaf, clause in matching.owners.items()}
    taken = set(matching.owners)
    for clause in clauses:
        if clause.index in match:
            continue
        if group := _group(clause, statements, taken):
            match[clause.index] = group
            taken.update(group)
        elif joined := next(
            (leaf for leaf in statements.holding(clause.stems) if leaf.joined), None
        ):
            match[clause.index] = (joined,)
    return match


class _Matching:
    """Which clause has which statement, so far."""

    def __init__(self, statements: Statements) -> None:
        self.owners: dict[Leaf, Clause] = {}
        self._statements = statements
        self._ranked: dict[tuple[frozenset[str], bool], list[list[Leaf]]] = {}
        self._hopeless: set[Leaf] = set()
        """Statements from which no search reaches a free one, now or later."""

    def settle(self, clause: Clause) -> None:
        """Give a clause the nearest statement that holds it; its owner may have to take another."""
        tried: set[Leaf] = set()
        if not self._place(clause, tried):
            self._hopeless |= tried

    def _place(self, clause: Clause, tried: set[Leaf]) -> bool:
        for group in self._fitting(clause):
            free = next((leaf for leaf in group if leaf not in self.owners), None)
            if free is not None:
                self.owners[free] = clause
                return True
            for leaf in group:
                if leaf in tried or leaf in self._hopeless:
                    continue
                tried.add(leaf)
                if self._place(self.owners[leaf], tried):
                    self.owners[leaf] = clause
                    return True
        return False

    def _fitting(self, clause: Clause) -> list[list[Leaf]]:
        """Statements that hold a clause, the nearest first; equally near ones stand together."""
        key = clause.stems, clause.excepted
        if key not in self._ranked:

            def distance(leaf: Leaf) -> tuple[bool, int]:
                return leaf.excepted != clause.excepted, len(leaf.stems)

            holding = sorted(self._statements.holding(clause.stems), key=distance)
            self._ranked[key] = [list(group) for _, group in groupby(holding, distance)]
        return self._ranked[key]


def _group(clause: Clause, statements: Statements, taken: set[Leaf]) -> tuple[Leaf, ...]:
    """Several statements that all must hold and say a clause together; none if there are not."""
    if not all(map(statements.has, clause.stems)):
        return ()
    left = set(clause.stems)
    group: list[Leaf] = []
    for leaf in statements.sharing(clause.stems):
        if leaf in taken or leaf.excepted != clause.excepted or left.isdisjoint(leaf.stems):
            continue
        if all(operator_of(leaf.path, member.path) == "and" for member in group):
            left -= leaf.stems
            group.append(leaf)
    return () if left else tuple(group)


# --- statements that stand in several branches ----------------------------------------------------

_ARRANGEMENTS = 100
"""Most ways that are tried."""


def arrangements(statements: Statements, match: Match) -> Iterator[Match]:
    """The ways to share out statements that stand in several branches; the first is the match."""
    yield match
    copies: defaultdict[str, list[Leaf]] = defaultdict(list)
    for leaf in statements.leaves:
        copies[leaf.statement].append(leaf)
    single = [
        (index, copies[leaves[0].statement]) for index, leaves in match.items() if len(leaves) == 1
    ]
    indices, choices = zip(*single, strict=True) if single else ((), ())
    for chosen in islice(product(*choices), _ARRANGEMENTS):
        arrangement = match | {index: (leaf,) for index, leaf in zip(indices, chosen, strict=True)}
        if len(set(chosen)) == len(chosen) and _nested(arrangement):
            yield arrangement


def _nested(match: Match) -> bool:
    """Whether every branch of a condition is said in one stretch of the text."""
    paths = [match[index][0].path for index in sorted(match)]
    for depth in range(1, max(map(len, paths)) + 1):
        stretches = [path for path, _ in groupby(path[:depth] for path in paths)]
        if len(stretches) > len(set(stretches)):
            return False
    return True
