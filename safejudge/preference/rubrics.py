"""Rubrics: constitutions turned round, in which a rule that holds is good.

A rubric is a constitution file like any other, but a picture is the better the more of its rules
hold: the score of an aspect is the plain mean of the rules' scores. Statements may contain
`{prompt}`, which stands for what the picture was asked for. Shipped rubrics have a shelf of their
own, so that nobody judges safety by one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution.load import load_constitution, rubric_shelf
from safejudge.errors import InputError
from safejudge.images.pairs import CAPTION
from safejudge.text import storable
from safejudge.types import AllOf, AnyOf, Constitution, NoneOf, Precondition, leaves

if TYPE_CHECKING:
    from safejudge.types import Condition, Rule

SLOT = "{prompt}"
"""What stands for the prompt in a statement."""
SAFETY, OVERALL = "safety", "overall"
"""Aspects that no rubric may be called: what the constitution says, and all of them together."""
NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
"""What an aspect may be called."""
_BRACES = re.compile(r"\{[^{}]*\}")


def shipped_rubrics() -> list[str]:
    """Return the names of the rubrics that come with the package, sorted."""
    return sorted(path.stem for path in rubric_shelf().glob("*.yaml"))


def load_rubric(source: str) -> Constitution:
    """Load a rubric by path, or a shipped one by name.

    Raises `ConstitutionError` for a file that is none, `InputError` for a slot that is not
    `{prompt}`.
    """
    names = shipped_rubrics()
    shipped = source in names and not Path(source).is_file()
    if not shipped and not Path(source).exists():
        raise InputError(
            f"{source}: there is no such rubric; give the path of a YAML file, or one of "
            f"{', '.join(names)}"
        )
    rubric = load_constitution(rubric_shelf() / f"{source}.yaml" if shipped else Path(source))
    for rule in rubric.rules:
        for leaf in leaves(rule.condition):
            strange = [slot for slot in _slots(leaf) if slot != SLOT]
            if strange:
                raise InputError(
                    f"{source}: rule {rule.id!r}: {strange[0]} means nothing here; {SLOT} stands "
                    "for the prompt"
                )
    return rubric


def needs_prompt(rubric: Constitution) -> bool:
    """Whether any statement speaks of the prompt."""
    return any(SLOT in _slots(leaf) for rule in rubric.rules for leaf in leaves(rule.condition))


def _slots(leaf: Precondition) -> list[str]:
    """List what stands for something else in a statement, and in a program."""
    words = _BRACES.findall(leaf.statement) if leaf.is_asked else []
    return words + [f"{{{name}}}" for name in (leaf.program.slots if leaf.program else ())]


def filled(rubric: Constitution, prompt: str) -> Constitution:
    """Put a prompt into the statements, on one line, and whatever braces it has left alone."""
    words = one_line(prompt)
    rules = tuple(_filled(rule, words) for rule in rubric.rules)
    return rubric.model_copy(update={"rules": rules})


def one_line(prompt: str) -> str:
    """Write a prompt so that it cannot begin a line of the question."""
    visible = "".join(sign if sign.isprintable() else " " for sign in storable(prompt))
    return " ".join(visible.split())


def _filled(rule: Rule, words: str) -> Rule:
    return rule.model_copy(update={"condition": _put(rule.condition, words)})


def _put(condition: Condition, words: str) -> Condition:
    match condition:
        case Precondition(statement=statement, program=program):
            filled = None if program is None else program.filled({CAPTION: words})
            if filled is not None and not condition.is_asked:
                return Precondition.of(filled)
            changed = {"statement": statement.replace(SLOT, words), "program": filled}
            return condition.model_copy(update=changed)
        case AllOf(all=parts):
            return AllOf(all=tuple(_put(part, words) for part in parts))
        case AnyOf(any=parts):
            return AnyOf(any=tuple(_put(part, words) for part in parts))
        case NoneOf(none=parts):
            return NoneOf(none=tuple(_put(part, words) for part in parts))
