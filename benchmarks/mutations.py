"""Which damage to a condition its rule's own words give away.

Every rule of the shipped constitutions, damaged in one place: a statement dropped, `any` turned
into `all` or back, an exception deleted or turned into a requirement, a word of count or relation
taken out. Judged as the compiler judges what a model hands it: by the objective text and the
damaged condition alone (`safejudge.fidelity`). A damage that makes a difference is killed. The
undamaged conditions are judged as well: a difference there is a false alarm.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from measure import record

from safejudge.constitution.lint.fidelity import differences
from safejudge.constitution.lint.stems import is_count, is_relation
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.show.markdown import table
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, Rule, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import Condition

VAGUE = "sketch-vague"
"""Vague on purpose; its conditions are not meant to say what its texts say."""
KINDS = (
    "statement dropped", "any turned into all", "all turned into any", "exception deleted",
    "exception required", "count word dropped", "relation word dropped",
)  # fmt: skip


def with_parts(condition: Condition, parts: tuple[Condition, ...]) -> Condition | None:
    """The same operator over other parts; None if nothing is left."""
    if not parts:
        return None
    key = next(iter(type(condition).model_fields))
    return type(condition).model_validate({key: parts})


def damaged(condition: Condition) -> Iterator[tuple[str, Condition | None]]:
    """Every condition with one damage, and its kind; None where nothing would be left."""
    yield from own_damage(condition)
    inner = parts(condition)
    for index, part in enumerate(inner):
        before, after = inner[:index], inner[index + 1 :]
        for kind, mutant in damaged(part):
            yield kind, with_parts(condition, (*before, *((mutant,) if mutant else ()), *after))


def own_damage(condition: Condition) -> Iterator[tuple[str, Condition | None]]:
    match condition:
        case Precondition():
            yield "statement dropped", None
            yield from without_words(condition)
        case AnyOf(any=parts) if len(parts) > 1:
            yield "any turned into all", AllOf(all=parts)
        case AllOf(all=parts) if len(parts) > 1:
            yield "all turned into any", AnyOf(any=parts)
        case NoneOf(none=parts):
            yield "exception deleted", None
            yield "exception required", parts[0] if len(parts) == 1 else AnyOf(any=parts)


def without_words(leaf: Precondition) -> Iterator[tuple[str, Condition]]:
    words = leaf.statement.split()
    for index, word in enumerate(words):
        shortened = leaf.model_copy(
            update={"statement": " ".join(words[:index] + words[index + 1 :])}
        )
        if is_count(word):
            yield "count word dropped", shortened
        elif is_relation(word):
            yield "relation word dropped", shortened


def shipped() -> Iterator[tuple[str, Rule]]:
    for name in shipped_constitutions():
        if name != VAGUE:
            yield from ((name, rule) for rule in load_constitution(name).rules)


def main() -> None:
    alarms, survivors = [], []
    total: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    killed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rules = list(shipped())
    for name, rule in rules:
        if differences(rule.objective, rule.condition):
            alarms.append(f"{name} / {rule.id}")
        for kind, mutant in damaged(rule.condition):
            if mutant is None or mutant == rule.condition:
                continue
            total[kind][name] += 1
            if differences(rule.objective, mutant):
                killed[kind][name] += 1
            else:
                survivors.append(
                    [kind, f"{name} / {rule.id}", str(mutant.model_dump(exclude_none=True))]
                )
    names = sorted({name for name, _ in rules})
    rows = [
        [kind, *(f"{killed[kind][n]} / {total[kind][n]}" for n in names),
         f"{sum(killed[kind].values())} / {sum(total[kind].values())}"]
        for kind in KINDS
    ]  # fmt: skip
    text = table(["damage", *names, "all"], rows)
    text += f"\n\nFalse alarms on the {len(rules)} undamaged rules: {len(alarms)}"
    text += "".join(f"\n- {alarm}" for alarm in alarms)
    text += f"\n\nSurvivors: {len(survivors)}\n"
    text += "".join(f"\n- {kind}, {rule}: {mutant}" for kind, rule, mutant in survivors)
    numbers = {
        kind: {"killed": dict(killed[kind]), "total": dict(total[kind])} for kind in KINDS
    } | {"false alarms": alarms, "survivors": survivors}
    record("mutations", numbers, text)


if __name__ == "__main__":
    main()
