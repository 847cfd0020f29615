"""How well the sketch judge answers single questions: TPR and TNR per family of statements.

Held-out scenes of the even world, and of the skewed one; as many true as false questions of every
family (six in ten false ones are made of words that fit something in the scene); the shipped model
and its unskewed twin. An answer is yes where M > 0.5; no debiasing, no reasoning. An unreadable
answer is wrong. Vague statements have no single truth: their label is one annotator's, and they
are left out of the means.

`python benchmarks/preconditions.py [--each 200]`
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from measure import record
from twin import open_engine

from safejudge.evals.stats.rates import share
from safejudge.method.questions import picture_probe
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.questions import Facts, World
from safejudge.sketch.world.statements import grammar
from safejudge.types import Picture, Precondition

if TYPE_CHECKING:
    from safejudge.sketch.world.statements import Statement

FAMILIES = tuple(dict.fromkeys(s.form.family for s in grammar().values()))
Counts = dict[tuple[str, bool], list[int]]


def questions(world: World, per_cell: int) -> list[tuple[Picture, str, str, bool]]:
    """Picture, statement, family, label: `per_cell` true and as many false ones of every family.

    A scene gives at most one of each; where a family's facts are rare, many scenes are drawn.
    """
    missing = dict.fromkeys(itertools.product(FAMILIES, (True, False)), per_cell)
    drawn = []
    while missing:
        facts = Facts(world, world.scene())
        picture = None
        for family, want in list(missing):
            statement = facts.pick(family, want=want)
            if statement is None or (family != "vague" and not _settled(statement, facts)):
                continue
            picture = picture or Picture.of(draw(facts.scene).pixels)
            drawn.append((picture, statement.text, family, want))
            missing[family, want] -= 1
            if not missing[family, want]:
                del missing[family, want]
    return drawn


def _settled(statement: Statement, facts: Facts) -> bool:
    """Whether the statement is simply true or false here (a weak flaw is neither)."""
    return statement.holds(facts.scene) in {0.0, 1.0}


def measure(model: str, drawn: list[tuple[Picture, str, str, bool]]) -> Counts:
    """Right answers and questions per family and label."""
    engine = open_engine(model)
    probes = [picture_probe(Precondition(statement=text), pic, None) for pic, text, _, _ in drawn]
    counts: Counts = defaultdict(lambda: [0, 0])
    for start in range(0, len(probes), 512):
        answers = engine.answer_probs(probes[start : start + 512])
        for answer, (_, _, family, want) in zip(answers, drawn[start : start + 512], strict=True):
            score = answer.score
            counts[family, want][0] += score is not None and (score > 0.5) == want
            counts[family, want][1] += 1
    engine.close()
    return counts


def average(counts: Counts, *, want: bool) -> float:
    """Mean over the families that have a truth."""
    rates = [
        right / total
        for (family, label), (right, total) in counts.items()
        if label is want and total and family != "vague"
    ]
    return sum(rates) / len(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--engines", nargs="+", default=["hf:sketch", "hf:sketch-even"])
    args = parser.parse_args()
    parts, numbers = [], {}
    for skewed in (False, True):
        name = "skewed" if skewed else "even"
        drawn = questions(World(f"held-out-{name}", skewed=skewed), args.each)
        counts = {model: measure(model, drawn) for model in args.engines}
        rows = [
            [f"**mean of {side}**", *(f"**{average(counts[m], want=want):.3f}**" for m in counts)]
            for side, want in (("TPR", True), ("TNR", False))
        ]
        for family in FAMILIES:
            for side, want in (("TPR", True), ("TNR", False)):
                cells = [share(*counts[model].get((family, want), [0, 0])) for model in counts]
                rows.append([f"{family}, {side}", *cells])
        scenes = len({picture for picture, *_ in drawn})
        parts.append(f"Scenes of the {name} world ({len(drawn)} questions, {scenes} scenes)\n")
        parts.append(table(["questions", *counts], rows) + "\n")
        numbers[name] = {
            model: {
                "tpr": average(counts, want=True),
                "tnr": average(counts, want=False),
                "families": {f"{f}/{'yes' if w else 'no'}": c for (f, w), c in counts.items()},
            }
            for model, counts in counts.items()
        }
    record("preconditions", numbers, "\n".join(parts))


if __name__ == "__main__":
    main()
