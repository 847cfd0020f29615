"""Mixed drawn scenes judged by the whole chain against `sketch.yaml`, with exact truth.

A third violating, a third borderline, a third plain, from seeds the training never saw. Undecided
counts as a miss on a violating image (or rule) and as a false alarm on one that is not; coverage
stands beside. Intervals are 95 %, over resampled images.

`python benchmarks/scenes.py [--count 500]`
"""

from __future__ import annotations

import argparse
import itertools
import warnings

from measure import record
from twin import open_models

from safejudge.constitution.load import load_constitution
from safejudge.policy import POLICIES
from safejudge.sketch.bench.bench import Item, Variant, measure, row
from safejudge.sketch.bench.report import figures, rules_table, variants_table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes
from safejudge.types import Picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--engines", nargs="+", default=["hf:sketch", "hf:sketch-even"])
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # what the flat form drops, rule by rule
    constitution = load_constitution("sketch")
    drawn = itertools.islice(mixed_scenes(constitution, "benchmark"), args.count)
    items = [Item(scene, truth, Picture.of(draw(scene).pixels)) for scene, truth in drawn]
    rows, rules = {}, []
    for engine in args.engines:
        models = open_models(engine)
        for policy in POLICIES:
            variant = Variant(f"{engine}, {policy}", POLICIES[policy]())
            judged = measure(variant, constitution, models, items, lambda _: None)
            rows[variant.name] = row(judged)
            if policy == "default":
                rules.append(f"Per rule, {variant.name}\n\n{rules_table(judged)}")
        models.close()
    text = f"{args.count} mixed scenes\n\n" + "\n\n".join([variants_table(rows), *rules])
    record("scenes", {name: figures(judged) for name, judged in rows.items()}, text)


if __name__ == "__main__":
    main()
