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
    whole = world.constant(condition)
    for place, part in _constant_parts(condition, (), world):
        met = world.constant(part)
        about = "its condition" if not place else "a part of its condition"
        swallowed = None if met else _swallowing(part, world)
        if swallowed:
            way, exception = swallowed
            problem = f"its exception {_said(exception)} holds whenever the rest does, {_so(whole)}"
            advice = "an exception that can be absent while the rest holds"
            yield (*place, *way), Flaw(problem, advice)
        elif met:
            problem = f"{about} is always met, {_so(whole)}"
            yield place, Flaw(problem, "what must be visible, without its own opposite beside it")
        else:
            problem = f"{about} is never met, {_so(whole)}"
            yield place, Flaw(problem, "statements that one picture can meet together")


# --- truth tables -------------------------------------------------------------------------------


class _World:
    """Every combination of answers at once: bit k of a number stands for combination k.

    Combinations against a statement that follows from another are left out.
    """

    def __init__(self, names: list[str]) -> None:
        everything = (1 << (1 << len(names))) - 1
        # The lowest 2^place bits of every 2^(place + 1), moved to the upper half: answered yes.
        self.column = {
            name: everything // ((1 << (1 << place)) + 1) << (1 << place)
            for place, name in enumerate(names)
        }
        self.possible = everything
        for one in names:
            for other in names:
                if one != other and _follows(one, other):
                    self.possible &= ~self.column[one] | self.column[other]

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
    condition: Condition, place: Where, world: _World
) -> Iterator[tuple[Where, Condition]]:
    """The smallest parts that are always or never met: whatever is around them is not to blame."""
    found = False
    for way, part in steps(condition):
        for inner in _constant_parts(part, (*place, *way), world):
            found = True
            yield inner
    if not found and world.constant(condition) is not None:
        yield place, condition


def _swallowing(condition: Condition, world: _World) -> tuple[Where, Condition] | None:
    """Find the exception in an `all` that holds whenever the parts without `none` do."""
    parts = list(steps(condition)) if isinstance(condition, AllOf) else []
    required = [world.table(part) for _, part in parts if not isinstance(part, NoneOf)]
    rest = reduce(and_, required, world.possible)
    if not required or rest == 0:
        return None
    for way, part in parts:
        if isinstance(part, NoneOf) and not rest & world.table(part):
            for inner, exception in steps(part):
                if not rest & ~world.table(exception):
                    return _narrowed((*way, *inner), exception, rest, world)
            return way, AnyOf(any=part.none)
    return None


def _narrowed(
    place: Where, exception: Condition, rest: int, world: _World
) -> tuple[Where, Condition]:
    """Of alternatives take one that holds whenever the rest does, if one is enough."""
    for way, part in steps(exception):
        if isinstance(exception, AnyOf) and not rest & ~world.table(part):
            return _narrowed((*place, *way), part, rest, world)
    return place, exception


def _said(condition: Condition) -> str:
    match condition:
        case Precondition():
            return quoted(condition.statement)
        case AllOf(all=parts):
            return " and ".join(dict.fromkeys(map(_said, parts)))
        case AnyOf(any=parts):
            return " or ".join(dict.fromkeys(map(_said, parts)))
        case NoneOf(none=parts):
            return "none of " + ", ".join(dict.fromkeys(map(_said, parts)))


def _so(whole: bool | None) -> str:
    if whole is None:
        return "so that part changes nothing"
    return "so every picture violates it" if whole else "so no picture violates it"


# --- what follows from a wording ------------------------------------------------------------------

_ONE = ("a", "an", "the", "one", "another")
_MORE = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = dict.fromkeys(_ONE, 1) | {word: count for count, word in enumerate(_MORE, start=2)}
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
_THERE = re.compile(
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

Thing = tuple[int, str]
"""The least number of a thing, and its name."""


def _follows(one: str, other: str) -> bool:
    """Whether the second statement holds wherever the first does, by its wording alone."""
    one, other = (re.sub(r"\bsome(?:body|one)\b", "a person", text) for text in (one, other))
    # That a helmet is lacking says nothing against the person.
    if denies(one.replace("without", "with")) or denies(other) or _OPEN.search(one):
        return False
    if one == other:
        return True
    if one.startswith(other) and _FURTHER.match(one, len(other)):
        return True  # "... is holding a gun" and "... is holding a gun in a street"
    said = _THERE.fullmatch(other)
    phrase = next(filter(None, said.groups())) if said else ""
    wanted = _thing(phrase)
    # Three people are at least two, but hardly "two people"; a bare plural sets no bound.
    bound = " " not in phrase or phrase.startswith(("at least ", *(f"{word} " for word in _ONE)))
    return wanted is not None and bound and any(_is_a(thing, wanted) for thing in _things(one))


def _things(text: str) -> Iterator[Thing]:
    """Name the things that a statement says are there."""
    said = _THERE.fullmatch(text)
    phrases = [next(filter(None, said.groups())) if said else text]
    phrases += [text[relation.end() :] for relation in _BEFORE.finditer(text)]
    for phrase in phrases:
        thing = _thing(_END.sub("", phrase))
        if thing is not None:
            yield thing


def _thing(phrase: str) -> Thing | None:
    """Read a phrase such as "at least two people"; None for one that names no single thing."""
    words = phrase.removeprefix("at least ").removeprefix("exactly ").split()
    if len(words) == 1 and words[0] in _ONE_OF:
        return 2, _ONE_OF[words[0]]
    if not 2 <= len(words) <= 4 or _END.search(phrase) or "and" in words:
        return None
    count = int(words[0]) if words[0].isdecimal() else _COUNTS.get(words[0], 0)
    last = words[-1] if count < 2 else _ONE_OF.get(words[-1], words[-1].removesuffix("s"))
    return (count, " ".join([*words[1:-1], last])) if count else None


def _is_a(thing: Thing, wanted: Thing) -> bool:
    """Whether a thing is one of another kind, in at least that number."""
    words = thing[1].split()
    kinds = {thing[1], _KIND.get(thing[1])}
    if _UNREAL.isdisjoint(words) and "person" in (words[-1], _KIND.get(words[-1])):
        kinds |= {words[-1], "person"}  # a masked man; other names change: a sea horse, a hot dog
    return thing[0] >= wanted[0] and wanted[1] in kinds
