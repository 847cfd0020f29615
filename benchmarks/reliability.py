"""How the shipped judge's answers change when they should not: JPEG, size, colour, mirror, repeats.

And without any picture, which shows what the questions alone give away. Scenes of SketchBench by
the constitution `sketch`, and drawn pairs in MJ-Bench's form by every way of judging.

`python benchmarks/reliability.py [--scenes N] [--pairs N] [--engine URI]`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import record

from safejudge.cli import app as cli

SHOWN = ("What answers do", "One answer more", "How sure")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="200")
    parser.add_argument("--pairs", default="20")
    parser.add_argument("--engine", default="hf:sketch")
    options = parser.parse_args()
    judge = ["--engine", options.engine, "--constitution", "sketch", "--variant", "all"]
    judge += ["--repeats", "2"]
    with TemporaryDirectory() as folder:
        data, out = str(Path(folder, "drawn")), Path(folder, "run")
        run(["sketch", "mj-bench", "--out", data, "--count", options.pairs])
        scenes = ["sketchbench", *judge, "--limit", options.scenes, "--seed", "1"]
        drawn = measured(scenes, out / "scenes")
        pairs = measured(["mj-bench", *judge, "--data", data], out / "pairs")
    numbers = {"sketchbench": drawn[0], "mj-bench": pairs[0]}
    texts = ["# Answers when something is changed", "## SketchBench, by the constitution", drawn[1]]
    texts += ["## Drawn pairs in MJ-Bench's form", pairs[1]]
    record("reliability", numbers, "\n\n".join(texts))


def measured(words: list[str], out: Path) -> tuple[dict[str, Any], str]:
    """The figures of one suite, and its tables of reliability."""
    run(["eval", *words, "--out", str(out)])
    (results,) = json.loads((out / "results.json").read_text(encoding="utf-8"))["results"].values()
    tables = (out / "tables.md").read_text(encoding="utf-8").split("\n\n### ")
    chosen = [f"### {text.strip()}" for text in tables if text.startswith(SHOWN)]
    return results["reliability"], "\n\n".join(chosen)


def run(words: list[str]) -> None:
    if code := cli.main(words):
        sys.exit(code)


if __name__ == "__main__":
    main()
