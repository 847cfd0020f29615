"""Whether a picture costs the same late in a long run -> results/throughput-flat-MODEL.{json,md}.

One run of one judge over drawn scenes, encoded one at a time as they are wanted. Ten equal parts:
seconds per picture of each, as ratios to all, and the resident memory of this process at its end
(it holds the encoder and the detector as well; vLLM's model runs in another). Models as in
`benchmarks.throughput`.

`python -m benchmarks.throughput.flat [--model sketch] [--count 5000] [--kind clean|mix]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tqdm import tqdm

from benchmarks.measure import record
from benchmarks.throughput.__main__ import MODELS, set_up
from benchmarks.throughput.rows import DEFAULT, Setup, judge_of, marked, pictures_of
from benchmarks.throughput.scripted import THRESHOLD, Script
from safejudge import Judgment
from safejudge.evals.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = 10
KINDS = {"clean": ("clean",), "mix": ("clean", "violating")}
SCENES = 48
"""Different ones; of each picture two pixels are its own."""
WARM = 32


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the run."""

    pictures: int
    """Judged so far."""
    seconds: float
    """Of this part, per picture."""
    resident: float
    """MiB of this process at its end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sketch", choices=MODELS)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--kind", default="mix", choices=KINDS)
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        setup = set_up(args.model, SCENES, args.window, Path(cache) / "priors.sqlite3")
        parts = run(setup, KINDS[args.kind], args.count)
        setup.engine.close()
    text = f"{args.model}, {args.count} pictures ({args.kind}), after {WARM} that warm up\n\n"
    found = {"parts": [asdict(part) for part in parts]}
    record(f"throughput-flat-{args.model}", found, text + shown(parts))


def run(setup: Setup, kinds: tuple[str, ...], count: int) -> list[Part]:
    """Judge so many pictures, and look at the clock and the memory ten times."""
    known: dict[str, tuple[str, int]] = {}

    def drawn(numbers: range) -> Iterator[bytes]:
        for number in numbers:
            kind = kinds[number % len(kinds)]
            source = marked(setup, kind, 1, number)
            if setup.scripted:
                known[pictures_of([source])[0].digest] = (kind, number)
            yield source

    policy = DEFAULT
    if setup.scripted:
        policy = policy.model_copy(update={"relevance_threshold": THRESHOLD})
    judge = judge_of(setup, Script(known, setup.shares), policy)
    list(judge.stream(drawn(range(count, count + WARM)), window=setup.window))
    parts, process = [], psutil.Process()
    begun = time.perf_counter()
    results = judge.stream(drawn(range(count)), window=setup.window)
    for done, one in enumerate(tqdm(results, total=count), 1):
        if not isinstance(one, Judgment):
            raise TypeError(f"picture {done} could not be judged: {one}")
        if done % (count // PARTS) == 0:
            now = time.perf_counter()
            each = (now - begun) / (count // PARTS)
            parts.append(Part(done, each, process.memory_info().rss / 2**20))
            begun = now
    return parts


def shown(parts: list[Part]) -> str:
    """One line per part."""
    mean = sum(part.seconds for part in parts) / len(parts)
    rows = [
        (str(part.pictures), f"{part.seconds:.4f}", f"{part.seconds / mean:.3f}",
         f"{part.resident:.0f}")
        for part in parts
    ]  # fmt: skip
    return table(("pictures so far", "s/picture", "ratio to all", "resident MiB"), rows)


if __name__ == "__main__":
    main()
