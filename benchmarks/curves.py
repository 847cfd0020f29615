"""How long thresholds, ranking and calibration take by the number of rows; all scores differ.

`python benchmarks/curves.py [--most 80000]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from measure import record

from safejudge.evals.stats import curves
from safejudge.show.markdown import table

MEASURES: dict[str, Callable[[Sequence[float], Sequence[bool]], object]] = {
    "sweep": curves.sweep,
    "average precision": curves.average_precision,
    "AUROC": curves.auroc,
    "calibration error": curves.calibration_error,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=80_000)
    largest = parser.parse_args().most
    sizes = [largest // 16, largest // 4, largest]
    seconds = {name: [timed(measure, size) for size in sizes] for name, measure in MEASURES.items()}
    heads = ("seconds of CPU for", *(f"{size:,} rows" for size in sizes))
    rows = [(name, *(f"{value:.3f}" for value in values)) for name, values in seconds.items()]
    record("curves", {"rows": sizes, "seconds": seconds}, table(heads, rows))


def timed(measure: Callable[[Sequence[float], Sequence[bool]], object], size: int) -> float:
    random = np.random.default_rng(0)
    scores, truths = random.random(size).tolist(), (random.random(size) < 0.2).tolist()
    start = time.process_time()
    measure(scores, truths)
    return time.process_time() - start


if __name__ == "__main__":
    main()
