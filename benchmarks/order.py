"""What the order of a rule's questions costs: as listed, by learned rates, and reversed.

Every question is asked once, without reasoning; then it is counted which ones each order would have
asked before the rules were settled. `learned` goes by the outcomes of the images before: in an
`all` what fails most often comes first, in an `any` or `none` what holds most often. Questions of
the rules that the relevance filter leaves; equal ones of several rules count once.

`python benchmarks/order.py [--count 150]`
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge import Judge, Policy
from safejudge.constitution.load import load_constitution
from safejudge.method import logic
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes
from safejudge.types import AllOf, AnyOf, Judgment, NoneOf, Outcome, Precondition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.types import Condition

SEED = "order"
"""Of scenes that nothing was chosen on."""
POLICY = Policy(exhaustive=True, open_means="undecided", confirm=False, crop=False)
KINDS = {"clean scenes": plain_scenes, "every third violates": mixed_scenes}


class Rates:
    """How often each statement held in the images before."""

    def __init__(self) -> None:
        self._held: Counter[Precondition] = Counter()
        self._settled: Counter[Precondition] = Counter()

    def add(self, outcomes: Mapping[Precondition, Outcome]) -> None:
        """Count the outcomes of one rule on one image."""
        for leaf, outcome in outcomes.items():
            if outcome is not Outcome.UNDECIDED:
                self._settled[leaf] += 1
                self._held[leaf] += outcome is Outcome.YES

    def sorted(self, condition: Condition) -> tuple[float, Condition]:
        """How likely a condition holds, and the same with what settles it most often first."""
        if isinstance(condition, Precondition):
            return (self._held[condition] + 0.3) / (self._settled[condition] + 1), condition
        parts = sorted(map(self.sorted, parts_of(condition)), key=lambda part: -part[0])
        none_holds = 1.0
        all_hold = 1.0
        for likely, _ in parts:
            none_holds, all_hold = none_holds * (1 - likely), all_hold * likely
        ordered = [part for _, part in parts]
        if isinstance(condition, AllOf):
            return all_hold, AllOf(all=tuple(reversed(ordered)))
        if isinstance(condition, AnyOf):
            return 1 - none_holds, AnyOf(any=tuple(ordered))
        return none_holds, NoneOf(none=tuple(ordered))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="scenes of a kind")
    args = parser.parse_args()
    constitution = load_constitution("sketch")
    listed = {rule.id: rule.condition for rule in constitution.rules}
    figures = {}
    with Judge.load(constitution, engine="hf:sketch", policy=POLICY) as judge:
        for kind, scenes in KINDS.items():
            drawn = [draw(s).pixels for s, _ in islice(scenes(constitution, SEED), args.count)]
            figures[kind] = counted(listed, judge(drawn))
    head = ["questions of an image", *next(iter(figures.values()))]
    rows = [[kind, *(f"{n:.2f}" for n in of.values())] for kind, of in figures.items()]
    record("order", {"questions": figures, **vars(args)}, table(head, rows))


def counted(listed: Mapping[str, Condition], results: list[Any]) -> dict[str, float]:
    """Mean number of questions by order."""
    rates, total, images = Rates(), Counter[str](), 0
    for result in results:
        if not isinstance(result, Judgment):
            continue
        images += 1
        answers = {
            rule: {leaf: v.outcome for leaf, v in logic.answered(condition, asked).items()}
            for rule, condition in listed.items()
            if (asked := result.rules[rule].preconditions)
        }
        relevant = [r for r in answers if result.rules[r].outcome != "not_relevant"]
        orders = {
            "as listed": {rule: listed[rule] for rule in relevant},
            "by learned rates": {rule: rates.sorted(listed[rule])[1] for rule in relevant},
            "reversed": {rule: turned(listed[rule]) for rule in relevant},
        }
        for name, conditions in orders.items():
            asked_of = [asked_in(conditions[rule], answers[rule]) for rule in relevant]
            total[name] += len(set().union(*asked_of))
        for outcomes in answers.values():
            rates.add(outcomes)
    return {name: count / images for name, count in total.items()}


def asked_in(condition: Condition, answers: Mapping[Precondition, Outcome]) -> set[tuple[str, Any]]:
    """Which statements are asked until a condition is settled, or nothing is left."""
    known: dict[Precondition, Outcome] = {}
    asked: dict[Precondition, None] = {}
    while (leaf := logic.next_leaf(condition, known, skip=asked)) is not None:
        asked[leaf] = None
        if answers.get(leaf, Outcome.UNDECIDED) is not Outcome.UNDECIDED:
            known[leaf] = answers[leaf]
    return {(leaf.statement, leaf.look_at) for leaf in asked}


def turned(condition: Condition) -> Condition:
    """The same with every list turned round."""
    if isinstance(condition, Precondition):
        return condition
    parts = tuple(turned(part) for part in reversed(parts_of(condition)))
    if isinstance(condition, AllOf):
        return AllOf(all=parts)
    return AnyOf(any=parts) if isinstance(condition, AnyOf) else NoneOf(none=parts)


def parts_of(condition: AllOf | AnyOf | NoneOf) -> tuple[Condition, ...]:
    """The parts of a connective."""
    if isinstance(condition, AllOf):
        return condition.all
    return condition.any if isinstance(condition, AnyOf) else condition.none


if __name__ == "__main__":
    main()
