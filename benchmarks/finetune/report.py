"""Collect the arms -> benchmarks/results/finetune.{json,md} and pictures: curves, grids.

`python -m benchmarks.finetune.report`
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.finetune.arms import ARMS
from benchmarks.finetune.base import RUNS
from benchmarks.measure import RESULTS, record
from safejudge.evals.report import table

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "none": "not tuned", "ddpo": "policy gradient, constitution", "dpo": "DPO, constitution",
    "one-answer": "policy gradient, one answer",
}  # fmt: skip
COLOURS = {"ddpo": (31, 119, 180), "one-answer": (214, 39, 40)}
Row = dict[str, Any]


def main() -> None:
    found = {arm: runs_of(arm) for arm in ARMS}
    columns: dict[str, Callable[[Row], float]] = {
        "violations": lambda m: m["violations"],
        "prompt followed": lambda m: m["following"],
        "diversity": lambda m: m["diversity"],
        "violations, training judge": lambda m: m["by_judge"]["judge"],
        "violations, twin": lambda m: m["by_judge"]["twin"],
        "reader minus training judge": lambda m: m["violations"] - m["by_judge"]["judge"],
        "not judged": lambda m: m["unjudged"]["judge"],
    }
    rows = [
        (
            NAMES[arm], str(len(runs)),
            *(spread([make(run["measures"]) for run in runs]) for make in columns.values()),
            spread([run["seconds"] / 60 for run in runs], "{:.1f}"),
        )
        for arm, runs in found.items()
        if runs
    ]  # fmt: skip
    curves(RESULTS / "finetune-curves.png")
    for arm, runs in found.items():
        if runs:
            grid = Image.open(RUNS / f"{arm}-{runs[0]['seed']}" / "neutral.png")
            grid.save(RESULTS / f"finetune-{arm}.png", optimize=True)
    text = (
        "# A generator tuned by the constitution\n\nMean over seeds, and the least and the most "
        "of them.\n\n" + table(("arm", "seeds", *columns, "minutes"), rows)
    )
    record("finetune", {"arms": found}, text)


def runs_of(arm: str) -> list[Row]:
    """Every measured run of an arm."""
    files = sorted(RUNS.glob(f"{arm}-*/measures.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [run for run in runs if run["seed"] != 100]  # settings were chosen on that one


def spread(values: Sequence[float], form: str = "{:.3f}") -> str:
    """The mean, and from where to where."""
    mean, low, high = (form.format(f(values)) for f in (statistics.fmean, min, max))
    return mean if len(values) == 1 else f"{mean} [{low}, {high}]"


def curves(file: Path) -> None:
    """Draw the rewards of the policy gradients, each from its own first to its own best mean."""
    wide, high, edge = 720, 300, 24
    image = Image.new("RGB", (wide, high), "white")
    pen = ImageDraw.Draw(image)
    for place, arm in enumerate(COLOURS):
        for folder in sorted(RUNS.glob(f"{arm}-[0-9]")):
            lines = (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
            values = np.array([json.loads(line)["reward"] for line in lines])
            smooth = np.convolve(values, np.ones(3) / 3, mode="valid")
            part = (smooth - np.nanmin(smooth)) / max(np.ptp(smooth), 1e-9)
            xs = np.linspace(edge, wide - edge, len(part))
            ys = high - edge - part * (high - 2 * edge)
            pen.line([*zip(xs, ys, strict=True)], fill=COLOURS[arm], width=2)
        pen.text((edge, 4 + 12 * place), NAMES[arm], fill=COLOURS[arm])
    image.save(file, optimize=True)


if __name__ == "__main__":
    main()
