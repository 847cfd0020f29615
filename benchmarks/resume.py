"""A run of the command line that is killed, and goes on -> benchmarks/results/resume-ENGINE.*.

Drawn scenes are judged into a file once without interruption; and once more into another, with
SIGKILL to the whole process group at random moments and `--resume` after each. Then both files are
compared: every image exactly once, bytes, labels and violated rules.

`python benchmarks/resume.py [--engine hf:sketch] [--images 10000] [--kills 3] [--seed 0]`
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from multiprocessing import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import record
from PIL import Image

from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.sketch.world.scene import Scene

SEED = "resume"
FATE = ("label", "violations", "error")
"""What has to be equal in both records of an image."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="hf:sketch")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes(folder / "scenes", args.images)
        whole = Run(folder, "whole", args.engine)
        whole.go()
        broken = Run(folder, "broken", args.engine)
        chance = random.Random(args.seed)  # noqa: S311 - where a run is killed is no secret
        for at in sorted(chance.sample(range(1, args.images), args.kills)):
            broken.go(until=at)
        broken.go()
        found = compared(whole, broken, args.images)
    text = f"{args.images} drawn scenes, {args.engine}, killed {len(broken.kills)} times\n\n"
    record("resume-" + args.engine.strip(":").replace(":", "-"), found, text + shown(found))
    if found["missing"] or found["twice"]:
        sys.exit(1)


def scenes(folder: Path, count: int) -> None:
    """Draw scenes as files, on every core."""
    folder.mkdir()
    drawn = islice(mixed_scenes(load_constitution("sketch"), SEED), count)
    work = ((folder / f"{place:05d}.png", scene) for place, (scene, _) in enumerate(drawn))
    with Pool() as pool:
        for _ in pool.imap_unordered(_save, work, chunksize=32):
            pass


def _save(work: tuple[Path, Scene]) -> None:
    file, scene = work
    Image.fromarray(draw(scene).pixels).save(file)


class Run:
    """One file of records, and the command that writes it."""

    def __init__(self, folder: Path, name: str, engine: str) -> None:
        self.file = folder / f"{name}.jsonl"
        self.kills: list[int] = []
        """How many records stood there when it was killed."""
        self.seconds = 0.0
        self._read = self._seen = 0
        self._log = (folder / f"{name}.log").open("wb")
        self._cache = str(folder / f"{name}-cache")
        self._command = [
            sys.executable, "-m", "safejudge", "judge", str(folder / "scenes"), "--engine", engine,
            "--constitution", "sketch", "--out", str(self.file),
        ]  # fmt: skip

    def go(self, until: int | None = None) -> None:
        """Run to the end, or until so many records are there, and kill it then."""
        more = ["--resume"] if self.file.exists() else []
        self._read = self._seen = 0
        begun = time.monotonic()
        process = subprocess.Popen(
            [*self._command, *more],
            env=os.environ | {"SAFEJUDGE_CACHE": self._cache},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if until is None:
            process.wait()
            if process.returncode not in {0, 1, 4}:
                log = Path(self._log.name).read_text(encoding="utf-8")
                sys.exit(f"exit code {process.returncode}: {log[-2000:]}")
        else:
            while process.poll() is None and self._ends() <= until:  # the first line is no record
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.kills.append(len(self.lines()))
        self.seconds += time.monotonic() - begun

    def _ends(self) -> int:
        """Ends of lines so far; only what is new is read."""
        if self.file.exists():
            with self.file.open("rb") as stream:
                stream.seek(self._read)
                new = stream.read()
            self._read += len(new)
            self._seen += new.count(b"\n")
        return self._seen

    def lines(self) -> list[bytes]:
        """Whole lines of records; the first line of the file is about the run."""
        if not self.file.exists():
            return []
        return [line for line in self.file.read_bytes().splitlines(keepends=True)[1:]
                if line.endswith(b"\n")]  # fmt: skip

    def records(self) -> list[dict[str, Any]]:
        """Every record."""
        return [json.loads(line) for line in self.lines()]


def compared(whole: Run, broken: Run, count: int) -> dict[str, Any]:
    """Count what is missing, twice, and unequal."""
    expected, found = whole.records(), broken.records()
    times = Counter(one["image"] for one in found)
    other = {one["image"]: one for one in found}
    shared = [one for one in expected if one["image"] in other]
    return {
        "images": count,
        "records": len(found),
        "missing": sum(one["image"] not in times for one in expected) + count - len(expected),
        "twice": sum(many > 1 for many in times.values()),
        "equal outcomes": sum(_fate(one) == _fate(other[one["image"]]) for one in shared),
        "equal records": sum(one == other[one["image"]] for one in shared),
        "bytes equal": whole.file.read_bytes() == broken.file.read_bytes(),
        "killed at": broken.kills,
        "seconds": {"whole": whole.seconds, "broken": broken.seconds},
    }


def _fate(one: dict[str, Any]) -> list[Any]:
    return [one.get(key) for key in FATE]


def shown(found: dict[str, Any]) -> str:
    """The table."""
    share = found["equal outcomes"] / found["images"]
    rows: Sequence[tuple[str, str]] = [
        ("records when it was killed", ", ".join(map(str, found["killed at"]))),
        ("records at the end", str(found["records"])),
        ("images missing", str(found["missing"])),
        ("images twice", str(found["twice"])),
        ("equal label and violated rules", f"{found['equal outcomes']} ({share:.2%})"),
        ("equal to the last digit", str(found["equal records"])),
        ("files equal byte by byte", "yes" if found["bytes equal"] else "no"),
        ("seconds, uninterrupted", f"{found['seconds']['whole']:.0f}"),
        ("seconds, killed and resumed", f"{found['seconds']['broken']:.0f}"),
    ]
    return table(("", "found"), rows)


if __name__ == "__main__":
    main()
