"""Rows of several runs -> medians, spreads and shares of a cost, and the tables of them."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.measure import RESULTS
from safejudge.show.markdown import table

if TYPE_CHECKING:
    from benchmarks.throughput.rows import Took

FLOOR, AGAIN = "floor: one question", "floor: one question, again"
PER_RULE, RATIONALE = "one prompt per rule, its text first", "one prompt, JSON rationale"
STAGES = ("questions", "relevance", "regions", "reasoning", "reading images")
WORTH = {
    "ours, clean": "default",
    "ours, mix": "default",
    "clean, no detector": "default without crop",
    "mix, no detector": "default without crop",
    "clean, open taken for no, no detector": "default taking open for no, no detector",
    "mix, open taken for no, no detector": "default taking open for no, no detector",
    "mix, no relevance": "default without relevance",
    "Algorithm 1, one at a time": "clue",
    "Algorithm 1, one at a time, no caches": "clue",
    PER_RULE: "each rule, yes/no at 0.5",
    RATIONALE: "whole constitution, reasoning",
    "mix, no reasoning": "default without cascade",
}
"""Rows of `bench-sketch.json` that say how well this way of asking judges."""


def summed_up(name: str, runs: list[list[Took]]) -> dict[str, Any]:
    """One row of all runs: medians, and its ratio to the floor of each run.

    The floor of a run is the mean of what it took before and after.
    """
    took, ratios = [], []
    for run in runs:
        floor = statistics.mean(row.each for row in run if row.name in {FLOOR, AGAIN})
        took += (mine := [row for row in run if row.name == name])
        ratios += [row.each / floor for row in mine]
    each = [asdict(row) | {"each": row.each, "ratio": ratio}
            for row, ratio in zip(took, ratios, strict=True)]  # fmt: skip
    figures = ("each", "ratio", "questions", "reasonings", "searches", "tokens", "cached")
    medians = {figure: statistics.median(row[figure] for row in each) for figure in figures}
    stages = {
        stage: statistics.median(
            row["stages"].get(stage, 0) / row["each"] * row["ratio"] for row in each
        )
        for stage in STAGES
        if any(row["stages"] for row in each)
    }
    return {"name": name, **medians, "stages": stages, "ratios": ratios, "runs": each}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table, and where the seconds of each row went."""
    bench = json.loads((RESULTS / "bench-sketch.json").read_text(encoding="utf-8"))
    cells = [
        (
            row["name"], spread(row["ratios"]), f"{row['each']:.2f}", f"{1 / row['each']:.3g}",
            f"{row['questions']:.1f}", f"{row['reasonings']:.2f}", f"{row['searches']:.2f}",
            f"{row['tokens']:.0f}", f"{row['cached']:.0%}", worth(row["name"], bench),
        )
        for row in rows
    ]  # fmt: skip
    spent = [
        (row["name"], *(f"{row['stages'][stage]:.2f}" for stage in STAGES))
        for row in rows
        if row["stages"]
    ]
    head = ("row", "ratio to the floor", "s/picture", "pictures/s", "questions", "reasonings",
            "searches", "prompt tokens", "cached", "image F1")  # fmt: skip
    return (
        f"{table(head, cells)}\n\nImage F1: of this way of asking, on SketchBench with the shipped "
        "judge (bench-sketch.md).\n\nWhere it went, as ratios to the floor (stages overlap: their "
        f"sum may be more than the row):\n\n{table(('row', *STAGES), spent)}"
    )


def spread(ratios: list[float]) -> str:
    """The median, and the least and the most where there are several."""
    median = f"{statistics.median(ratios):.2f}"
    return median if len(ratios) == 1 else f"{median} ({min(ratios):.2f}-{max(ratios):.2f})"


def worth(name: str, bench: dict[str, Any]) -> str:
    """Image F1 of what judges this way, with its interval; nothing where none was measured."""
    if name not in WORTH:
        return ""
    image = bench[WORTH[name]]["image"]
    return f"{image['f1']:.3f} [{image['interval'][0]:.3f}, {image['interval'][1]:.3f}]"
