"""What a whole constitution costs -> benchmarks/results/throughput-MODEL.{json,md}.

One vLLM engine; all rows in one run; seconds per picture as ratios to one question per picture.
A shape has random weights (`shapes`), and its answers are drawn from what the shipped judge's were
(`outcomes`, `scripted`): 14 rules, 42 preconditions (`osbench`), pictures of 512 pixels. `sketch`
is the shipped judge with its own answers: 12 rules, 28 preconditions, pictures of 96 pixels.
Pictures are PNG, read and decoded in the run. `mix`: every other picture violates a rule.

Each run is over other pictures, with other outcomes. The record is written anew after each. What
single parts are worth is measured by `benchmarks.throughput.parts`.

`python -m benchmarks.throughput [--model smolvlm-256m] [--count 48] [--runs 3] [--window 32]`
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import record
from benchmarks.throughput.models import MODELS, set_up, warm_up
from benchmarks.throughput.rows import (
    Setup,
    Took,
    chain,
    flat,
    one_question,
    one_rationale,
    rule_prompts,
)
from benchmarks.throughput.summary import AGAIN, FLOOR, PER_RULE, RATIONALE, markdown, summed_up

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODELS[0], choices=MODELS)
    parser.add_argument("--count", type=int, default=48, help="pictures of a row")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        priors = Path(cache) / "priors.sqlite3"
        setup = set_up(args.model, args.count * args.runs, args.window, priors)
        runs: list[list[Took]] = []
        marks = counted()
        warm_up(setup, marks)
        for number in range(args.runs):
            runs.append(compared(replace(setup, first=number * args.count), args.count, marks))
            write(args, runs)


def write(args: argparse.Namespace, runs: list[list[Took]]) -> None:
    """Record what was measured so far."""
    rows = [summed_up(row.name, runs) for row in runs[0]]
    text = (
        f"{args.model}: {len(runs)} runs of {args.count} pictures a row; median, and least to "
        "most\n\n"
    )
    numbers = {"rows": {row["name"]: row for row in rows}}
    record(f"throughput-{args.model}", numbers, text + markdown(rows))


def compared(setup: Setup, count: int, marks: Iterator[int]) -> list[Took]:
    """Measure the rows of one run; it begins and ends with the floor, to see the machine drift."""
    clean, mix = ["clean"] * count, ["clean", "violating"] * (count // 2)
    return [
        flat(setup, FLOOR, clean, next(marks), one_question(setup)),
        chain(setup, "ours, clean", clean, next(marks)),
        chain(setup, "ours, mix", mix, next(marks)),
        flat(setup, PER_RULE, mix, next(marks), rule_prompts(setup)),
        flat(setup, RATIONALE, mix, next(marks), one_rationale(setup)),
        flat(setup, AGAIN, clean, next(marks), one_question(setup)),
    ]


if __name__ == "__main__":
    main()
