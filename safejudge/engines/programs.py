"""The programs of a judge's rules, made ready before the first image; and what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError, InputError, StatementError
from safejudge.method.rule import asked_condition
from safejudge.types import leaves, needs_no_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.engines.models import Models
    from safejudge.policy import Policy
    from safejudge.types import Call, Constitution, ModelRef, Precondition


def idle_programs(constitution: Constitution, models: Models, policy: Policy) -> tuple[str, ...]:
    """Make the programs of the rules ready; say which cannot look, so that questions stand in.

    Raises `InputError` where there is no question that could, and what is wrong with arguments.
    """
    notes: dict[str, list[str]] = {}
    for rule, leaf, call in _calls(constitution, policy):
        try:
            problem = _problem(call, models)
        except ArgumentError as error:
            raise InputError(f"rule {rule!r}: {call.text}: {error}") from error
        if problem is not None and not leaf.is_asked:
            raise InputError(f"rule {rule!r}: the program {call.name}: {problem}")
        if problem is not None:
            notes.setdefault(f"the program {call.name}: {problem}", []).append(rule)
    return tuple(
        f"{problem} (until then the model is asked instead: {', '.join(dict.fromkeys(rules))})"
        for problem, rules in notes.items()
    )


def _problem(call: Call, models: Models) -> str | None:
    """Say why a program cannot look."""
    problem = models.programs.problem(call, detects=models.detector is not None)
    if problem is None and models.detector is not None:
        try:
            models.detector.check_words(models.programs.objects(call))
        except StatementError as error:
            return str(error)
    return problem


def judged_by_programs(constitution: Constitution, policy: Policy) -> list[str]:
    """Say which rules programs settle alone."""
    rules = [r.id for r in constitution.rules if needs_no_model(asked_condition(r, policy))]
    if not rules:
        return []
    needs = "needs" if len(rules) == 1 else "need"
    return [f"{', '.join(rules)}: {needs} no judge; programs settle {_them(rules)} alone"]


def _them(rules: list[str]) -> str:
    return "it" if len(rules) == 1 else "them"


def has_programs(constitution: Constitution) -> bool:
    """Whether any rule has a program."""
    return any(leaf.program for rule in constitution.rules for leaf in leaves(rule.condition))


def program_references(
    constitution: Constitution, models: Models, policy: Policy
) -> tuple[ModelRef, ...]:
    """Name the programs of the rules, for the provenance."""
    names = {call.name for _, _, call in _calls(constitution, policy)}
    return tuple(map(models.programs.reference, sorted(names)))


def _calls(constitution: Constitution, policy: Policy) -> Iterator[tuple[str, Precondition, Call]]:
    """Yield every call of a program, with the rule's id and the leaf."""
    for rule in constitution.rules:
        for leaf in leaves(asked_condition(rule, policy)):
            if leaf.program is not None:
                yield rule.id, leaf, leaf.program
