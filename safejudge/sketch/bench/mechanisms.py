"""Which test decided what, and how often it was right: the tests of the method, taken apart.

Takes judgments of scenes whose truth is known; counts per test and polarity the preconditions it
decided, and those of them that a plain M > 1/2 of the full view would have decided otherwise.
Under `none` a wrong yes hides a violation instead of inventing one, so polarities stand apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.method.logic import polarities
from safejudge.show.markdown import table
from safejudge.sketch.world.statements import grammar, normal
from safejudge.types import Outcome, PreconditionVerdict

if TYPE_CHECKING:
    from safejudge.sketch.bench.bench import Item
    from safejudge.types import Constitution, Judgment

ESTABLISHED = 30
"""Below this many decisions nothing is said about a test."""

TESTS = ("reject", "accept", "reject (crop)", "accept (crop)", "region", "contrast", "reworded",
         "reasoning: yes", "reasoning: no", "left open")  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What one test did, under one polarity."""

    decided: int = 0
    right: int = 0
    changed: int = 0
    """Decided otherwise than M > 1/2 would."""
    changed_rightly: int = 0


Tallies = dict[tuple[str, bool], Tally]
"""By test and polarity (True under `all` and `any`, False under `none`)."""


def tally(constitution: Constitution, judgments: Iterable[tuple[Item, Judgment]]) -> Tallies:
    """Count; each precondition of an image once per polarity, however many rules ask it."""
    signs = {rule.id: polarities(rule.condition) for rule in constitution.rules}
    tallies: Tallies = {(test, sign): Tally() for test in TESTS for sign in (True, False)}
    for item, judgment in judgments:
        counted: set[tuple[str, bool]] = set()
        for rule, verdict in judgment.rules.items():
            sign_of = {leaf.statement: sign for leaf, sign in signs[rule].items()}
            for leaf in verdict.preconditions:
                key = (leaf.statement, sign_of[leaf.statement])
                if key not in counted:
                    counted.add(key)
                    truth = grammar()[normal(leaf.statement)].holds(item.scene) > 0.5
                    _count(tallies[test_of(leaf), key[1]], leaf, truth=truth)
    return tallies


def test_of(verdict: PreconditionVerdict) -> str:
    """Name the test that decided, and the view it looked at."""
    match verdict.test:
        case "accept" | "reject":
            crop = any(r.view == "region_crop" and r.score is not None for r in verdict.reads)
            return f"{verdict.test} (crop)" if crop else verdict.test
        case "reasoning" if verdict.outcome is not Outcome.UNDECIDED:
            return f"reasoning: {verdict.outcome}"
        case "region" | "contrast" | "reworded":
            return verdict.test
    return "left open"


def _count(into: Tally, verdict: PreconditionVerdict, *, truth: bool) -> None:
    into.decided += 1
    if verdict.outcome is Outcome.UNDECIDED:
        return
    answer = verdict.outcome is Outcome.YES
    into.right += answer == truth
    plain = next((r.score for r in verdict.reads if r.view == "full"), None)
    if plain is not None and (plain > 0.5) != answer:
        into.changed += 1
        into.changed_rightly += answer == truth


def tests_table(tallies: Tallies) -> str:
    """Write the table."""
    return table(
        ["test", "under", "decided", "right", "wrong", "unlike M > 0.5", "of these right", ""],
        list(_rows(tallies)),
    )


def _rows(tallies: Tallies) -> Iterator[list[str]]:
    for (test, sign), t in tallies.items():
        if not t.decided:
            continue
        settled = "" if test == "left open" else str(t.right)
        wrong = "" if test == "left open" else str(t.decided - t.right)
        note = "" if t.decided >= ESTABLISHED else "not established"
        counts = [str(t.decided), settled, wrong, str(t.changed), str(t.changed_rightly)]
        yield [test, "all, any" if sign else "none", *counts, note]
