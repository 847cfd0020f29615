"""Images in an object store, judged by two actors of Ray, of which one is killed.

Drawn scenes lie as tar shards in a bucket of a server on loopback (moto). `judge s3://... --ray`
writes its parts into a folder. On the way one actor is killed by SIGKILL and the run goes on by
itself; later everything is killed, one shard is replaced, and `--resume` goes on. It is held
against a run over the same shards on the disk that nobody killed: every image once, none of content
that is no more, the same labels and violated rules.

    PYTHONPATH=.site-remote/site python benchmarks/store_resume.py [--engine hf:sketch]
        [--images 10000]      (`make test-remote` makes the folder of packages)
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import record
from resume import RayRun, Run, compared, markdown, replace_one, scenes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import stores

SHARD = 250
"""Images of a shard."""
BEFORE = 30.0
"""Seconds after which an actor is killed, and again until everything is."""


class StoreRun(RayRun):
    """Two actors that read a store; what is killed is first one of them, then all."""

    def __init__(self, folder: Path, name: str, engine: str, address: str) -> None:
        super().__init__(folder, name, engine)
        self._command[self._command.index(str(folder / "scenes"))] = address
        self.actors = 0
        """How many actors were killed."""

    def _has(self, count: int) -> bool:
        """Kill one actor on the way to `count` times `BEFORE` seconds."""
        passed = time.monotonic() - self._begun
        if passed > BEFORE and self.actors == 0:
            self.actors = self._kill_actor()
        return passed > count * BEFORE

    def _kill_actor(self) -> int:
        """End one process that judges for this run; says how many that were."""
        mine = f"SAFEJUDGE_CACHE={self._cache}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                title = (process / "cmdline").read_bytes()
                given = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if title.startswith(b"ray::Worker") and mine in given:
                os.kill(int(process.name), signal.SIGKILL)
                return 1
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="hf:sketch")
    parser.add_argument("--images", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, stores.known() as store:
        folder = Path(name)
        scenes(folder / "pictures", args.images)
        (folder / "scenes").mkdir()
        shards = range(0, args.images, SHARD)
        for first in shards:
            put(store, folder, first)
        address = f"s3://{stores.BUCKET}/in"
        broken = StoreRun(folder, "broken", args.engine, address)
        broken.go(until=3)
        replace_one(folder / "pictures", 0, 0.5)
        put(store, folder, 0)
        broken.go()
        whole = RayRun(folder, "disk", args.engine)
        whole.go()
        comparison = compared(Named(whole), Named(broken), args.images)
    comparison |= {"actors killed": broken.actors, **vars(args)}
    text = (
        f"{args.images} drawn scenes in {len(shards)} tar shards of a store, {args.engine}, two "
        f"actors of Ray; {broken.actors} actor killed on the way, then everything "
        f"{len(broken.kills)} times, one scene replaced after it\n\n"
    )
    record("store-resume", comparison, text + markdown(comparison))
    if comparison["missing"] or comparison["twice"] or comparison["stale"]:
        sys.exit(1)


class Named:
    """A run whose records are called by shard and member, wherever the shards lie."""

    def __init__(self, run: Run) -> None:
        self.kills, self.seconds = run.kills, run.seconds
        self._records = [
            row | {"image": "/".join(row["image"].split("/")[-2:])} for row in run.records()
        ]

    def records(self) -> list[dict[str, Any]]:
        """Every record."""
        return self._records


def put(store: Any, folder: Path, first: int) -> None:
    """Make one shard of pictures, on the disk and in the store."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for index in range(first, first + SHARD):
            path = folder / "pictures" / f"{index:05d}.png"
            if path.is_file():
                file.add(path, path.name)
    shard = f"{first:05d}.tar"
    (folder / "scenes" / shard).write_bytes(tar.getvalue())
    store.put(f"in/{shard}", tar.getvalue())


if __name__ == "__main__":
    main()
