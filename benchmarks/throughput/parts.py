"""What each part of the chain is worth -> benchmarks/results/throughput-parts-MODEL.{json,md}.

The models, pictures and floor of `python -m benchmarks.throughput`, one run: the chain with one
thing changed or left out, and the published algorithm, one picture at a time. Every row draws the
same outcomes.

`python -m benchmarks.throughput.parts [--model smolvlm-256m] [--count 24] [--few 8]`
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from dataclasses import replace
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import record
from benchmarks.throughput.models import MODELS, opened, set_up, warm_up
from benchmarks.throughput.rows import WRITTEN, Setup, Took, but, chain, flat, one_question
from benchmarks.throughput.summary import AGAIN, FLOOR, markdown, summed_up
from safejudge import Policy
from safejudge.engines.local import vllm_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_BY_ONE = Policy.clue().model_copy(update={"max_reasoning_tokens": WRITTEN})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODELS[0], choices=MODELS)
    parser.add_argument("--count", type=int, default=24, help="pictures of a row")
    parser.add_argument("--few", type=int, default=8, help="pictures of a row one at a time")
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        setup = set_up(args.model, args.count, args.window, Path(cache) / "priors.sqlite3")
        marks = counted()
        warm_up(setup, marks)
        run = changed(setup, args.count, args.few, marks)
        write(args, run)
        run += uncached(setup, args.model, args.few, marks)
        write(args, run)


def write(args: argparse.Namespace, run: list[Took]) -> None:
    """Record what was measured so far."""
    rows = [summed_up(row.name, [run]) for row in run]
    text = f"{args.model}, {args.count} pictures a row ({args.few} one at a time), one run\n\n"
    numbers = {"rows": {row["name"]: row for row in rows}}
    record(f"throughput-parts-{args.model}", numbers, text + markdown(rows))


def changed(setup: Setup, count: int, few: int, marks: Iterator[int]) -> list[Took]:
    """Measure the chain, and what comes of it with one thing changed."""
    clean, mix = ["clean"] * count, ["clean", "violating"] * (count // 2)
    one_by_one = mix[:few]
    lean = but(open_means="no", crop=False)
    return [
        flat(setup, FLOOR, clean, next(marks), one_question(setup)),
        chain(setup, "ours, mix", mix, next(marks)),
        chain(setup, "clean, no detector", clean, next(marks), but(crop=False)),
        chain(setup, "mix, no detector", mix, next(marks), but(crop=False)),
        chain(setup, "mix, open taken for no, no detector", mix, next(marks), lean),
        chain(setup, "clean, open taken for no, no detector", clean, next(marks), lean),
        chain(setup, "mix, no reasoning", mix, next(marks), but(open_means="undecided")),
        chain(setup, "mix, no relevance", mix, next(marks), but(relevance=False)),
        chain(setup, "mix, no early stop", mix, next(marks), but(exhaustive=True)),
        chain(setup, "mix, priors not kept", mix, next(marks), cached=False),
        chain(setup, "mix, statement before the image", mix, next(marks), statement_first=True),
        chain(setup, "Algorithm 1, one at a time", one_by_one, next(marks), ONE_BY_ONE, window=1),
        flat(setup, AGAIN, clean, next(marks), one_question(setup)),
    ]


def uncached(setup: Setup, model: str, few: int, marks: Iterator[int]) -> list[Took]:
    """Algorithm 1 on an engine of its own that remembers nothing."""
    setup.engine.close()
    gc.collect()
    vllm_steps._CACHED_PICTURES = 0  # noqa: SLF001 - every picture is handed over every time
    engine = opened(model, enable_prefix_caching=False, mm_processor_cache_gb=0)
    mix = ["clean", "violating"] * (few // 2)
    bare = replace(setup, engine=engine)
    chain(bare, "warm", mix[:2], next(marks), ONE_BY_ONE, window=1)
    name = "Algorithm 1, one at a time, no caches"
    return [chain(bare, name, mix, next(marks), ONE_BY_ONE, window=1)]


if __name__ == "__main__":
    main()
