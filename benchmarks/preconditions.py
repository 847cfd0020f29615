"""How well the sketch judge answers single questions: TPR and TNR per family of statements.

Balanced questions (half true, half false; most false ones made of words that fit something in the
scene) about held-out scenes of the even world, and of the skewed one; the shipped model and its
unskewed twin. An answer is yes where M > 0.5; no debiasing, no reasoning. An unreadable answer is
wrong. Vague statements have no single truth and are listed apart.

`python benchmarks/preconditions.py [--scenes 500]`
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from measure import record, share, table

from safejudge.probe import full_probe
from safejudge.sketch import tasks
from safejudge.sketch.draw import draw
from safejudge.sketch.judge import open_sketch_engine
from safejudge.types import Picture, Precondition

Counts = dict[tuple[str, bool], list[int]]


def questions(world: tasks.World, scenes: int) -> list[tuple[Picture, str, str, bool]]:
    """Picture, statement, family, label: 16 per scene, every family equally often."""
    families = tuple(tasks.family_weights())
    asked = []
    for number in range(scenes):
        scene = world.scene()
        facts = tasks.Facts(world, scene)
        picture = Picture.of(draw(scene).pixels)
        for offset in range(16):
            want = offset % 2 == 0
            family = families[(number + offset * 7 // 2) % len(families)]
            statement = facts.pick(family, want=want)
            if statement is None or statement.holds(scene) not in {0.0, 1.0}:
                continue
            asked.append((picture, statement.text, family, want))
    return asked


def measure(model: str, asked: list[tuple[Picture, str, str, bool]]) -> Counts:
    """Right answers and questions per family and label."""
    engine = open_sketch_engine(model)
    probes = [full_probe(Precondition(statement=text), pic, None) for pic, text, _, _ in asked]
    counts: Counts = defaultdict(lambda: [0, 0])
    for start in range(0, len(probes), 512):
        answers = engine.answer_probs(probes[start : start + 512])
        for answer, (_, _, family, want) in zip(answers, asked[start : start + 512], strict=True):
            score = answer.score
            counts[family, want][0] += score is not None and (score > 0.5) == want
            counts[family, want][1] += 1
    engine.close()
    return counts


def average(counts: Counts, *, want: bool) -> float:
    """Mean over the families that have a truth."""
    rates = [
        right / asked
        for (family, label), (right, asked) in counts.items()
        if label is want and asked and family != "vague"
    ]
    return sum(rates) / len(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--models", nargs="+", default=["vlm"])
    args = parser.parse_args()
    parts, numbers = [], {}
    for skewed in (False, True):
        name = "skewed" if skewed else "even"
        asked = questions(tasks.World(f"held-out-{name}", skewed=skewed), args.scenes)
        found = {model: measure(model, asked) for model in args.models}
        rows = [
            [f"**mean of {side}**", *(f"**{average(found[m], want=want):.3f}**" for m in found)]
            for side, want in (("TPR", True), ("TNR", False))
        ]
        for family in tasks.family_weights():
            for side, want in (("TPR", True), ("TNR", False)):
                cells = [share(*found[model].get((family, want), [0, 0])) for model in found]
                rows.append([f"{family}, {side}", *cells])
        parts.append(f"Scenes of the {name} world ({args.scenes} scenes)\n")
        parts.append(table(["questions", *found], rows) + "\n")
        numbers[name] = {
            model: {
                "tpr": average(counts, want=True),
                "tnr": average(counts, want=False),
                "families": {f"{f}/{'yes' if w else 'no'}": c for (f, w), c in counts.items()},
            }
            for model, counts in found.items()
        }
    record("preconditions", numbers, "\n".join(parts))


if __name__ == "__main__":
    main()
