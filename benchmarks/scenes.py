"""Mixed drawn scenes judged by the whole chain against `sketch.yaml`, with exact truth.

A third violating, a third borderline, a third plain, from seeds the training never saw. Undecided
counts as a miss on a violating image (or rule) and as a false alarm on one that is not; coverage
stands beside. Intervals are 95 %, over resampled images.

`python benchmarks/scenes.py [--count 500]`
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from measure import record

from safejudge import Judge
from safejudge.constitution import load_constitution
from safejudge.evals.metrics import Counts, bootstrap
from safejudge.evals.report import figure, share, table
from safejudge.sketch.draw import draw
from safejudge.sketch.judge import open_sketch_engine
from safejudge.sketch.scenes import Truth, mixed_scenes
from safejudge.types import Failure, Judgment, Outcome


@dataclass(frozen=True)
class Case:
    """One image: truth and judgment."""

    truth: Truth
    found: Judgment


_CALLED = {
    "safe": Outcome.NO, "unsafe": Outcome.YES, "undecided": Outcome.UNDECIDED,
    "violated": Outcome.YES, "not_violated": Outcome.NO,
}  # fmt: skip


def image_pairs(cases: Sequence[Case]) -> list[tuple[bool, Outcome]]:
    """One pair per image."""
    return [(bool(c.truth.violations), _CALLED[c.found.label]) for c in cases]


def rule_pairs(cases: Sequence[Case], rule: str | None = None) -> list[tuple[bool, Outcome]]:
    """One pair per image and rule."""
    return [
        (name in c.truth.violations, _CALLED[verdict.outcome])
        for c in cases
        for name, verdict in c.found.rules.items()
        if rule in (None, name)
    ]


def summary(cases: Sequence[Case]) -> tuple[list[list[str]], dict[str, float]]:
    """Rows of the table, and the bare numbers."""
    rows, numbers = [], {}
    for level, pairs_of in (("image", image_pairs), ("rule", rule_pairs)):
        point = Counts.of(pairs_of(cases))
        for name in ("precision", "recall", "f1"):
            interval = bootstrap(
                cases, lambda some, n=name, f=pairs_of: getattr(Counts.of(f(some)), n), 400
            )
            numbers[f"{level}_{name}"] = getattr(point, name)
            rows.append([f"{level} {name}", figure(numbers[f"{level}_{name}"], interval)])
    for kind in ("plain", "borderline"):
        counts = Counts.of(image_pairs([c for c in cases if c.truth.kind == kind]))
        rows.append([f"FPR on {kind} scenes", share(counts.fp, counts.fp + counts.tn)])
        numbers[f"fpr_{kind}"] = counts.fpr
    for level, pairs_of in (("images", image_pairs), ("rules", rule_pairs)):
        counts = Counts.of(pairs_of(cases))
        rows.append([f"coverage ({level} decided)", share(counts.decided, counts.asked)])
    for what in ("probes", "reasoning_calls"):
        mean = sum(getattr(c.found.usage, what) for c in cases) / len(cases)
        rows.append([f"{what.replace('_', ' ')} per image", f"{mean:.2f}"])
        numbers[what] = mean
    return rows, numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--models", nargs="+", default=["vlm", "vlm-even"])
    parser.add_argument("--policies", nargs="+", default=["default", "clue", "clue-tree"])
    args = parser.parse_args()
    constitution = load_constitution("sketch")
    drawn = list(itertools.islice(mixed_scenes(constitution, "benchmark"), args.count))
    pictures = [draw(scene).pixels for scene, _ in drawn]
    columns: dict[str, list[list[str]]] = {}
    numbers, per_rule = {}, []
    for model, policy in itertools.product(args.models, args.policies):
        engine = open_sketch_engine(model)
        results = Judge.load(constitution, engine, policy, cache=None)(pictures)
        engine.close()
        assert not any(isinstance(r, Failure) for r in results)  # noqa: S101
        cases = [Case(t, f) for (_, t), f in zip(drawn, results, strict=True)]  # type: ignore[arg-type]
        name = f"{model}, {policy}"
        columns[name], numbers[name] = summary(cases)
        if (model, policy) == (args.models[0], args.policies[0]):
            for rule in constitution.rules:
                c = Counts.of(rule_pairs(cases, rule.id))
                rates = [figure(rate) for rate in (c.precision, c.recall, c.f1)]
                per_rule.append([rule.id, str(c.tp + c.fn), *rates, str(c.asked - c.decided)])
    first = next(iter(columns.values()))
    rows = [[row[0], *(c[i][1] for c in columns.values())] for i, row in enumerate(first)]
    text = f"{args.count} mixed scenes\n\n{table(['', *columns], rows)}\n\n"
    text += f"Per rule ({next(iter(columns))})\n\n"
    text += table(["rule", "violating", "precision", "recall", "F1", "undecided"], per_rule)
    record("scenes", numbers, text)


if __name__ == "__main__":
    main()
