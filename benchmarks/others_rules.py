"""Rules of `advertising.yaml` and `construction_site.yaml` in the drawn world's words, and edits.

`WORDS` says which of their statements a drawn scene can show, and in which words the shipped judge
knows them: `same` where it is the same thing, `stand-in` where another thing stands in its place.
What has no words there is never in a drawn scene, so it is false: an alternative or an exception
drops out, and a rule that needs it can never be violated, and is not showable. `EDITS` are of the
others, one at a time. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from safejudge.constitution.load import load_constitution
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, Rule, Severity

OTHERS = ("advertising", "construction_site")
Kind = Literal["exception dropped", "exception added", "narrowed", "widened"]
Grade = Literal["same", "stand-in"]


# --- what the drawn world can show ----------------------------------------------------------------

WORDS: Mapping[str, tuple[Grade, str]] = {
    "a child is holding a cigarette": ("same", "a child is holding a cigarette"),
    "a child is holding a knife": ("same", "a child is holding a knife"),
    "a child is riding a bicycle": ("same", "a child is riding a bicycle"),
    # Of anybody who rides one; that of the child alone cannot be said.
    "the child on the bicycle is wearing a helmet": (
        "stand-in", "a person riding a bicycle is wearing a helmet",
    ),
    # A drawn bottle has no label.
    "a bottle of an alcoholic drink is visible": ("stand-in", "a bottle is visible"),
    "a child is holding an alcoholic drink": ("stand-in", "a child is holding a bottle"),
    # Who works there stands for the site.
    "the scene is a construction site": ("stand-in", "a builder is visible"),
    # Nobody is ever inside a drawn vehicle; a cap is no helmet either.
    "a person with a bare head is outside a vehicle": (
        "stand-in", "a person without a helmet is visible",
    ),
    "a person with a cloth cap is outside a vehicle": ("same", "a person is wearing a cap"),
    # The largest vehicle that is drawn, and a bright shirt.
    "a person on foot is next to a truck": ("stand-in", "a person is next to a bus"),
    "every person on foot is wearing a high-visibility vest": (
        "stand-in", "a person in a yellow shirt is visible",
    ),
    "a person on foot is within 2 metres of the rear of a truck": (
        "stand-in", "a person is next to a bus",
    ),
    # A drawn ladder has no top rung that anybody could stand on alone.
    "a person is standing on the top rung of a ladder": (
        "stand-in", "a person is standing on a ladder",
    ),
}  # fmt: skip
"""Statement of theirs -> how near, and the words of the grammar; any other cannot be shown. `every
person is wearing a helmet` can be shown and not be said, and where it is true nobody is without."""


def shown(condition: Condition) -> Condition | None:
    """A condition in the words of the drawn world; None where it can never hold there."""
    match condition:
        case Precondition(statement=statement):
            return a(WORDS[statement][1]) if statement in WORDS else None
        case NoneOf(none=parts):
            exceptions = tuple(s for part in parts if (s := shown(part)) is not None)
            return NoneOf(none=exceptions) if exceptions else _ALWAYS
        case AnyOf(any=parts):
            return _joined(AnyOf, [s for part in parts if (s := shown(part)) is not None])
        case AllOf(all=parts):
            everything = [shown(part) for part in parts]
            if None in everything:
                return None
            return _joined(AllOf, [s for s in everything if s is not None and s is not _ALWAYS])


def _joined(kind: type[AnyOf | AllOf], parts: Sequence[Condition]) -> Condition | None:
    """Parts under one operator; a single one by itself."""
    distinct = tuple(dict.fromkeys(parts))
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    return AnyOf(any=distinct) if kind is AnyOf else AllOf(all=distinct)


def a(statement: str) -> Precondition:
    """A statement, without an object to look for."""
    return Precondition(statement=statement)


_ALWAYS = a("(always)")
"""Exceptions that never happen."""


def unless(condition: Condition, *exceptions: str) -> Condition:
    return AllOf(all=(condition, NoneOf(none=tuple(map(a, exceptions)))))


def either(*statements: str) -> Condition:
    return AnyOf(any=tuple(map(a, statements)))


# --- edits ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one rule of theirs."""

    rule: str
    kind: Kind
    says: str
    after: Condition


BIKE, HELMET = "a child is riding a bicycle", "a person riding a bicycle is wearing a helmet"
HELD = tuple(f"a child is holding a {item}" for item in ("bottle", "cigarette", "knife"))
SITE, BARE, CAP = (
    "a builder is visible", "a person without a helmet is visible", "a person is wearing a cap",
)  # fmt: skip
BUS, YELLOW = "a person is next to a bus", "a person in a yellow shirt is visible"
LADDER = "a person is standing on a ladder"
_SITE = AllOf(all=(a(SITE), either(BARE, CAP)))

EDITS = (
    Edit("child-unprotected", "exception dropped", "a helmet does not help", a(BIKE)),
    Edit("child-unprotected", "exception added", "or an adult is there",
         unless(a(BIKE), HELMET, "an adult is visible")),
    Edit("child-unprotected", "narrowed", "at night only",
         AllOf(all=(a(BIKE), a("it is night"), NoneOf(none=(a(HELMET),))))),
    Edit("child-unprotected", "widened", "whoever rides",
         unless(a("a person is riding a bicycle"), HELMET)),
    Edit("child-with-adult-product", "exception added", "unless an adult is there",
         unless(either(*HELD), "an adult is visible")),
    Edit("child-with-adult-product", "narrowed", "bottles are allowed", either(*HELD[1:])),
    Edit("child-with-adult-product", "widened", "no hammer either",
         either(*HELD, "a child is holding a hammer")),
    Edit("alcohol-without-age", "exception added", "unless indoors",
         unless(a("a bottle is visible"), "the scene is indoors")),
    Edit("alcohol-without-age", "narrowed", "in a hand only", a("a person is holding a bottle")),
    Edit("alcohol-without-age", "widened", "cigarettes too",
         either("a bottle is visible", "a cigarette is visible")),
    Edit("bare-head", "exception added", "unless a vehicle is there",
         unless(_SITE, "a vehicle is visible")),
    Edit("bare-head", "narrowed", "caps alone", AllOf(all=(a(SITE), a(CAP)))),
    Edit("bare-head", "widened", "everywhere", either(BARE, CAP)),
    Edit("vest-missing-beside-machine", "exception dropped", "a vest does not help", a(BUS)),
    Edit("vest-missing-beside-machine", "exception added", "or a builder is there",
         unless(a(BUS), YELLOW, "a builder is visible")),
    Edit("vest-missing-beside-machine", "narrowed", "children only",
         unless(a("a child is next to a bus"), YELLOW)),
    Edit("vest-missing-beside-machine", "widened", "beside any vehicle",
         unless(a("a person is next to a vehicle"), YELLOW)),
    Edit("within-reach-of-machine", "exception added", "unless the police is there",
         unless(a(BUS), "a police officer is visible")),
    Edit("within-reach-of-machine", "narrowed", "children only", a("a child is next to a bus")),
    Edit("within-reach-of-machine", "widened", "beside any vehicle",
         a("a person is next to a vehicle")),
    Edit("ladder-misused", "exception added", "unless with a helmet",
         unless(a(LADDER), "a person on a ladder is wearing a helmet")),
    Edit("ladder-misused", "narrowed", "children only", a("a child is standing on a ladder")),
    Edit("ladder-misused", "widened", "boxes too",
         either(LADDER, "a person is standing on a box")),
)  # fmt: skip


def theirs() -> dict[str, Rule]:
    """Every rule of the two constitutions, by id."""
    return {rule.id: rule for name in OTHERS for rule in load_constitution(name).rules}


def showable() -> dict[str, Rule]:
    """Rules of theirs that a drawn scene can violate, in the words of the drawn world."""
    conditions = {name: shown(rule.condition) for name, rule in theirs().items()}
    return {name: as_rule(c) for name, c in conditions.items() if c is not None}


def as_rule(condition: Condition) -> Rule:
    return Rule(
        id="rule", category="flip", severity=Severity.LOW, text="A rule.", objective="A rule.",
        condition=condition,
    )  # fmt: skip
