"""The shipped judge on drawn pairs in MJ-Bench's form: every way of judging, side by side.

The better picture comes first in half of the pairs. Says nothing about photographs.

`python benchmarks/mjbench_drawn.py [--count N] [--engine URI]`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import record

from safejudge.cli import app as cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", default="40")
    parser.add_argument("--engine", default="hf:sketch")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        data, out = str(Path(folder, "drawn")), str(Path(folder, "run"))
        draw = ["sketch", "mj-bench", "--out", data, "--count", options.count]
        judge = ["eval", "mj-bench", "--data", data, "--engine", options.engine, "--out", out]
        for words in (draw, [*judge, "--constitution", "sketch"]):
            if code := cli.main(words):
                sys.exit(code)
        results = json.loads(Path(out, "results.json").read_text(encoding="utf-8"))
        text = Path(out, "tables.md").read_text(encoding="utf-8")
    numbers = {"results": results["results"], "findings": results["findings"]}
    record("mjbench-drawn", numbers, f"# Drawn pairs in MJ-Bench's form\n\n{text}".rstrip())


if __name__ == "__main__":
    main()
