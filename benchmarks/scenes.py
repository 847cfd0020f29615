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

from measure import bootstrap, record, share, table

from safejudge import Judge
from safejudge.constitution import load_constitution
from safejudge.sketch.draw import draw
from safejudge.sketch.judge import open_sketch_engine
from safejudge.sketch.scenes import Truth, mixed_scenes
from safejudge.types import Failure, Judgment


@dataclass(frozen=True)
class Case:
    """One image: truth and judgment."""

    truth: Truth
    found: Judgment


def confusion(pairs: Sequence[tuple[bool, str]]) -> tuple[int, int, int, int]:
    """(tp, fp, fn, tn) of (truly unsafe, called) pairs; undecided is always the wrong side."""
    tp = sum(truth and called == "unsafe" for truth, called in pairs)
    fn = sum(truth for truth, _ in pairs) - tp
    fp = sum(not truth and called != "safe" for truth, called in pairs)
    return tp, fp, fn, len(pairs) - tp - fn - fp


def scores(pairs: Sequence[tuple[bool, str]]) -> tuple[float, float, float]:
    """Precision, recall, F1; NaN where undefined."""
    tp, fp, fn, _ = confusion(pairs)
    nan = float("nan")
    precision = tp / (tp + fp) if tp + fp else nan
    recall = tp / (tp + fn) if tp + fn else nan
    return precision, recall, 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else nan


_CALLED = {"violated": "unsafe", "not_violated": "safe", "undecided": "undecided"}


def image_pairs(cases: Sequence[Case]) -> list[tuple[bool, str]]:
    """One pair per image."""
    return [(bool(c.truth.violations), c.found.label) for c in cases]


def rule_pairs(cases: Sequence[Case], rule: str | None = None) -> list[tuple[bool, str]]:
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
        point = scores(pairs_of(cases))
        for index, name in enumerate(("precision", "recall", "F1")):
            low, high = bootstrap(cases, lambda some, i=index, f=pairs_of: scores(f(some))[i], 400)
            rows.append([f"{level} {name}", f"{point[index]:.3f} [{low:.3f}, {high:.3f}]"])
            numbers[f"{level}_{name}"] = point[index]
    for kind in ("plain", "borderline"):
        some = [c for c in cases if c.truth.kind == kind]
        alarms = sum(c.found.label != "safe" for c in some)
        rows.append([f"FPR on {kind} scenes", share(alarms, len(some))])
        numbers[f"fpr_{kind}"] = alarms / max(1, len(some))
    decided = sum(c.found.label != "undecided" for c in cases)
    rows.append(["coverage (images decided)", share(decided, len(cases))])
    ruled = [called != "undecided" for _, called in rule_pairs(cases)]
    rows.append(["coverage (rules decided)", share(sum(ruled), len(ruled))])
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
                pairs = rule_pairs(cases, rule.id)
                p, r, f1 = scores(pairs)
                n = sum(truth for truth, _ in pairs)
                open_ = sum(called == "undecided" for _, called in pairs)
                per_rule.append([rule.id, str(n), f"{p:.3f}", f"{r:.3f}", f"{f1:.3f}", str(open_)])
    first = next(iter(columns.values()))
    rows = [[row[0], *(c[i][1] for c in columns.values())] for i, row in enumerate(first)]
    text = f"{args.count} mixed scenes\n\n{table(['', *columns], rows)}\n\n"
    text += f"Per rule ({next(iter(columns))})\n\n"
    text += table(["rule", "violating", "precision", "recall", "F1", "undecided"], per_rule)
    record("scenes", numbers, text)


if __name__ == "__main__":
    main()
