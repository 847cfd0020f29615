"""SketchBench, recorded: what each stage of the method is worth, for one model.

The same as `safejudge sketch bench`, and for the twin (`hf:sketch-even`) as well. The answers that
one run leaves in `--answers` are taken up by the next of the same weights and prompts.

What `default` does was chosen on scenes of the seed `decide-dev-1`; those of `decide-report`, which
are measured here, were first drawn after that.

`python benchmarks/bench.py hf:sketch --answers runs/answers.db`
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from measure import record
from twin import open_models

from safejudge.engines.cached import CachedEngine
from safejudge.show.progress import progress
from safejudge.sketch.bench import report as bench_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--per-rule", type=int, default=24)
    parser.add_argument("--plain", type=int, default=240)
    parser.add_argument("--seed", default="decide-report")
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # what the flat form drops, rule by rule
    items = bench_report.draw_bench(args.per_rule, args.plain, args.seed)
    models = open_models(args.engine)
    if args.answers is not None:
        models.engine = CachedEngine(models.engine, args.answers)
    with progress(bench_report.work(models, len(items))) as advance:
        numbers, text = bench_report.run(models, items, advance)
    name = "bench-" + args.engine.removeprefix("hf:")
    record(name, numbers, f"{len(items)} scenes of the seed {args.seed}, {args.engine}\n\n{text}")


if __name__ == "__main__":
    main()
