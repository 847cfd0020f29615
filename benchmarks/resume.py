"""A run of the command line that is killed, and goes on -> benchmarks/results/resume-ENGINE.*.

Drawn scenes are judged into a file with SIGKILL to the whole process group at random moments and
`--resume` after each; at every kill one scene is replaced by another. Then they are judged into
another file without interruption, and both are compared: every image exactly once and none that is
stale, labels and violated rules. With `--ray` by two actors, into folders of Parquet files; with
`--packed` into `.zst` files.

    python benchmarks/resume.py [--engine hf:sketch] [--ray | --packed] [--images 10000]
        [--kills 3] [--seed 0]
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
from safejudge.files.packed import LineReader
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
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--packed", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes(folder / "scenes", args.images)
        run = RayRun if args.ray else PackedRun if args.packed else Run
        broken, unbroken = (run(folder, name, args.engine) for name in ("broken", "whole"))
        chance = random.Random(args.seed)  # noqa: S311 - where a run is killed is no secret
        for at in sorted(chance.sample(range(1, args.images), args.kills)):
            broken.go(until=at)
            replace_one(folder / "scenes", chance.randrange(args.images), chance.random())
        broken.go()
        unbroken.go()
        comparison = compared(unbroken, broken, args.images)
    how = f"{args.engine}{', two actors of Ray' if args.ray else ', .zst' if args.packed else ''}"
    kind = "-ray" if args.ray else "-zst" if args.packed else ""
    text = (
        f"{args.images} drawn scenes, {how}, killed {len(broken.kills)} times, one scene replaced "
        "after each\n\n"
    )
    record(
        f"resume-{args.engine.strip(':').replace(':', '-')}{kind}",
        comparison,
        text + markdown(comparison),
    )
    if comparison["missing"] or comparison["twice"] or comparison["stale"]:
        sys.exit(1)


def replace_one(folder: Path, index: int, seed: float) -> None:
    """Put another scene under the name of one, whatever was said of it."""
    (scene, _), *_ = mixed_scenes_of(seed)
    _save((folder / f"{index:05d}.png", scene))


def mixed_scenes_of(seed: float) -> list[tuple[Scene, Any]]:
    """One scene of a seed."""
    return list(islice(mixed_scenes(load_constitution("sketch"), f"{SEED}-{seed}"), 1))


def scenes(folder: Path, count: int) -> None:
    """Draw scenes as files, on every core."""
    folder.mkdir()
    drawn = islice(mixed_scenes(load_constitution("sketch"), SEED), count)
    work = ((folder / f"{index:05d}.png", scene) for index, (scene, _) in enumerate(drawn))
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
        self.seconds = self._begun = 0.0
        self._read = self._lines = 0
        self._log = (folder / f"{name}.log").open("wb")
        self._cache = str(folder / f"{name}-cache")
        self._command = [
            sys.executable, "-m", "safejudge", "judge", str(folder / "scenes"), "--engine", engine,
            "--constitution", "sketch", "--out", str(self.file),
        ]  # fmt: skip

    def go(self, until: int | None = None) -> None:
        """Run to the end, or until so many records are there, and kill it then."""
        resume = ["--resume"] if self.exists() else []
        self._read = self._lines = 0
        self._begun = time.monotonic()
        process = subprocess.Popen(
            [*self._command, *resume],
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
            while process.poll() is None and not self._has(until):
                time.sleep(0.05)
            if process.poll() is None:  # else it had come to its end
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.kills.append(len(self.lines()))
        self.seconds += time.monotonic() - self._begun

    def exists(self) -> bool:
        """Whether anything was written."""
        return self.file.exists()

    def _has(self, count: int) -> bool:
        """Whether so many records are there; the first line is none."""
        return self._ends() > count

    def _ends(self) -> int:
        """Ends of lines so far; only what is new is read."""
        if self.file.exists():
            with self.file.open("rb") as stream:
                stream.seek(self._read)
                new = stream.read()
            self._read += len(new)
            self._lines += new.count(b"\n")
        return self._lines

    def lines(self) -> list[bytes]:
        """Whole lines of records; the first line of the file is about the run."""
        if not self.file.exists():
            return []
        return [line for line in self.file.read_bytes().splitlines(keepends=True)[1:]
                if line.endswith(b"\n")]  # fmt: skip

    def records(self) -> list[dict[str, Any]]:
        """Every record."""
        return [json.loads(line) for line in self.lines()]


class PackedRun(Run):
    """The same into a packed file."""

    def __init__(self, folder: Path, name: str, engine: str) -> None:
        super().__init__(folder, name, engine)
        self.file = folder / f"{name}.jsonl.zst"
        self._command[self._command.index("--out") + 1] = str(self.file)

    def _ends(self) -> int:
        """Ends of lines so far, of a torn frame too."""
        return len(self.lines()) + 1

    def lines(self) -> list[bytes]:
        """Whole lines of records."""
        if not self.file.exists() or not self.file.stat().st_size:
            return []
        return [line for line in LineReader(self.file) if line.endswith(b"\n")][1:]


class RayRun(Run):
    """The same with two actors of Ray, into a folder of Parquet files."""

    def __init__(self, folder: Path, name: str, engine: str) -> None:
        super().__init__(folder, name, engine)
        self.file = folder / name
        self._command[self._command.index("--out") + 1] = str(self.file)
        self._command += ["--ray", "--actors", "2"]

    def _has(self, count: int) -> bool:
        """Records come in parts, so a run is killed by the clock: after 25 to 39 seconds."""
        return time.monotonic() - self._begun > 25 + count % 15

    def lines(self) -> list[bytes]:
        """Every record as a line of JSON."""
        from pyarrow import parquet  # type: ignore[import-untyped]  # noqa: PLC0415 - only here

        if not self.file.exists():
            return []
        tables = [parquet.read_table(path) for path in sorted(self.file.glob("part-*.parquet"))]
        rows = [row for table in tables for row in table.to_pylist()]
        return [json.dumps({k: v for k, v in row.items() if v is not None}).encode()
                for row in rows]  # fmt: skip


def compared(unbroken: Run, broken: Run, count: int) -> dict[str, Any]:
    """Count what is missing, twice, and unequal."""
    expected, actual = unbroken.records(), broken.records()
    times = Counter(record["image"] for record in actual)
    by_image = {record["image"]: record for record in actual}
    shared = [record for record in expected if record["image"] in by_image]
    return {
        "images": count,
        "records": len(actual),
        "missing": sum(record["image"] not in times for record in expected) + count - len(expected),
        "twice": sum(many > 1 for many in times.values()),
        "stale": sum(record["id"] != by_image[record["image"]]["id"] for record in shared),
        "equal outcomes": sum(
            _fate(record) == _fate(by_image[record["image"]]) for record in shared
        ),
        "equal records": sum(record == by_image[record["image"]] for record in shared),
        "killed at": broken.kills,
        "seconds": {"whole": unbroken.seconds, "broken": broken.seconds},
    }


def _fate(record: dict[str, Any]) -> list[Any]:
    return [record.get(key) for key in FATE]


def markdown(comparison: dict[str, Any]) -> str:
    """The table."""
    share = comparison["equal outcomes"] / comparison["images"]
    rows: Sequence[tuple[str, str]] = [
        ("records when it was killed", ", ".join(map(str, comparison["killed at"]))),
        ("records at the end", str(comparison["records"])),
        ("images missing", str(comparison["missing"])),
        ("images twice", str(comparison["twice"])),
        ("records of content that is no more", str(comparison["stale"])),
        ("equal label and violated rules", f"{comparison['equal outcomes']} ({share:.2%})"),
        ("equal to the last digit", str(comparison["equal records"])),
        ("seconds, uninterrupted", f"{comparison['seconds']['whole']:.0f}"),
        ("seconds, killed and resumed", f"{comparison['seconds']['broken']:.0f}"),
    ]
    return table(("", "found"), rows)


if __name__ == "__main__":
    main()
