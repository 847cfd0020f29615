"""What the list of images costs the driver of `judge --ray` -> benchmarks/results/driver-memory.*.

Folders with so many names are listed, each by a process of its own: into a list, and into the
manifest that `--ray` uses, whose windows are taken as by actors and noted as judged. The files are
empty, for the driver reads none that is named `.png`.

`python benchmarks/driver_memory.py [--images 1000 50000 200000]`
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import record

from safejudge.images.listing import list_images
from safejudge.images.shards import PARQUET, TAR, list_entries
from safejudge.scale.manifest import Manifest
from safejudge.show.markdown import table

WINDOW = 32
IN_A_FOLDER = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 50_000, 200_000])
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measured(*args.measure)))
        return
    rows = []
    for count in args.images:
        with tempfile.TemporaryDirectory() as name:
            fill(Path(name), count)
            rows += [{"images": count, "in": what, **asked(what, name)} for what in MEASURES]
    shown = [
        (f"{row['images']:,}", row["in"], f"{row['mebibytes']:.0f}", f"{row['seconds']:.1f}")
        for row in rows
    ]
    text = (
        "Peak memory of a process that lists a folder (MiB, with Python and all imports), and "
        "seconds\n\n" + table(("images", "kept in", "MiB", "s"), shown)
    )
    record("driver-memory", {"rows": rows}, text)


def fill(folder: Path, count: int) -> None:
    """Make so many empty files, a thousand in a folder."""
    for number in range(count):
        below = folder / f"{number // IN_A_FOLDER:06}"
        below.mkdir(exist_ok=True)
        (below / f"picture-{number:09}.png").touch()


def asked(what: str, folder: str) -> dict[str, float]:
    """Measure in a process of its own: the peak of memory never falls."""
    line = [sys.executable, __file__, "--measure", what, folder]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measured(what: str, folder: str) -> dict[str, float]:
    begun = time.monotonic()
    count = MEASURES[what](folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts kibibytes
    return {"mebibytes": peak, "seconds": time.monotonic() - begun, "count": count}


def into_a_list(folder: str) -> int:
    """As `--ray` did before it had a manifest, but for what went to Ray."""
    entries, _ = list_entries([folder])
    return len(entries)


def into_a_manifest(folder: str) -> int:
    judged = 0
    with Manifest() as manifest:
        list_images([folder], shards=(TAR, PARQUET), listing=manifest.listing(()))
        for window in manifest.windows(WINDOW):
            for packed in window:
                judged += manifest.judge(pickle.loads(packed).name)  # noqa: S301 - packed there
    return judged


MEASURES = {"a list": into_a_list, "the manifest": into_a_manifest}

if __name__ == "__main__":
    main()
