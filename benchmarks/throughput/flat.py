"""Whether a picture costs the same late in a long run -> results/throughput-flat-MODEL.{json,md}.

One run of one judge over drawn scenes, encoded one at a time as they are wanted, after violating
ones that fill the caches. Five parts: seconds per picture of each, as ratios to all; what was asked
meanwhile; and the resident memory of this process at its end (it holds the encoder and the detector
as well; vLLM's model runs in another). Results come in order, so those behind a picture that waits
for reasoning come in one burst: a part ends with a burst. Models as in `benchmarks.throughput`.

`python -m benchmarks.throughput.flat [--model sketch] [--count 5000] [--kind clean|mix]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tqdm import tqdm

from benchmarks.measure import record
from benchmarks.throughput.models import MODELS, set_up
from benchmarks.throughput.rows import DEFAULT, Setup, judge_of, marked, pictures_of
from benchmarks.throughput.scripted import THRESHOLD, Script
from safejudge import Judgment
from safejudge.engines.meter import STAGES
from safejudge.show.markdown import table
from safejudge.types import Locate, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTS = 5
KINDS = {"clean": ("clean",), "mix": ("clean", "violating")}
SCENES = 48
"""Different ones; of each picture two pixels are its own."""
WARM = 48
COUNTED = tuple(STAGES[kind] for kind in (Probe, Reasoning, Locate))


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the clock, the memory and the meter when a result came."""

    seconds: float
    """Since the run began."""
    resident: float
    """MiB of this process."""
    asked: tuple[int, ...]
    """Requests so far, as in `ASKED`."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the run."""

    pictures: int
    """Judged so far."""
    seconds: float
    """Of this part, per picture."""
    resident: float
    """MiB of this process at its end."""
    asked: tuple[float, ...]
    """Requests per picture, as in `ASKED`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sketch", choices=MODELS)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--kind", default="mix", choices=KINDS)
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        setup = set_up(args.model, SCENES, args.window, Path(cache) / "priors.sqlite3")
        cut = run(setup, KINDS[args.kind], args.count)
        setup.engine.close()
    text = f"{args.model}, {args.count} pictures ({args.kind}), after {WARM} that warm up\n\n"
    result = {"parts": [asdict(part) for part in cut]}
    record(f"throughput-flat-{args.model}", result, text + markdown(cut))


def run(setup: Setup, kinds: tuple[str, ...], count: int) -> list[Part]:
    """Judge so many pictures, and look at clock, memory and meter as results come."""
    first_verdicts: dict[str, tuple[str, int]] = {}

    def drawn(mark: int, kinds: tuple[str, ...], count: int) -> Iterator[bytes]:
        for number in range(count):
            kind = kinds[number % len(kinds)]
            source = marked(setup, kind, mark, number)
            if setup.scripted:
                first_verdicts[pictures_of([source])[0].digest] = (kind, number)
            yield source

    policy = DEFAULT
    if setup.scripted:
        policy = policy.model_copy(update={"relevance_threshold": THRESHOLD})
    judge = judge_of(setup, Script(first_verdicts, setup.shares), policy)
    list(judge.stream(drawn(1, ("violating",), WARM), window=setup.window))
    process, begun = psutil.Process(), time.perf_counter()

    def look() -> Look:
        requests = judge.models.meter.requests
        resident = process.memory_info().rss / 2**20
        return Look(time.perf_counter() - begun, resident, tuple(requests[s] for s in COUNTED))

    looks = [look()]
    results = judge.stream(drawn(2, kinds, count), window=setup.window)
    for result in tqdm(results, total=count):
        if not isinstance(result, Judgment):
            raise TypeError(f"picture {len(looks)} could not be judged: {result}")
        looks.append(look())
    return parts(looks)


def parts(looks: Sequence[Look]) -> list[Part]:
    """Cut a run where bursts of results end; the last part takes what is left over."""
    count = len(looks) - 1
    mean, least = looks[-1].seconds / count, count // PARTS
    waits = [later.seconds - look.seconds for look, later in pairwise(looks)]
    ends = [0]
    for done in range(1, count):
        if waits[done] > mean and done - ends[-1] >= least:
            ends.append(done)
    if count - ends[-1] < least // 2 and len(ends) > 1:
        ends.pop()
    return [part(looks, *cut) for cut in pairwise([*ends, count])]


def part(looks: Sequence[Look], first: int, end: int) -> Part:
    """Sum up what lies between two looks."""
    start, stop, count = looks[first], looks[end], end - first
    requests = tuple((new - old) / count for old, new in zip(start.asked, stop.asked, strict=True))
    return Part(end, (stop.seconds - start.seconds) / count, stop.resident, requests)


def markdown(series: list[Part]) -> str:
    """One line per part."""
    befores = [0, *(part.pictures for part in series)]
    seconds = sum(p.seconds * (p.pictures - b) for p, b in zip(series, befores, strict=False))
    mean = seconds / series[-1].pictures
    rows = [
        (str(part.pictures), f"{part.seconds:.4f}", f"{part.seconds / mean:.3f}",
         *(f"{rate:.2f}" for rate in part.asked), f"{part.resident:.0f}")
        for part in series
    ]  # fmt: skip
    return table(("pictures so far", "s/picture", "ratio to all", *COUNTED, "resident MiB"), rows)


if __name__ == "__main__":
    main()
