"""The lock beside a constitution: bytes -> `Lock`, and `Lock` -> text.

The compiler writes it and people correct it: an objective or a condition that somebody changed is
kept, and known as changed by the digest of what the compiler had written. Nothing here reads or
writes a file, and nothing decides whether a rule is up to date.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from safejudge.constitution import strict_yaml
from safejudge.constitution.schema import FREE_TEXT, PROGRAM, ConditionNode, Strict, one_line
from safejudge.constitution.strict_yaml import Refused, cut_texts, name_place
from safejudge.errors import ConstitutionError
from safejudge.text import quoted
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
# Written by `safejudge compile` from the rules that have no condition of their own. Read it,
# correct it, commit it: what you change in an objective or a condition is kept; comments are not.
# Where `review` stands, something was left open; take it out when you have looked.
"""

MAX_BYTES = 8 * 2**20
"""Larger locks are refused; a constitution of the largest size may need some megabytes."""
MAX_NODES = 400_000
"""Most keys and values in a lock."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Version(Record):
    """One wording of a rule on the way to an objective one."""

    objective: str
    """The wording."""
    score: Annotated[int, Field(ge=1, le=10)]
    """How objective the model found it, 1 to 10."""
    explanation: str
    """Why."""


class Compiler(Record):
    """What compiled a rule."""

    model: str
    """Engine URI."""
    revision: str | None = None
    """Digest of the model; None where it does not tell (a server)."""
    prompts: str
    """Digest of the compiler's prompts."""
    safejudge: str
    """Version of the package."""


class Superseded(Record):
    """A compiled form that the rule's text has left behind."""

    objective: str
    """Its wording."""
    condition: Condition
    """Its tree."""


class LockedRule(Record):
    """The compiled form of one rule."""

    id: str
    """The rule's id."""
    text: str
    """The rule's text when it was compiled."""
    source: str
    """`DraftRule.source()` then: another text makes the entry stale."""
    compiler: Compiler
    """What compiled it."""
    versions: tuple[Version, ...] = ()
    """Every wording and its score; empty where the rule brought its own objective."""
    objective: str
    """The wording that was kept, or what a person made of it."""
    condition: Condition
    """The tree."""
    covers: tuple[str, ...]
    """For each statement of the tree, in listed order, the words of the objective it covers."""
    review: tuple[str, ...] = ()
    """What was left open; nothing, or a person has to look."""
    written: str
    """`fingerprint` of objective and condition as the compiler left them."""
    superseded: Superseded | None = None
    """What a person had made of the entry of an earlier text of this rule."""

    @property
    def edited(self) -> bool:
        """Whether a person changed objective or condition."""
        return fingerprint(self.objective, self.condition) != self.written


class Lock(Record):
    """What is compiled of one constitution."""

    constitution: str
    """Its name."""
    rules: tuple[LockedRule, ...]
    """In the constitution's order."""

    def rule(self, name: str) -> LockedRule | None:
        """Return the entry of a rule, if there is one."""
        return next((rule for rule in self.rules if rule.id == name), None)


def fingerprint(objective: str, condition: Condition) -> str:
    """Sha256 (hex) of an objective and a condition."""
    text = objective + "\n" + condition.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()


# --- the shape ----------------------------------------------------------------------------------


class _Node(ConditionNode):
    covers: Annotated[str, one_line(1000)] | None = None
    all: Annotated[tuple[_Node, ...], Field(min_length=1)] | None = None
    any: Annotated[tuple[_Node, ...], Field(min_length=1)] | None = None
    none: Annotated[tuple[_Node, ...], Field(min_length=1)] | None = None

    def told(self) -> Iterator[str]:
        """What each statement covers, in listed order."""
        parts = self.all or self.any or self.none
        if parts is None:
            yield self.covers or ""
        for part in parts or ():
            yield from part.told()


class _Superseded(Strict):
    objective: Annotated[str, one_line(1000)]
    condition: ConditionNode

    def typed(self) -> Superseded:
        """Convert to the type outside."""
        return Superseded(objective=self.objective, condition=self.condition.typed())


class _Version(Strict):
    objective: Annotated[str, one_line(2000)]  # the first one is the rule's text
    score: Annotated[int, Field(ge=1, le=10)]
    explanation: Annotated[str, one_line(1000)]


class _Compiler(Strict):
    model: Annotated[str, one_line(500)]
    revision: Digest | None = None
    prompts: Digest
    safejudge: Annotated[str, one_line(80)]


class _Rule(Strict):
    id: Annotated[str, one_line(64)]
    text: Annotated[str, one_line(2000)]
    source: Digest
    compiler: _Compiler
    versions: tuple[_Version, ...] = ()
    objective: Annotated[str, one_line(1000)]
    condition: _Node
    review: tuple[Annotated[str, one_line(1000)], ...] = ()
    written: Digest
    edited: Literal["by hand"] | None = None
    superseded: _Superseded | None = None

    def typed(self) -> LockedRule:
        """Convert to the type outside."""
        data = self.model_dump(exclude={"condition", "edited", "superseded"})
        condition, covers = self.condition.typed(), tuple(self.condition.told())
        old = None if self.superseded is None else self.superseded.typed()
        return LockedRule(**data, condition=condition, covers=covers, superseded=old)


class _File(Strict):
    constitution: Annotated[str, one_line(80)]
    rules: tuple[_Rule, ...]


# --- reading and writing ------------------------------------------------------------------------

_INSTEAD = (
    "the file as `safejudge compile` wrote it; objective and condition may be changed, and an "
    "entry is approved by deleting its `review`"
)


def parse_lock(file: str, raw: bytes) -> Lock:
    """Read the bytes of a lock. Raises `ConstitutionError` for the first problem."""
    try:
        sheet = strict_yaml.read(raw, MAX_BYTES, MAX_NODES, typed_below=PROGRAM)
    except Refused as stop:
        # What the top of a constitution has is no advice for a lock.
        instead = _INSTEAD if "`name:`" in stop.instead else stop.instead
        raise ConstitutionError(file, stop.line, stop.problem, instead) from stop
    for remark in (*sheet.remarks, *(cut.remark for cut in cut_texts(sheet, FREE_TEXT))):
        raise ConstitutionError(file, remark.line, remark.problem, remark.instead or _INSTEAD)
    try:
        parsed = _File.model_validate(sheet.data)
    except ValidationError as error:
        # Of a key that is misspelt, the right one is missing as well: the wrong one says more.
        first = min(
            error.errors(include_url=False), key=lambda problem: problem["type"] == "missing"
        )
        line = sheet.lines[sheet.nearest(first["loc"])]
        problem = f"{name_place(first['loc'])}: {first['msg']}"
        if first["type"] == "extra_forbidden":
            problem = f"unknown key {name_place(first['loc'])}"
        raise ConstitutionError(file, line, problem, _INSTEAD) from error
    names = [rule.id for rule in parsed.rules]
    for index, name in enumerate(names):
        if name in names[:index]:
            line = sheet.lines["rules", index, "id"]
            raise ConstitutionError(file, line, f"{quoted(name)} is locked twice", "one of the two")
    rules = tuple(rule.typed() for rule in parsed.rules)
    return Lock(constitution=parsed.constitution, rules=rules)


def dump_lock(lock: Lock) -> str:
    """Write a lock as text that reads back equal."""
    data = {"constitution": lock.constitution, "rules": [_rule(rule) for rule in lock.rules]}
    return HEAD + strict_yaml.write(data)


def _rule(rule: LockedRule) -> dict[str, Any]:
    data = rule.model_dump(
        mode="json", exclude={"condition", "covers", "superseded"}, exclude_none=True
    )
    data["versions"] = [{**version, "score": str(version["score"])} for version in data["versions"]]
    covers = iter(rule.covers)
    data["condition"] = _node(rule.condition, covers)
    data["edited"] = "by hand" if rule.edited else None
    if rule.superseded is not None:
        condition = _node(rule.superseded.condition, iter(()))
        data["superseded"] = {"objective": rule.superseded.objective, "condition": condition}
    order = (
        "id", "text", "source", "compiler", "versions", "objective", "condition", "review",
        "edited", "superseded", "written",
    )  # fmt: skip
    return {key: data[key] for key in order if data.get(key)}


def _node(condition: Condition, covers: Iterator[str]) -> dict[str, Any]:
    match condition:
        case Precondition():
            leaf = {
                "statement": condition.statement if condition.is_asked else "",
                "look_at": condition.look_at,
                "program": condition.program and condition.program.arguments,
                "covers": next(covers, ""),
            }
            return {key: value for key, value in leaf.items() if value}
        case AllOf(all=parts):
            return {"all": [_node(part, covers) for part in parts]}
        case AnyOf(any=parts):
            return {"any": [_node(part, covers) for part in parts]}
        case NoneOf(none=parts):
            return {"none": [_node(part, covers) for part in parts]}
