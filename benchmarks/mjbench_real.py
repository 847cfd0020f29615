"""The real pairs of MJ-Bench through the whole path: JPEGs, captions, both orders, both engines.

Whoever judges with a model of their own will see real figures here. The shipped model knows drawn
scenes alone and says so of every photograph: what is measured is that it does, and that nothing
becomes a score. Needs the originals: `python benchmarks/fetch.py FOLDER`.

`python benchmarks/mjbench_real.py FOLDER [--engine URI ...]`
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import record

from safejudge.cli import app as cli

WORTHLESS = (
    "The shipped model knows drawn scenes and nothing else. It declines to judge photographs, so "
    "there is no accuracy here: every answer is counted as unparsed, none as a score."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", action="append")
    options = parser.parse_args()
    numbers: dict[str, Any] = {}
    texts = ["# The 52 real pairs of MJ-Bench's repository", WORTHLESS]
    for engine in options.engine or ["hf:sketch", "vllm:sketch"]:
        numbers[engine], text = judged(engine, options.folder / "pairs.jsonl")
        texts += [f"## {engine}", f"{numbers[engine]['seconds']} s, loading included.", text]
    record("mjbench-real", {"runs": numbers}, "\n\n".join(texts))


def judged(engine: str, pairs: Path) -> tuple[dict[str, Any], str]:
    """One run: its figures, and the first tables."""
    with TemporaryDirectory() as out:
        begun = time.perf_counter()
        words = ["eval", "mj-bench", "--data", str(pairs), "--engine", engine, "--out", out]
        if engine.startswith("vllm:"):  # else it wants nearly all the memory there is
            words += ["--engine-arg", "gpu_memory_utilization=0.5"]
        if code := cli.main([*words, "--overwrite"]):
            sys.exit(code)
        seconds = round(time.perf_counter() - begun, 1)
        results = json.loads(Path(out, "results.json").read_text(encoding="utf-8"))
        tables = Path(out, "tables.md").read_text(encoding="utf-8").split("\n### ")
        chosen = [table for table in tables if "Pairs: which" in table or "both orders" in table]
        replies = why(Path(out, "records.jsonl"))
    numbers = {"seconds": seconds, "results": results["results"], "replies": replies}
    text = "\n\n".join(f"### {table.strip()}" for table in chosen)
    listing = "\n".join(f"- {count} times: {reply!r}" for reply, count in replies.items())
    return numbers, f"{text}\n\nWhat was written:\n\n{listing}"


def why(records: Path) -> dict[str, int]:
    """Every text that was written, and how often."""
    counts: dict[str, int] = {}
    for line in records.read_text(encoding="utf-8").splitlines()[1:]:
        for entry in json.loads(line)["said"].values():
            for answer in entry["answers"]:
                for reply in answer.get("replies", ()):
                    counts[reply] = counts.get(reply, 0) + 1
    return counts


if __name__ == "__main__":
    main()
