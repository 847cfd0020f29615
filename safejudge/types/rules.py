"""What a constitution holds: rules, and the trees of their conditions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from safejudge.types.base import Record, Severity
from safejudge.types.programs import Call

if TYPE_CHECKING:
    from collections.abc import Iterator


_LATER: dict[str, Any] = {"contrast": (), "reworded": None, "program": None}
"""What a statement had not at first."""


class Precondition(Record):
    """A leaf of a condition: one statement that a picture shows or does not show.

    Or a program that looks by itself, with a statement that is asked where the program cannot
    look, or with none.
    """

    statement: str
    """A positive, checkable sentence, as it is put to the model; of a program that has none
    beside it, the program's own text."""
    look_at: str | None = None
    """The central object of the statement, in words a detector can look for; see `regions`."""
    contrast: tuple[str, ...] = ()
    """Near misses, of which none is true where the statement is what makes a picture violate a
    rule: who else may hold the thing, what else may be done with it. See `confirm`."""
    reworded: str | None = None
    """The statement once more, in other words; see `confirm`."""
    program: Call | None = None
    """What looks before anything is asked; where it finds an answer nothing is."""

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not there: digests are those of before there was such a thing."""
        written: dict[str, Any] = write(self)
        absent = [name for name in _LATER if not getattr(self, name)]
        return {key: value for key, value in written.items() if key not in absent}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take up what was pickled before there were near misses and other words."""
        held = state.get("__dict__") or {}
        # Behind what is there: what is written, and so a digest, keeps the order of the fields.
        fields = held | {k: v for k, v in _LATER.items() if k not in held}
        super().__setstate__(state | {"__dict__": fields})

    @staticmethod
    def of(program: Call) -> Precondition:
        """Make a leaf of a program alone."""
        return Precondition(statement=program.text, program=program)

    @property
    def is_asked(self) -> bool:
        """Whether there is a statement, so that a model may be asked."""
        return self.program is None or self.statement != self.program.text

    @property
    def statements(self) -> tuple[str, ...]:
        """Every sentence that a model may be asked about."""
        if not self.is_asked:
            return ()
        return (self.statement, *self.contrast, *([self.reworded] if self.reworded else ()))


class AllOf(Record):
    """Holds when every part holds."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


class AnyOf(Record):
    """Holds when at least one part holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


class NoneOf(Record):
    """Holds when no part holds: the exceptions of a rule."""

    none: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


Condition = Precondition | AllOf | AnyOf | NoneOf
AllOf.model_rebuild()
AnyOf.model_rebuild()
NoneOf.model_rebuild()

ModerationKey = Literal[
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual",
    "sexual/minors", "violence", "violence/graphic",
]  # fmt: skip
"""The categories of OpenAI's moderation endpoint."""


class DraftRule(Record):
    """One rule as people wrote it; what is missing is the compiler's to find."""

    id: str
    """Unique within the constitution; lower-case words joined by `-` or `_`."""
    category: str
    """The heading under which reports group the rule."""
    severity: Severity
    """How bad a violation is."""
    text: str
    """The rule as people wrote it."""
    objective: str | None = None
    """The same rule in words whose truth a picture settles."""
    relevance: str | None = None
    """A shorter text for the relevance filter, where an encoder cannot hold `objective`."""
    moderation: tuple[ModerationKey, ...] = ()
    """The categories of OpenAI's moderation endpoint that a violation falls under."""
    condition: Condition | None = None
    """The tree of preconditions; used as written."""

    def source(self) -> str:
        """Sha256 (hex) of what a compiled form of this rule is made from."""
        return hashlib.sha256(repr((self.text, self.objective)).encode()).hexdigest()


class Rule(DraftRule):
    """One rule of a constitution. A picture violates it when its condition holds."""

    objective: str
    condition: Condition

    def digest(self) -> str:
        """Sha256 (hex) of what its score may hang on: its words and its condition."""
        told = self.model_dump_json(include={"text", "objective", "relevance", "condition"})
        return hashlib.sha256(told.encode()).hexdigest()


class Example(Record):
    """An image that a rule is written for, or against, and what has to come out of it."""

    image: str
    """Its path, from the folder of the constitution's file."""
    expect: Literal["violated", "not_violated"]
    """What the rule has to come to."""
    why: str = ""
    """Why, in the author's words."""


class Draft(Record):
    """A constitution as people wrote it; rules without a condition are still to be compiled."""

    name: str
    """What reports call it."""
    description: str = ""
    """What it is for, in a sentence or two."""
    rules: Annotated[tuple[DraftRule, ...], Field(min_length=1)]
    """At least one rule; ids are unique."""
    # Written out, a draft is its rules: files of examples lie beside its own file, nowhere else.
    golden: str | None = Field(default=None, exclude=True)
    """A folder of labelled images, from the folder of the file; None: there is none."""
    examples: dict[str, tuple[Example, ...]] = Field(default_factory=dict, exclude=True)
    """What stands as examples under rules, by the rule's id."""


class Constitution(Record):
    """A set of rules, as read from one YAML file and, where rules were compiled, its lock."""

    name: str
    """What reports call it."""
    description: str = ""
    """What it is for, in a sentence or two."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """At least one rule; ids are unique."""

    @field_validator("rules")
    @classmethod
    def _ids_are_unique(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        # Verdicts are keyed by id: a doubled id would quietly lose a rule.
        ids: set[str] = set()
        for rule in rules:
            if rule.id in ids:
                raise ValueError(f"two rules have the id {rule.id!r}")
            ids.add(rule.id)
        return rules

    def digest(self) -> str:
        """Sha256 (hex) of everything that can change a verdict; so not of a file's examples."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


Step = tuple[Literal["all", "any", "none"], int]
"""From an inner node of a condition to one of its parts: the operator, and the place in its list.
"""


def steps(condition: Condition) -> Iterator[tuple[Step, Condition]]:
    """Yield the parts of an inner node with the step to each; nothing for a precondition."""
    match condition:
        case Precondition():
            return
        case AllOf(all=parts):
            yield from ((("all", index), part) for index, part in enumerate(parts))
        case AnyOf(any=parts):
            yield from ((("any", index), part) for index, part in enumerate(parts))
        case NoneOf(none=parts):
            yield from ((("none", index), part) for index, part in enumerate(parts))


def placed_leaves(
    condition: Condition, path: tuple[Step, ...] = ()
) -> Iterator[tuple[tuple[Step, ...], Precondition]]:
    """Yield the preconditions in listed order, each with the steps to it."""
    if isinstance(condition, Precondition):
        yield path, condition
    for step, part in steps(condition):
        yield from placed_leaves(part, (*path, step))


def leaves(condition: Condition) -> Iterator[Precondition]:
    """Yield the preconditions of a condition in listed order."""
    match condition:
        case Precondition():
            yield condition
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            for part in parts:
                yield from leaves(part)


def needs_no_model(condition: Condition) -> bool:
    """Whether programs alone settle a condition, so that no model is ever asked."""
    return not any(leaf.is_asked for leaf in leaves(condition))


def slots_of(constitution: Constitution) -> tuple[str, ...]:
    """List the names that items have to fill for the programs of the rules, sorted."""
    calls = (leaf.program for rule in constitution.rules for leaf in leaves(rule.condition))
    return tuple(sorted({slot for call in calls if call is not None for slot in call.slots}))


def operator(condition: AllOf | AnyOf | NoneOf) -> str:
    """Name an inner node of a tree."""
    match condition:
        case AllOf():
            return "all of"
        case AnyOf():
            return "any of"
        case NoneOf():
            return "none of"


def parts(condition: Condition) -> tuple[Condition, ...]:
    """Return what an inner node of a tree is made of; nothing for a precondition."""
    match condition:
        case AllOf(all=inner) | AnyOf(any=inner) | NoneOf(none=inner):
            return inner
        case Precondition():
            return ()
