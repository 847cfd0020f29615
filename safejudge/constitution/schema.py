"""The model of a constitution file: bytes -> `Draft`, or every error with its line.

pydantic checks the shape; what it reports is put into words that say what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from safejudge.constitution import strict_yaml
from safejudge.constitution.advice import MEANT, OPERATORS, WRITE, in_words
from safejudge.constitution.strict_yaml import (
    Refused,
    Remark,
    Sheet,
    Where,
    cut_texts,
    name_place,
)
from safejudge.errors import ArgumentError
from safejudge.programs.registry import OWN, call_of
from safejudge.text import quoted
from safejudge.types import (
    AllOf,
    AnyOf,
    Call,
    Condition,
    Draft,
    DraftRule,
    Example,
    ModerationKey,
    NoneOf,
    Precondition,
    Severity,
    leaves,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

MAX_TREE = 8
"""Most `all` / `any` / `none` inside one another."""

MAX_CONTRAST = 4
"""Most near misses of one statement; each costs two questions."""

FREE_TEXT = frozenset(
    ("description", "text", "objective", "relevance", "condition", "statement", "explanation",
     "review", "contrast", "reworded", "why", *OPERATORS)
)  # fmt: skip
"""Keys whose values are sentences; what stands under the others is a name or a word."""
PROGRAM = "program"
"""The key under which numbers are numbers: what they mean is the program's business."""
_THINGS = FREE_TEXT | {"look_at", *OWN}
"""Keys under which even one word and a sign belong together: `look_at: jersey #10`."""

_ID = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a constitution file."""

    line: int | None
    """1-based; None where the whole file is meant."""
    level: Literal["error", "warning"]
    """An error refuses the file; a warning is advice."""
    problem: str
    """What is wrong."""
    instead: str
    """What to write instead."""


# --- the shape ----------------------------------------------------------------------------------


def _problem(problem: str, instead: str = "") -> PydanticCustomError:
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "instead": instead})


def one_line(limit: int) -> AfterValidator:
    """Text on one line: white space collapsed, not empty, at most `limit` characters."""

    def tidy(text: str) -> str:
        text = " ".join(text.split())
        if not text:
            raise _problem("is empty")
        if len(text) > limit:
            raise _problem(f"has {len(text)} characters", f"at most {limit} characters")
        return text

    return AfterValidator(tidy)


def _check_id(text: str) -> str:
    if _ID.fullmatch(text) is not None:
        return text
    words = "-".join(re.findall(r"[a-z0-9]+", text.lower()))
    if words[:1].isalpha():
        raise _problem(
            f"is {quoted(text)}, which is no id", f"lower-case words joined by -: `id: {words}`"
        )
    advice = f"an id that starts with a letter: `id: rule-{words or 'one'}`"
    raise _problem(f"is {quoted(text)}, which is no id", advice)


class Strict(BaseModel):
    """Base of what a file may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_program(written: Any) -> dict[str, Any]:
    """Put a program's arguments into their one form; the first is called like the program."""
    try:
        return dict(call_of(written).arguments)
    except ArgumentError as error:
        raise _problem(error.problem, error.instead) from error


class ConditionNode(Strict):
    """A statement, a program, both, or one operator over parts; a bare string is a statement."""

    statement: Annotated[str, one_line(300)] | None = None
    look_at: Annotated[str, one_line(80)] | None = None
    contrast: (
        Annotated[
            tuple[Annotated[str, one_line(300)], ...], Field(min_length=1, max_length=MAX_CONTRAST)
        ]
        | None
    ) = None
    reworded: Annotated[str, one_line(300)] | None = None
    program: Annotated[dict[str, Any], BeforeValidator(_checked_program)] | None = None
    all: Annotated[tuple[ConditionNode, ...], Field(min_length=1)] | None = None
    any: Annotated[tuple[ConditionNode, ...], Field(min_length=1)] | None = None
    none: Annotated[tuple[ConditionNode, ...], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"statement": value}
        if isinstance(value, list):
            raise _problem(
                "is a list that does not say how its parts combine",
                "`all:` (every part must hold), `any:` (one is enough) or `none:` above the list",
            )
        keys = [f"`{key}`" for key in ("statement", PROGRAM, *OPERATORS) if key in value]
        if len(keys) > 1 and keys != ["`statement`", f"`{PROGRAM}`"]:
            advice = "only one of them here; put the other inside it, as a part of its list"
            raise _problem(f"has {' and '.join(keys)} side by side", advice)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> ConditionNode:
        parts = self.all or self.any or self.none
        if self.statement is None and parts is None and self.program is None:
            raise _problem("has no `statement`, `all`, `any` or `none`", WRITE["condition"])
        for key in ("look_at", "contrast", "reworded"):
            if getattr(self, key) is not None and parts is not None:
                raise _problem(f"has `{key}` beside an operator", f"`{key}` with its `statement`")
            if getattr(self, key) is not None and self.statement is None:
                raise _problem(f"has `{key}` and no `statement`", f"`{key}` with a `statement`")
        _check_other_words(self)
        return self

    def typed(self) -> Condition:
        """Convert to the core type."""
        if self.all is not None:
            return AllOf(all=tuple(part.typed() for part in self.all))
        if self.any is not None:
            return AnyOf(any=tuple(part.typed() for part in self.any))
        if self.none is not None:
            return NoneOf(none=tuple(part.typed() for part in self.none))
        program = None if self.program is None else Call.model_validate(self.program)
        if self.statement is None and program is not None:
            return Precondition.of(program)
        return Precondition(
            statement=self.statement or "",
            look_at=self.look_at,
            contrast=self.contrast or (),
            reworded=self.reworded,
            program=program,
        )


def _check_other_words(node: ConditionNode) -> None:
    """Refuse near misses and other words that say the statement itself, or a thing twice."""
    said = {_plain(node.statement or ""): "the statement itself"}
    for key, texts in (("contrast", node.contrast or ()), ("reworded", (node.reworded,))):
        for text in filter(None, texts):
            if (plain := _plain(text)) in said:
                problem = f"has {quoted(text)} under `{key}`, which is {said[plain]}"
                raise _problem(problem, WRITE[key])
            said[plain] = f"there already, under `{key}`"


def _plain(text: str) -> str:
    return text.casefold().rstrip(" .")


class _Example(Strict):
    image: Annotated[str, one_line(1000)]
    expect: Literal["violated", "not_violated"]
    why: Annotated[str, one_line(1000)] = ""

    def typed(self) -> Example:
        """Convert to the core type."""
        return Example(image=self.image, expect=self.expect, why=self.why)


class _Rule(Strict):
    id: Annotated[str, one_line(64), AfterValidator(_check_id)]
    category: Annotated[str, one_line(80)]
    severity: Severity
    text: Annotated[str, one_line(2000)]
    objective: Annotated[str, one_line(1000)] | None = None
    relevance: Annotated[str, one_line(300)] | None = None
    moderation: Annotated[tuple[ModerationKey, ...], Field(min_length=1)] | None = None
    condition: ConditionNode | None = None
    examples: Annotated[tuple[_Example, ...], Field(min_length=1)] = ()

    @model_validator(mode="after")
    def _condition_has_an_objective(self) -> _Rule:
        if self.condition is not None and self.objective is None:
            raise _problem("has a `condition` and lacks `objective`", WRITE["objective"])
        return self

    @model_validator(mode="after")
    def _one_set_of_other_words(self) -> _Rule:
        seen: dict[tuple[str, str | None], Precondition] = {}
        for leaf in () if self.condition is None else leaves(self.condition.typed()):
            if seen.setdefault((leaf.statement, leaf.look_at), leaf) != leaf:
                raise _problem(
                    f"has {quoted(leaf.statement)} with different `contrast` or `reworded`, or "
                    f"another `{PROGRAM}`",
                    "the same ones wherever the statement stands in a rule",
                )
        return self

    def typed(self) -> DraftRule:
        """Convert to the core type."""
        return DraftRule(
            id=self.id,
            category=self.category,
            severity=self.severity,
            text=self.text,
            objective=self.objective,
            relevance=self.relevance,
            moderation=self.moderation or (),
            condition=None if self.condition is None else self.condition.typed(),
        )


class _File(Strict):
    name: Annotated[str, one_line(80)]
    description: Annotated[str, one_line(2000)] | None = None
    golden: Annotated[str, one_line(1000)] | None = None
    rules: Annotated[tuple[_Rule, ...], Field(min_length=1)]

    def typed(self) -> Draft:
        """Convert to the core type."""
        return Draft(
            name=self.name,
            description=self.description or "",
            rules=tuple(rule.typed() for rule in self.rules),
            golden=self.golden,
            examples={
                rule.id: tuple(example.typed() for example in rule.examples)
                for rule in self.rules
                if rule.examples
            },
        )


# --- reading ------------------------------------------------------------------------------------


def parse(raw: bytes) -> tuple[Draft | None, Sheet, list[Finding]]:
    """Read the bytes of a file; the draft is None exactly if there is a finding.

    The sheet says on which line everything stands.
    """
    try:
        sheet = strict_yaml.read(raw, typed_below=PROGRAM)
    except Refused as stop:
        return None, Sheet(), [Finding(stop.line, "error", stop.problem, stop.instead)]
    file: _File | None = None
    complaints: list[Remark] = []
    try:
        file = _File.model_validate(sheet.data)
    except ValidationError as error:
        complaints = _complaints(error.errors(include_url=False), sheet)
    remarks = [
        *_merge(sheet.remarks, complaints),
        *(cut.remark for cut in cut_texts(sheet, _THINGS) if cut.certain),
        *_too_deep(sheet),
        *_repeated_ids(sheet),
    ]
    findings = [
        Finding(
            remark.line, "error", _of_rule(remark.where, sheet) + remark.problem, remark.instead
        )
        for remark in sorted(remarks, key=lambda remark: remark.line)
    ]
    if file is None or findings:
        return None, sheet, findings
    return file.typed(), sheet, []


def doubts(sheet: Sheet) -> Iterator[Finding]:
    """Yield a warning for every text that may have lost its end to a comment, or taken one in."""
    for cut in cut_texts(sheet, FREE_TEXT):
        if not cut.certain:
            remark = cut.remark
            problem = _of_rule(remark.where, sheet) + remark.problem
            yield Finding(remark.line, "warning", problem, remark.instead)


def _merge(misread: list[Remark], complaints: list[Remark]) -> list[Remark]:
    """One remark per value: what YAML made of it, with the model's advice where that says more."""
    advice = {complaint.where: complaint.instead for complaint in complaints}
    merged = []
    for remark in misread:
        key = _key(remark.where)
        instead = remark.instead or WRITE.get(key, "a value, or leave the key out")
        if remark.where in advice and (key in ("id", "expect") or not remark.instead):
            instead = advice[remark.where]
        merged.append(replace(remark, instead=instead))
    misread_places = {remark.where for remark in misread}
    return merged + [complaint for complaint in complaints if complaint.where not in misread_places]


def _complaints(errors: list[ErrorDetails], sheet: Sheet) -> list[Remark]:
    """Put pydantic's errors into words; keys missing from one mapping are one complaint."""
    complaints: list[Remark] = []
    missing: dict[Where, list[str]] = defaultdict(list)
    misspelt: set[Where] = set()
    for error in errors:
        where: Where = error["loc"]
        if error["type"] == "missing":
            missing[where[:-1]].append(str(where[-1]))
            continue
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic counts valid items only; the others have complaints of their own
        where = sheet.nearest(where)
        if error["type"] == "extra_forbidden":
            meant, instead = _meant_key(where)
            misspelt.add((*where[:-1], meant))
            problem = f"unknown key {name_place(where)}"
            # About the mapping, so that a misread value under the key does not hide it.
            complaints.append(Remark(where[:-1], sheet.lines[where], problem, instead))
            continue
        problem, instead = in_words(error, _key(where))
        problem = f"{name_place(where)} {problem}"
        complaints.append(Remark(where, sheet.lines[where], problem, instead))
    for where, keys in missing.items():
        lacking = [key for key in keys if (*where, key) not in misspelt]
        if lacking:
            problem = f"{name_place(where)} lacks " + ", ".join(f"`{key}`" for key in lacking)
            instead = "; ".join(WRITE[key] for key in lacking)
            complaints.append(Remark(where, sheet.lines[where], problem, instead))
    return complaints


def _meant_key(where: Where) -> tuple[str, str]:
    """Guess which key an unknown one stands for ("" if none is near), and put it as advice."""
    models: dict[int, type[BaseModel]] = {1: _File, 3: _Rule}
    model = _Example if "examples" in where[:-1] else models.get(len(where), ConditionNode)
    keys, key = list(model.model_fields), str(where[-1])
    near = difflib.get_close_matches(key.lower(), keys, 1)
    meant = near[0] if near else MEANT.get(key.lower(), "")
    if meant not in keys:
        return "", f"one of these keys, or none: {', '.join(keys)}"
    if meant == "condition" and not near:
        return meant, f"`condition:` with {name_place(where)} below it"
    return meant, f"`{meant}:`"


def _too_deep(sheet: Sheet) -> list[Remark]:
    for where, line in sheet.lines.items():
        if sum(part in OPERATORS for part in where) > MAX_TREE:
            problem = f"`all`, `any` and `none` are nested deeper than {MAX_TREE}"
            return [Remark(where, line, problem, "a flatter condition, or several rules")]
    return []


def _repeated_ids(sheet: Sheet) -> list[Remark]:
    first: dict[str, int] = {}
    remarks = []
    rules = sheet.data.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        where = ("rules", index, "id")
        name = rule.get("id") if isinstance(rule, dict) else None
        if not isinstance(name, str):
            continue
        line = sheet.lines[where]
        if first.setdefault(name.strip(), line) != line:
            problem = f"this id already stands on line {first[name.strip()]}"
            remarks.append(Remark(where, line, problem, "an id of its own for each rule"))
    return remarks


def _of_rule(where: Where, sheet: Sheet) -> str:
    """Name the rule that a place belongs to."""
    if len(where) < 2 or where[0] != "rules" or not isinstance(where[1], int):
        return ""
    rule = sheet.data["rules"][where[1]]
    name = rule.get("id") if isinstance(rule, dict) else None
    return f"rule {quoted(name)}: " if isinstance(name, str) and name else ""


def _key(where: Where) -> str:
    """Return the key a value stands under; an item of an operator's list is a statement."""
    if where and isinstance(where[-1], int) and where[-2] in OPERATORS:
        return "statement"
    return next((part for part in reversed(where) if isinstance(part, str)), "name")
