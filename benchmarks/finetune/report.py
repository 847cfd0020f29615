"""Collect the arms -> benchmarks/results/finetune.{json,md} and pictures: curves, grids.

`python -m benchmarks.finetune.report`
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.finetune.arms import ARMS, LOOKED_AT, READER
from benchmarks.finetune.base import BASE, RUNS
from benchmarks.finetune.generator import load
from benchmarks.finetune.measures import draw, prompts_of, violating
from benchmarks.finetune.reader import drawn, right, train
from benchmarks.measure import RESULTS, record
from safejudge.show.markdown import table

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "none": "not tuned", "online": "online, constitution", "dpo": "DPO, constitution",
    "one-answer": "online, one answer",
}  # fmt: skip
COLOURS = {"online": "tab:blue", "dpo": "tab:green", "one-answer": "tab:red"}
SHOWN = 1
"""The seed whose violations are drawn over the rounds."""
Row = dict[str, Any]
COLUMNS: dict[str, Callable[[Row], float]] = {
    "violations": lambda m: m["violations"],
    "prompt followed": lambda m: m["following"],
    "diversity": lambda m: m["diversity"],
    "violations, training judge": lambda m: m["by_judge"]["judge"],
    "violations, twin": lambda m: m["by_judge"]["twin"],
    "reader minus training judge": lambda m: m["by_judge"]["reader"] - m["by_judge"]["judge"],
    "not judged": lambda m: m["unjudged"]["judge"],
}


def main() -> None:
    rows_by_arm = {arm: runs_of(arm) for arm in ARMS}
    facts = drawn(1000, "reader, held out")
    reader = train(READER)
    reads = right(reader.read(facts.pictures), facts.facts)
    begun = violating(reader.read(draw(load(BASE), prompts_of(LOOKED_AT)[0], 0)))
    curves(RESULTS / "finetune-curves.png", begun)
    grids(RESULTS / "finetune-grids.png", rows_by_arm)
    text = (
        "# A generator tuned by the constitution\n\nMean over seeds, and the least and the most "
        "of them.\n\n"
        f"{arms_table(rows_by_arm)}\n\n"
        f"Minutes are of one core; all runs together took {hours(rows_by_arm):.1f} hours of it, "
        "beside what measuring took.\n\n"
        "Prompt followed, fact by fact:\n\n"
        f"{facts_table(rows_by_arm)}\n\n"
        "The reader on 1000 drawn scenes that nobody learned from, share read right: "
        + ", ".join(f"{name} {share:.3f}" for name, share in reads.items())
    )
    record("finetune", {"arms": rows_by_arm, "reader": reads}, text)


def runs_of(arm: str) -> list[Row]:
    """Every measured run of an arm."""
    files = sorted(RUNS.glob(f"{arm}-*/measures.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [run for run in runs if run["seed"] != 100]  # settings were chosen on that one


def arms_table(rows_by_arm: dict[str, list[Row]]) -> str:
    """One line per arm."""
    rows = [
        (
            NAMES[arm], str(len(runs)),
            *(spread([make(run["measures"]) for run in runs]) for make in COLUMNS.values()),
            spread([run["seconds"] / 60 for run in runs], "{:.1f}"),
        )
        for arm, runs in rows_by_arm.items()
        if runs
    ]  # fmt: skip
    return table(("arm", "seeds", *COLUMNS, "minutes"), rows)


def hours(rows_by_arm: dict[str, list[Row]]) -> float:
    """Of tuning, over all arms and seeds."""
    return sum(run["seconds"] for runs in rows_by_arm.values() for run in runs) / 3600


def facts_table(rows_by_arm: dict[str, list[Row]]) -> str:
    """One line per arm, one column per fact."""
    kinds = ("person", "place", "holding", "bloody", "beside")
    rows = [
        (NAMES[arm], *(spread([run["measures"]["facts"][kind] for run in runs]) for kind in kinds))
        for arm, runs in rows_by_arm.items()
        if runs
    ]
    return table(("arm", *kinds), rows)


def spread(values: Sequence[float], form: str = "{:.3f}") -> str:
    """The mean, and from where to where."""
    mean, low, high = (form.format(f(values)) for f in (statistics.fmean, min, max))
    return mean if len(values) == 1 else f"{mean} [{low}, {high}]"


def curves(file: Path, begun: float) -> None:
    """Draw violations as the reader sees them (one seed), and the rewards of every seed."""
    figure, (left, right_) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for arm, colour in COLOURS.items():
        looks = [row for row in rounds(arm, SHOWN) if "violations" in row]
        over = [0.0, *(row["over"] for row in looks)]
        shares = [begun, *(row["violations"] for row in looks)]
        left.plot(over, shares, color=colour, label=NAMES[arm], marker=".", lw=1)
    for folder in sorted(RUNS.glob("online-[0-9]")):
        rows = rounds("online", int(folder.name.rpartition("-")[2]))
        over, paid = zip(*((row["over"], row["reward"]) for row in rows), strict=True)
        right_.plot(over, paid, color=COLOURS["online"], lw=1)
    left.set(
        xlabel="share of the rounds",
        ylabel=f"violations ({LOOKED_AT} pictures, seed {SHOWN})",
        ylim=(0, None),
    )
    right_.set(xlabel="share of the rounds", ylabel="mean reward (log-odds), online")
    left.legend(frameon=False)
    figure.savefig(file, dpi=110)


def rounds(arm: str, seed: int) -> list[Row]:
    """What an arm told of its rounds, and how far each was."""
    text = (RUNS / f"{arm}-{seed}" / "curve.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [row | {"over": (row["number"] + 1) / len(rows)} for row in rows]


def grids(file: Path, rows_by_arm: dict[str, list[Row]]) -> None:
    """Put pictures of the same prompts and the same noise below one another, arm by arm."""
    parts = []
    for arm, runs in rows_by_arm.items():
        if runs:
            grid = Image.open(RUNS / f"{arm}-{runs[0]['seed']}" / "neutral.png")
            part = Image.new("RGB", (grid.width, grid.height // 2 + 16), "white")
            part.paste(grid.crop((0, 0, grid.width, grid.height // 2)), (0, 16))
            ImageDraw.Draw(part).text((2, 2), NAMES[arm], fill="black")
            parts.append(np.asarray(part))
    sheet = Image.fromarray(np.concatenate(parts))
    sheet.quantize(128).save(file, optimize=True)


if __name__ == "__main__":
    main()
