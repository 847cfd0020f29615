"""What nobody looked at, and what the command line says of it -> benchmarks/results/unseen.*.

Each row makes some files, runs `safejudge` on them, and notes the exit code and what was said. A
row is right where nothing that was not looked at is safe with exit code 0. With `--against` the
same is done with another checkout.

`python -m benchmarks.unseen [--against ../before] [--only KIND]`
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import record
from benchmarks.unseen import decoders, engines, folders, people, resuming, shards  # noqa: F401
from benchmarks.unseen.tries import TRIES, Scenes, Try
from safejudge import Judge
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes
from safejudge.types import Judgment

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parents[2]
SEED = "unseen"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    trees = {"now": HERE} | ({} if args.against is None else {"before": args.against.resolve()})
    scenes = chosen()
    rows, numbers = [], []
    for kind, tries in TRIES.items():
        if args.only not in (None, kind):
            continue
        for name, attempt in tries.items():
            outcomes = {tree: outcome(path, attempt, scenes) for tree, path in trees.items()}
            numbers.append({"kind": kind, "input": name, **outcomes})
            rows.append([kind, name, *(outcomes[tree] for tree in reversed(trees))])
            print(*rows[-1], sep=" | ", flush=True)
    unseen = [row for row in numbers if " 0: " in f" {row['now']}" and "safe" in row["now"]]
    text = table(["kind", "input", *reversed(trees)], rows)
    foot = (
        f"\n\n{len(rows)} inputs; {len(unseen)} end with exit code 0 (named by the user, or seen)."
    )
    record("unseen", {"rows": numbers}, text + foot)


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
