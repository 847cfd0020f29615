"""Whether a condition says what its text says: words, counts, relations, alternatives, exceptions.

Takes the objective text of a rule and a condition; gives every difference in words for whoever has
to mend it. The text is cut into clauses at its connectives, each clause is matched to the
statements that hold its words, and the connectives between clauses are compared with the operators
between their statements. English only; it does not know what words mean, so a condition in other
words than its text is reported, and one that binds the same words differently is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.strict_yaml import show
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Difference",
    "covers",
    "differences",
    "is_count",
    "is_relation",
    "losses",
    "read_back",
    "said_words",
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
    clauses, found = _clauses(text), list(_leaves(condition))
    match = _matched(clauses, found)
    return [
        *_unsaid(clauses, found, match),
        *_wrong_side(clauses, match),
        *_wrong_operator(clauses, match),
        *_added(text, found, match),
    ]


def covers(text: str, condition: Condition) -> list[str]:
    """For each statement of a condition, in listed order, the words of the text that it covers."""
    clauses, found = _clauses(text), list(_leaves(condition))
    match = _matched(clauses, found)
    told = []
    for leaf in found:
        own = [clause for clause in clauses if leaf in match.get(clause.place, ())]
        words = [w for c in own for w in c.words if w in _FREE or _stem(w) in leaf.stems]
        told.append(" ".join(words))
    return told


def losses(text: str, rewritten: str) -> list[Difference]:
    """Find exceptions and counts of a text that another wording of it does not have."""
    found = []
    if _EXCEPTION.search(text.casefold()) and not _EXCEPTION.search(rewritten.casefold()):
        problem = f"{show(text, 200)} has an exception, and the new wording has none"
        found.append(Difference("exception", problem))
    counts = said_words(text) & _COUNTS
    lost = sorted(counts - said_words(rewritten))
    if lost:
        found.append(Difference("count", f"the new wording lacks {', '.join(map(show, lost))}"))
    return found


def said_words(text: str) -> frozenset[str]:
    """Stems of the words of a text that say something: no articles, no connectives."""
    words = (word for word in _tokens(text) if word not in _SIGNS)
    return frozenset(_stem(word) for word in words if word not in _FREE)


def is_count(word: str) -> bool:
    """Whether a word counts: three, every, at *least* two."""
    return _stem(word.casefold()) in _COUNTS


def is_relation(word: str) -> bool:
    """Whether a word relates two things in space: on, behind, without."""
    return word.casefold() in _RELATIONS


def read_back(condition: Condition) -> str:
    """Put a condition into one English sentence."""
    said = _prose(condition).strip()
    return f"{said[:1].upper()}{said[1:]}."


# --- words --------------------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FREE = _words(
    "a an the is are was were be been being am it its this that these those there which who whose "
    "whom has have had do does did of to as visible seen shown depicted present view picture image "
    "photo photograph appear appears some any somewhere one either both then also while when where "
    "if whether because so such for can could"
)
"""Words that a statement may have or lack without saying anything else."""

_RELATIONS = _words(
    "on in inside outside under below above over behind beside next near within between against "
    "towards toward at through with without from across around along off into onto by among "
    "underneath atop"
)
_NUMBERS = _words(
    "two three four five six seven eight nine ten twelve twenty hundred dozen several half least "
    "most exactly every only all"
)

_IRREGULAR = {
    "people": "person", "persons": "person", "children": "child", "men": "man", "women": "woman",
    "babies": "baby", "knives": "knife", "feet": "foot", "teeth": "tooth", "lying": "lie",
    "lies": "lie", "dying": "die", "dies": "die", "tying": "tie", "held": "hold", "worn": "wear",
    "lit": "light", "broken": "break", "torn": "tear", "shot": "shoot", "bleeding": "blood",
}  # fmt: skip


def _stem(word: str) -> str:
    """Cut endings, so that holding, holds and hold are one word; crude, and equal on both sides."""
    word = _IRREGULAR.get(word, word).removesuffix("'s").removesuffix("'")
    for ending in ("ies", "ing", "ed", "es", "s"):
        kept = word[: -len(ending)]
        if word.endswith(ending) and len(kept) >= 3 and not word.endswith(("ss", "us", "is")):
            word = kept + "y" * (ending == "ies")
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e")


_COUNTS = frozenset(map(_stem, _NUMBERS)) | {str(number) for number in range(1000)}
"""Stems of words that count."""


def _tokens(text: str) -> list[str]:
    """Words, small, and the signs that part clauses."""
    text = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("and/or", "or")
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*|[,;.:]", text)  # noqa: RUF001


_PHRASES = [
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\bin (?:the|this) (?:picture|image|photo|photograph|scene)\b", ""),
        (r"\b(?:but not|other than|apart from|except(?: if| when| where| for)?|excluding)\b",
         "unless"),
        (r"\bas well as\b", "and"),
        (r"\bbut\b", "and"),
        (r"\bnor\b", "or"),
        (r"(?<=\d)\.(?=\d)", "-"),
    )
]  # fmt: skip
_EXCEPTION = re.compile(
    r"\b(?:unless|except(?:ions?|ing)?|excluding|other than|apart from|but not)\b"
)


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


_STRONG = frozenset({";", ".", ":"})
"""Signs that end an exception."""
_SIGNS = frozenset({"and", "or", "unless", ",", *_STRONG})


def _pieces(text: str) -> list[tuple[set[str], list[str]]]:
    """Cut a text at its connectives: what stands before each piece, and its words."""
    pieces: list[tuple[set[str], list[str]]] = [(set(), [])]
    for token in _tokens(text):
        if token not in _SIGNS:
            pieces[-1][1].append(token)
        elif any(word not in _FREE for word in pieces[-1][1]):
            pieces.append(({token}, []))
        else:
            pieces[-1][0].add(token)
            pieces[-1][1].clear()
    return [(signs, words) for signs, words in pieces if any(w not in _FREE for w in words)]


def _clauses(text: str) -> list[_Clause]:
    pieces = _pieces(text)
    joints = _joints([signs for signs, _ in pieces])
    clauses: list[_Clause] = []
    main, excepted = 0, False
    for place, (signs, words) in enumerate(pieces):
        before = excepted
        if "unless" in signs:
            excepted = True
        elif not signs.isdisjoint(_STRONG) or ("," in signs and clauses and clauses[0].excepted):
            excepted = False
        # An exception speaks of the last thing that is none, and so does what follows it.
        anchor = main if "unless" in signs or before != excepted else place - 1
        main = main if excepted else place
        stems = frozenset(_stem(word) for word in words if word not in _FREE)
        clauses.append(_Clause(place, tuple(words), stems, joints[place], max(anchor, 0), excepted))
    return clauses


def _joints(signs: Sequence[set[str]]) -> list[Joint]:
    """Read how each piece is joined to the one before; in "A, B or C" the comma says "or" too."""
    joints: list[Joint] = []
    following: Joint = ""
    for found in reversed(signs):
        joint: Joint = ""
        if "unless" in found:
            joint = "unless"
        elif "or" in found or "and" in found:
            joint = "or" if "or" in found else "and"
        elif found == {","} and following != "unless":
            joint = following
        joints.append(joint)
        following = joint if found.isdisjoint(_STRONG) else ""
    joints.reverse()
    return ["" if place == 0 else joint for place, joint in enumerate(joints)]


# --- statements ---------------------------------------------------------------------------------

Way = tuple[tuple[str, int], ...]
"""From the root of a condition to a statement: operator and place in its list, step by step."""


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


def _leaves(condition: Condition, way: Way = ()) -> Iterator[_Leaf]:
    match condition:
        case Precondition(statement=statement):
            yield _Leaf(way, statement, said_words(statement))
        case AllOf(all=parts):
            for place, part in enumerate(parts):
                yield from _leaves(part, (*way, ("all", place)))
        case AnyOf(any=parts):
            for place, part in enumerate(parts):
                yield from _leaves(part, (*way, ("any", place)))
        case NoneOf(none=parts):
            for place, part in enumerate(parts):
                yield from _leaves(part, (*way, ("none", place)))


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
    return match


def _settle(
    clause: _Clause, found: Sequence[_Leaf], owners: dict[_Leaf, _Clause], tried: set[_Leaf]
) -> bool:
    """Give a clause the nearest statement that holds it; its owner may have to take another."""
    fitting = [leaf for leaf in found if clause.stems <= leaf.stems and leaf not in tried]
    fitting.sort(key=lambda leaf: (leaf.excepted != clause.excepted, len(leaf.stems)))
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
    return not {"and", "or"}.isdisjoint(_tokens(leaf.statement))


# --- what differs -------------------------------------------------------------------------------


def _unsaid(
    clauses: Sequence[_Clause], found: Sequence[_Leaf], match: Match
) -> Iterator[Difference]:
    taken = {leaf for leaves in match.values() for leaf in leaves}
    for clause in clauses:
        if clause.place in match:
            continue
        said = show(" ".join(clause.words), 120)
        near = _nearest(clause, [leaf for leaf in found if leaf not in taken])
        lost = clause.stems - near.stems if near else frozenset()
        if near is None or not lost:
            kind: Kind = "exception" if clause.excepted else "statement"
            yield Difference(kind, f"the text says {said}, and no statement of its own says so")
            continue
        words = [show(word) for word in clause.words if _stem(word) in lost]
        kind = "word"
        if lost & _COUNTS:
            kind = "count"
        elif lost <= {_stem(word) for word in _RELATIONS}:
            kind = "relation"
        yield Difference(
            kind, f"of {said} the statement {show(near.statement, 120)} lacks {', '.join(words)}"
        )


def _nearest(clause: _Clause, spare: Sequence[_Leaf]) -> _Leaf | None:
    """The spare statement that says at least half of a clause, and most of it."""
    best = max(spare, key=lambda leaf: len(leaf.stems & clause.stems), default=None)
    near = best is not None and 2 * len(best.stems & clause.stems) >= len(clause.stems)
    return best if near else None


def _wrong_side(clauses: Sequence[_Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        for leaf in match.get(clause.place, ()):
            if leaf.excepted != clause.excepted:
                side = "an exception" if clause.excepted else "no exception"
                yield Difference(
                    "exception",
                    f"{show(leaf.statement, 120)} is {side} in the text, and "
                    f"{'stands under no `none`' if clause.excepted else 'stands under `none`'}",
                )


def _wrong_operator(clauses: Sequence[_Clause], match: Match) -> Iterator[Difference]:
    for clause in clauses:
        pair = match.get(clause.place, ()), match.get(clause.anchor, ())
        if not clause.joint or not pair[0] or not pair[1]:
            continue
        leaf, other = pair[0][0], pair[1][0]
        both = f"{show(other.statement, 120)} and {show(leaf.statement, 120)}"
        if leaf == other:
            if clause.joint == "or":
                said = show(leaf.statement, 120)
                yield Difference("alternative", f"{said} holds an `or` that belongs under `any`")
        elif clause.joint == "unless":
            if leaf.excepted and not other.excepted and not _binds(leaf.way, other.way):
                yield Difference("exception", f"the exception of {both} stands beside, not with it")
        elif leaf.excepted == other.excepted and _operator(leaf.way, other.way) != clause.joint:
            wanted = "alternatives (`any`)" if clause.joint == "or" else "both wanted (`all`)"
            yield Difference("alternative", f"the text says {clause.joint}: {both} are {wanted}")


def _binds(exception: Way, other: Way) -> bool:
    """Whether an exception and what it is an exception of stand in one `all`."""
    shared = 0
    while exception[shared] == other[shared]:
        shared += 1
    return exception[shared][0] == "all"


def _added(text: str, found: Sequence[_Leaf], match: Match) -> Iterator[Difference]:
    known = said_words(text)
    taken = {leaf.statement for leaves in match.values() for leaf in leaves}
    for leaf in found:
        strange = [w for w in _tokens(leaf.statement) if w not in _FREE and w not in _SIGNS]
        strange = [show(word) for word in strange if _stem(word) not in known]
        said = show(leaf.statement, 120)
        if strange:
            yield Difference("added", f"{said} has {', '.join(strange)}, which the text has not")
        elif leaf.statement not in taken:
            yield Difference("added", f"{said} is nothing that the text says")


# --- prose --------------------------------------------------------------------------------------


def _prose(condition: Condition) -> str:
    match condition:
        case Precondition(statement=statement):
            return statement
        case AllOf(all=parts):
            wanted = [_prose(part) for part in parts if not isinstance(part, NoneOf)]
            exceptions = [_prose(part) for part in parts if isinstance(part, NoneOf)]
            return f"{', and '.join(wanted)}{''.join(exceptions)}"
        case AnyOf(any=parts):
            deep = any("unless" in _prose(part) for part in parts)
            return "either " + ("; or " if deep else " or ").join(map(_prose, parts))
        case NoneOf(none=parts):
            return ", unless " + " or ".join(map(_prose, parts))
