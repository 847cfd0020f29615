"""Conditions that no picture or every picture meets, and exceptions that swallow their rule.

Takes a condition; gives flaws with their place in it. Equal statements are one variable, and a
statement that another plainly contains follows from it ("a person is holding a gun": a person is
visible, a gun is visible); every other combination counts as possible. It does not know what
statements mean otherwise, nor how likely a picture is.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from safejudge.constitution.lint.words import Flaw, denies
from safejudge.text import quoted
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, leaves, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.constitution.strict_yaml import Where

MAX_STATEMENTS = 12
"""Conditions with more distinct statements are not looked at."""


# --- public -------------------------------------------------------------------------------------


def constant(condition: Condition) -> bool | None:
    """Whether a condition is met by every picture (True) or none (False); None: it depends."""
    names = _names(condition)
    return None if len(names) > MAX_STATEMENTS else _World(names).constant(condition)


def condition_flaws(condition: Condition) -> Iterator[tuple[Where, Flaw]]:
    """Find the smallest parts of a condition that are always or never met, with their places.

    A place is the way from the condition down: ("all", 1, "none", 0).
    """
    names = _names(condition)
    if len(names) > MAX_STATEMENTS:
        return
    world = _World(names)
    outcome = world.constant(condition)
    for path, part in _constant_parts(condition, (), world):
        met = world.constant(part)
        subject = "its condition" if not path else "a part of its condition"
        swallowed = None if met else _swallowing(part, world)
        if swallowed:
            inner, exception = swallowed
            problem = (
                f"its exception {_in_words(exception)} holds whenever the rest does, {_so(outcome)}"
            )
            advice = "an exception that can be absent while the rest holds"
            yield (*path, *inner), Flaw(problem, advice)
        elif met:
            problem = f"{subject} is always met, {_so(outcome)}"
            yield path, Flaw(problem, "what must be visible, without its own opposite beside it")
        else:
            problem = f"{subject} is never met, {_so(outcome)}"
            yield path, Flaw(problem, "statements that one picture can meet together")


# --- truth tables -------------------------------------------------------------------------------


class _World:
    """Every combination of answers at once: bit k of a number stands for combination k.

    Combinations against a statement that follows from another are left out.
    """

    def __init__(self, names: list[str]) -> None:
        everything = (1 << (1 << len(names))) - 1
        # The lowest 2^place bits of every 2^(place + 1), moved to the upper half: answered yes.
        self.column = {
            name: everything // ((1 << (1 << index)) + 1) << (1 << index)
            for index, name in enumerate(names)
        }
        self.possible = everything
        for first in names:
            for second in names:
                if first != second and _follows(first, second):
                    self.possible &= ~self.column[first] | self.column[second]

    def table(self, condition: Condition) -> int:
        """The possible combinations that meet the condition."""
        match condition:
            case Precondition():
                return self.column[_name(condition)] & self.possible
            case AllOf(all=parts):
                return reduce(and_, map(self.table, parts))
            case AnyOf(any=parts):
                return reduce(or_, map(self.table, parts))
            case NoneOf(none=parts):
                return self.possible & ~reduce(or_, map(self.table, parts))

    def constant(self, condition: Condition) -> bool | None:
        table = self.table(condition)
        return True if table == self.possible else False if table == 0 else None


def _names(condition: Condition) -> list[str]:
    return list(dict.fromkeys(map(_name, leaves(condition))))


def _name(leaf: Precondition) -> str:
    return " ".join(leaf.statement.casefold().split()).rstrip(" .")


def _constant_parts(
    condition: Condition, path: Where, world: _World
) -> Iterator[tuple[Where, Condition]]:
    """The smallest parts that are always or never met: whatever is around them is not to blame."""
    blamed = False
    for step, part in steps(condition):
        for inner in _constant_parts(part, (*path, *step), world):
            blamed = True
            yield inner
    if not blamed and world.constant(condition) is not None:
        yield path, condition


def _swallowing(condition: Condition, world: _World) -> tuple[Where, Condition] | None:
    """Find the exception in an `all` that holds whenever the parts without `none` do."""
    parts = list(steps(condition)) if isinstance(condition, AllOf) else []
    required = [world.table(part) for _, part in parts if not isinstance(part, NoneOf)]
    remainder = reduce(and_, required, world.possible)
    if not required or remainder == 0:
        return None
    for step, part in parts:
        if isinstance(part, NoneOf) and not remainder & world.table(part):
            for inner, exception in steps(part):
                if not remainder & ~world.table(exception):
                    return _narrowed((*step, *inner), exception, remainder, world)
            return step, AnyOf(any=part.none)
    return None


def _narrowed(
    path: Where, exception: Condition, remainder: int, world: _World
) -> tuple[Where, Condition]:
    """Of alternatives take one that holds whenever the rest does, if one is enough."""
    for step, part in steps(exception):
        if isinstance(exception, AnyOf) and not remainder & ~world.table(part):
            return _narrowed((*path, *step), part, remainder, world)
    return path, exception


def _in_words(condition: Condition) -> str:
    match condition:
        case Precondition():
            return quoted(condition.statement)
        case AllOf(all=parts):
            return " and ".join(dict.fromkeys(map(_in_words, parts)))
        case AnyOf(any=parts):
            return " or ".join(dict.fromkeys(map(_in_words, parts)))
        case NoneOf(none=parts):
            return "none of " + ", ".join(dict.fromkeys(map(_in_words, parts)))


def _so(outcome: bool | None) -> str:
    if outcome is None:
        return "so that part changes nothing"
    return "so every picture violates it" if outcome else "so no picture violates it"


# --- what follows from a wording ------------------------------------------------------------------

_SINGLE = ("a", "an", "the", "one", "another")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = dict.fromkeys(_SINGLE, 1) | {word: count for count, word in enumerate(_NUMBERS, start=2)}
_ONE_OF = {
    "people": "person", "persons": "person", "children": "child", "men": "man", "women": "woman",
    "animals": "animal", "babies": "baby", "knives": "knife", "buses": "bus",
}  # fmt: skip
# Kinds about which nobody argues; not so a knife, which may be a weapon or a tool.
_KIND = {
    **dict.fromkeys(
        ("man", "woman", "child", "boy", "girl", "baby", "adult", "worker", "doctor", "nurse"),
        "person",
    ),
    **dict.fromkeys(("firefighter", "soldier", "cyclist", "driver", "police officer"), "person"),
    **dict.fromkeys(("dog", "cat", "horse", "cow", "pig", "sheep", "bird"), "animal"),
    **dict.fromkeys(("car", "truck", "bus", "van", "motorcycle"), "vehicle"),
}
# A painted man and a drawing of a man are not there as a man is.
_UNREAL = frozenset(
    ("toy", "fake", "drawn", "painted", "cartoon", "plastic", "paper", "wooden", "stuffed", "of")
)
_PRESENT = re.compile(
    r"(.+) (?:is|are) (?:visible|present|shown|seen|in the (?:picture|image|scene))"
    r"|there (?:is|are) (.+)|the (?:picture|image|scene|photo) shows (.+)"
)
_RELATION = r"on|in|inside|outside|with|without|at|under|behind|beside|next to|near|against"
_FURTHER = re.compile(rf" (?:{_RELATION}) ")
_END = re.compile(
    rf" (?:is|are|was|were|has|have|wears|holds|who|that|which|whose|from|to|over|above|below|by|"
    rf"into|onto|{_RELATION}|\w+ing)(?![\w-]).*"
)
# After these a thing is there; not after "looking for", "a drawing of", "missing".
_BEFORE = re.compile(
    r" (?:holding|wearing|riding|carrying|touching|hugging|kissing|eating|driving|pulling|pushing|"
    r"lifting|smoking|using|hitting|kicking|punching|biting|on|in|at|under|behind|beside|inside|"
    r"next to) "
)
_OPEN = re.compile(r"\b(?:or|if|like|as|looks|seems)\b")

Counted = tuple[int, str]
"""The least number of a thing, and its name."""


def _follows(premise: str, conclusion: str) -> bool:
    """Whether the second statement holds wherever the first does, by its wording alone."""
    premise, conclusion = (
        re.sub(r"\bsome(?:body|one)\b", "a person", text) for text in (premise, conclusion)
    )
    # That a helmet is lacking says nothing against the person.
    if denies(premise.replace("without", "with")) or denies(conclusion) or _OPEN.search(premise):
        return False
    if premise == conclusion:
        return True
    if premise.startswith(conclusion) and _FURTHER.match(premise, len(conclusion)):
        return True  # "... is holding a gun" and "... is holding a gun in a street"
    match = _PRESENT.fullmatch(conclusion)
    phrase = next(filter(None, match.groups())) if match else ""
    noun = _object(phrase)
    # Three people are at least two, but hardly "two people"; a bare plural sets no bound.
    bound = " " not in phrase or phrase.startswith(("at least ", *(f"{word} " for word in _SINGLE)))
    return (
        noun is not None
        and bound
        and any(_is_a(candidate, noun) for candidate in _objects(premise))
    )


def _objects(text: str) -> Iterator[Counted]:
    """Name the things that a statement says are there."""
    match = _PRESENT.fullmatch(text)
    phrases = [next(filter(None, match.groups())) if match else text]
    phrases += [text[relation.end() :] for relation in _BEFORE.finditer(text)]
    for phrase in phrases:
        noun = _object(_END.sub("", phrase))
        if noun is not None:
            yield noun


def _object(phrase: str) -> Counted | None:
    """Read a phrase such as "at least two people"; None for one that names no single thing."""
    words = phrase.removeprefix("at least ").removeprefix("exactly ").split()
    if len(words) == 1 and words[0] in _ONE_OF:
        return 2, _ONE_OF[words[0]]
    if not 2 <= len(words) <= 4 or _END.search(phrase) or "and" in words:
        return None
    count = int(words[0]) if words[0].isdecimal() else _COUNTS.get(words[0], 0)
    last = words[-1] if count < 2 else _ONE_OF.get(words[-1], words[-1].removesuffix("s"))
    return (count, " ".join([*words[1:-1], last])) if count else None


def _is_a(candidate: Counted, kind: Counted) -> bool:
    """Whether a thing is one of another kind, in at least that number."""
    words = candidate[1].split()
    kinds = {candidate[1], _KIND.get(candidate[1])}
    if _UNREAL.isdisjoint(words) and "person" in (words[-1], _KIND.get(words[-1])):
        kinds |= {words[-1], "person"}  # a masked man; other names change: a sea horse, a hot dog
    return candidate[0] >= kind[0] and kind[1] in kinds
