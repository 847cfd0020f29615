"""What nobody looked at, and what the command line says of it -> benchmarks/results/unseen.*.

Each row makes some files, runs `safejudge` on them, and notes the exit code and what was said. A
row is right where nothing that was not looked at is safe with exit code 0. With `--against` the
same is done with another checkout.

`python -m benchmarks.unseen [--against ../before] [--only KIND] [--kept FILE]`
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kept import Kept
from benchmarks.measure import record
from benchmarks.unseen import decoders, engines, folders, people, resuming, shards  # noqa: F401
from benchmarks.unseen.tries import TRIES, Scenes, Try
from safejudge import Judge
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes
from safejudge.types import Judgment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parents[2]
SEED = "unseen"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only")
    parser.add_argument("--kept", type=Path)
    args = parser.parse_args()
    trees = ({} if args.against is None else {"before": args.against.resolve()}) | {"now": HERE}
    kept = Kept(args.kept)
    scenes = chosen()
    rows = []
    for kind, tries in TRIES.items():
        if args.only not in (None, kind):
            continue
        for name, (attempt, _) in tries.items():
            outcomes = {
                tree: told_of(
                    kept, f"{kind} | {name} | {tree}", partial(outcome, path, attempt, scenes)
                )
                for tree, path in trees.items()
            }
            rows.append({"kind": kind, "input": name, **outcomes})
    record("unseen", {"rows": rows}, text_of(rows, list(trees)))


def told_of(kept: Kept, name: str, attempt: Callable[[], str]) -> str:
    """Try something, or take the outcome that is kept."""
    told: str = kept.row(name, attempt)
    print(name, told, sep=" | ", flush=True)
    return told


def text_of(rows: list[dict[str, str]], trees: list[str]) -> str:
    """The record, for people: by kind, then every input."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    counts = [
        [
            kind,
            str(len(own)),
            *(str(how_many(own, tree)) for how_many in HOW_MANY for tree in trees),
        ]
        for kind in [*kinds, ALL]
        if (own := [row for row in rows if kind in (row["kind"], ALL)])
    ]
    columns = [
        f"{what}, {tree}" for what in ("right", "wrong with code 0", "broken") for tree in trees
    ]
    every = [[row["kind"], row["input"], *(row[tree] for tree in trees)] for row in rows]
    return (
        "Right: the exit code, and what is said, are those that this input calls for. Broken: a "
        "traceback, a process that was killed, or nothing in five minutes.\n\n"
        f"{table(['kind', 'inputs', *columns], counts)}\n\n"
        f"{table(['kind', 'input', *trees], every)}"
    )


def right(rows: list[dict[str, str]], tree: str) -> int:
    """How many outcomes are right."""
    return sum(is_right(row, tree) for row in rows)


def wrong_in_silence(rows: list[dict[str, str]], tree: str) -> int:
    """How many are wrong, with the exit code of a run that is right."""
    return sum(row[tree].startswith("0:") and not is_right(row, tree) for row in rows)


def broken(rows: list[dict[str, str]], tree: str) -> int:
    """How many end as no run may."""
    return sum(bool(re.match(r"-\d|nothing after|.*Traceback", row[tree])) for row in rows)


HOW_MANY = (right, wrong_in_silence, broken)
ALL = "all"


def is_right(row: dict[str, str], tree: str) -> bool:
    """Whether an outcome is what its input calls for."""
    return re.match(TRIES[row["kind"]][row["input"]][1], row[tree]) is not None


def chosen() -> Scenes:
    """A scene that violates a rule and one that violates none, and that are judged so."""
    found: dict[str, Any] = {}
    with Judge.load("sketch", "hf:sketch") as judge:
        for scene, truth in mixed_scenes(judge.constitution, SEED):
            pixels = draw(scene).pixels
            (result,) = judge([pixels])
            label = "unsafe" if truth.violations else "safe"
            if isinstance(result, Judgment) and result.label == label:
                found.setdefault(label, pixels)
            if len(found) == 2:
                break
    return Scenes(**found)


def outcome(tree: Path, attempt: Try, scenes: Scenes) -> str:
    """Try something with one checkout, in a folder of its own."""
    with folder_of() as folder:
        begun = time.monotonic()

        def run(*arguments: str, inside: str = ".") -> str:
            return said(tree, folder / inside, arguments)

        try:
            told = attempt(folder, scenes, run)
        except subprocess.TimeoutExpired:
            return f"nothing after {time.monotonic() - begun:.0f} s"
        return told.replace(str(folder), "FOLDER")


@contextmanager
def folder_of() -> Iterator[Path]:
    """Make an empty folder, and remove it."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def said(tree: Path, folder: Path, arguments: tuple[str, ...]) -> str:
    """Run the command line; the exit code, and what its end or its error says."""
    environment = os.environ | {"PYTHONPATH": str(tree), "SAFEJUDGE_CACHE": str(folder / ".cache")}
    done = subprocess.run(
        [sys.executable, "-m", "safejudge", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    lines = [line.removeprefix("safejudge: ") for line in done.stderr.splitlines()]
    summary = [
        line for line in lines if re.match(r"\d+ images?[ :(]|error: |passed over|frames: ", line)
    ]
    traces = ["Traceback"] if "Traceback" in done.stderr else []
    told = traces + [line.partition("; ")[0][:110] for line in summary[:2]]
    findings = re.findall(r"(?m)^.*(?:error|warning)s?: .*$", done.stdout) if not told else []
    return f"{done.returncode}: " + "; ".join(told or [f.strip()[:110] for f in findings[:1]])


if __name__ == "__main__":
    main()
