"""Where the seconds of one run go -> benchmarks/results/throughput-profile.{json,md}.

Mixed drawn scenes judged by an engine alone (no relevance filter, no detector), after a warm-up.
vLLM's model runs in a process of its own, so the CPU seconds of this one are what Python does
about requests, pictures and verdicts. A second, shorter run, profiled, says in which functions.
Runs of several commits stand side by side, each under its `--name`; a name that comes again adds a
run, so that commits can be measured in turns on a machine whose speed drifts.

`python -m benchmarks.throughput.profile --name after [--engine vllm:sketch] [--count 256]`
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import RESULTS, provenance, record
from benchmarks.throughput.outcomes import SEED
from safejudge import Judge, Policy, PriorCache
from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "throughput-profile"
POLICY = Policy(relevance=False, crop=False, region=False)
STAGES = ("questions", "reasoning", "reading images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--engine", default="vllm:sketch")
    parser.add_argument("--count", type=int, default=256)
    args = parser.parse_args()
    rules = load_constitution("sketch")
    drawn = islice(mixed_scenes(rules, SEED), 3 * args.count // 2)
    pictures = [draw(scene).pixels for scene, _ in drawn]
    warm, timed, profiled = pictures[:32], pictures[: args.count], pictures[args.count :]
    with tempfile.TemporaryDirectory() as cache:
        priors = PriorCache(Path(cache) / "priors.sqlite3")
        judge = Judge.load(rules, args.engine, POLICY, priors, encoder=None, detector=None)
        with judge:
            list(judge.stream([255 - pixels for pixels in warm]))
            result = run(judge, timed) | {"functions": functions(judge, profiled)}
    file = RESULTS / f"{NAME}.json"
    runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else []
    header = {"name": args.name, "engine": args.engine, "count": args.count}
    runs.append(header | result | {"made": provenance()})
    record(NAME, {"runs": runs}, markdown(runs))


def run(judge: Judge, pictures: Sequence[Any]) -> dict[str, Any]:
    """Judge, and read the clocks."""
    before = dict(judge.models.meter.seconds)
    wall, cpu = time.perf_counter(), time.process_time()
    list(judge.stream(pictures))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    meter = judge.models.meter
    stages = {stage: meter.seconds[stage] - before.get(stage, 0.0) for stage in STAGES}
    return {"seconds": wall, "own": cpu, "stages": stages}


def functions(judge: Judge, pictures: Sequence[Any]) -> list[tuple[str, float]]:
    """The functions of this process that take longest, with their own seconds."""
    profile = cProfile.Profile()
    profile.runcall(lambda: list(judge.stream(pictures)))
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    longest = sorted(stats.items(), key=lambda pair: -pair[1][2])[:12]
    return [(f"{Path(where).name}:{name}", round(row[2], 3)) for (where, _, name), row in longest]


def markdown(runs: Sequence[dict[str, Any]]) -> str:
    """One line per run, in the order in which they were made."""
    rows = [
        (
            run["name"], f"{run['made']['commit'][:12]}", run["engine"], str(run["count"]),
            f"{run['count'] / run['seconds']:.2f}", f"{run['seconds']:.1f}",
            *(f"{run['stages'][stage]:.1f}" for stage in STAGES),
            f"{run['own']:.1f}", f"{run['own'] / run['seconds']:.0%}",
        )
        for run in runs
    ]  # fmt: skip
    head = ("run", "commit", "engine", "pictures", "pictures/s", "seconds", *STAGES,
            "CPU of this process", "share")  # fmt: skip
    last = {run["name"]: run["functions"] for run in runs}
    lists = "\n\n".join(
        f"{name}: " + ", ".join(f"{f} {s:.2f}" for f, s in functions)
        for name, functions in last.items()
    )
    text = "Own seconds of functions, half as many pictures, the last run of each name:"
    return f"{table(head, rows)}\n\n{text}\n\n{lists}"


if __name__ == "__main__":
    main()
