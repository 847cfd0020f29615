"""A text -> its clauses: stretches between connectives, how they are joined, which are exceptions.

`and`, `or`, `unless` and their like part clauses, and so does every comma, semicolon and full stop;
`while`, `with`, `not`, brackets and quotes do not. An exception comes after what it is an exception
of, or before all of the text and up to its first comma; an exception of an exception is not
understood. English only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.constitution.lint.stems import FREE, SIGNS, STRONG, stem, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence


Joint = Literal["", "and", "or", "unless"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of text between two connectives."""

    index: int
    """Its place among the clauses."""
    words: tuple[str, ...]
    """As they stand, small."""
    stems: frozenset[str]
    """Of the words that say something."""
    joint: Joint
    """How it is joined to the clause at `anchor`; empty for the first one, and where a comma or
    full stop alone parts them."""
    anchor: int
    """Index of the clause that it is joined to."""
    excepted: bool
    """Whether it is said in an exception."""


def pieces_of(text: str) -> list[tuple[set[str], list[str]]]:
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


def clauses_of(text: str) -> list[Clause]:
    """Cut a text into clauses, in its order, less those without a word that says something."""
    pieces = pieces_of(text)
    joints = _joints([signs for signs, _ in pieces])
    clauses: list[Clause] = []
    main, excepted = 0, False
    for index, (signs, words) in enumerate(pieces):
        before = excepted
        if "unless" in signs:
            excepted = True
        elif not signs.isdisjoint(STRONG) or ("," in signs and clauses and clauses[0].excepted):
            excepted = False
        # An exception speaks of the last thing that is none, and so does what follows it.
        anchor = main if "unless" in signs or before != excepted else index - 1
        if before and not excepted and all(clause.excepted for clause in clauses):
            joints[index] = "unless"  # the exception came first
        main = main if excepted else index
        stems = frozenset(stem(word) for word in words if word not in FREE)
        clauses.append(Clause(index, tuple(words), stems, joints[index], max(anchor, 0), excepted))
    return clauses


def _joints(signs: Sequence[set[str]]) -> list[Joint]:
    """Read how each piece is joined to the one before.

    In "A, B or C" the comma says "or" too, and so does the semicolon in "A; B; or C".
    """
    joints: list[Joint] = []
    following: dict[str, Joint] = {}
    for between in reversed(signs):
        joint: Joint = ""
        if "unless" in between:
            joint = "unless"
        elif "or" in between or "and" in between:
            joint = "or" if "or" in between else "and"
        elif len(between) == 1 and following.get(min(between)) != "unless":
            joint = following.get(min(between), "")
        joints.append(joint)
        if between.isdisjoint(STRONG):
            following[","] = joint
        else:
            following = {";": joint} if ";" in between else {}
    joints.reverse()
    return ["" if index == 0 else joint for index, joint in enumerate(joints)]
