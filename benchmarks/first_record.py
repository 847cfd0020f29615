"""How soon a record is on disk, and how long none comes -> benchmarks/results/first-record.*.

`judge --out` of drawn scenes runs as a process of its own, and its file is watched. With
`--against` the same is done with another checkout, in turns, so that both meet the same machine.

`python benchmarks/first_record.py [--against ../before] [--scenes 200] [--turns 3]`
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from measure import record

from safejudge.show.markdown import table
from safejudge.sketch.scenes import write_scenes

SEED = 9022
HERE = Path(__file__).parents[1]


class Watched(NamedTuple):
    """One run as its file showed it; seconds since the models were open."""

    first: float
    """Until the first record."""
    gap: float
    """The longest time without a new record, from the opening on."""
    total: float
    """Until the last."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    trees = {"now": HERE} | ({} if args.against is None else {"before": args.against.resolve()})
    runs: dict[str, list[Watched]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder / "scenes", args.scenes, SEED)
        for turn in range(args.turns):
            for tree, path in trees.items():
                runs[tree].append(watched(path, folder, f"{tree}-{turn}.jsonl", args.scenes))
    rows = [
        [tree, *(" ".join(f"{run[field]:.1f}" for run in found) for field in range(3))]
        for tree, found in runs.items()
    ]
    medians = {
        tree: Watched(*(statistics.median(run[field] for run in found) for field in range(3)))
        for tree, found in runs.items()
    }
    numbers = {
        tree: {"runs": [run._asdict() for run in found], "median": medians[tree]._asdict()}
        for tree, found in runs.items()
    }
    text = table(["tree", "first record, s", "longest gap, s", "all records, s"], rows)
    if "before" in medians:
        ratios = (now / then for now, then in zip(medians["now"], medians["before"], strict=True))
        text += "\n\nNow / before, medians: " + ", ".join(
            f"{name} {ratio:.2f}"
            for name, ratio in zip(("first", "gap", "all"), ratios, strict=True)
        )
    record("first-record", numbers, f"{args.scenes} drawn scenes, hf:sketch\n\n{text}")


def watched(tree: Path, folder: Path, out: str, count: int) -> Watched:
    """Judge all scenes with one checkout, and watch the file of records."""
    command = [
        sys.executable, "-m", "safejudge", "judge", "scenes", "--constitution", "sketch",
        "--engine", "hf:sketch", "--out", out,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(tree)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    times: list[float] = []
    while process.poll() is None:
        lines = (folder / out).read_bytes().count(b"\n") if (folder / out).exists() else 0
        times += [time.monotonic()] * (lines - len(times))
        time.sleep(0.02)
    lines = (folder / out).read_bytes().count(b"\n")
    times += [time.monotonic()] * (lines - len(times))
    if lines != count + 1:
        sys.exit(f"{tree}: {lines - 1} records of {count} scenes")
    opened, *records = times  # the first line is the head, which is written when all is open
    gaps = [after - before for before, after in zip(times, records, strict=False)]
    return Watched(records[0] - opened, max(gaps), records[-1] - opened)


if __name__ == "__main__":
    main()
