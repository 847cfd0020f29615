"""Whether training follows its recorded curve when it is run again from the beginning.

`python benchmarks/rerun.py [vision|vlm-skewed|vlm-even] [--minutes 20]`

Runs the recorded command anew for as many steps as took the recorded run that long, and lays both
curves side by side. The language stages start from the vision tower in `runs/vision`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from measure import record

from safejudge.show.markdown import table

RECORDED = Path(__file__).parent / "training"
VLM = "vlm --init runs/vision --steps 2300"
COMMANDS = {
    "vision": "vision --rare --steps 2200 --lr 3e-3 --threads 2",
    "vlm-skewed": f"{VLM} --world skewed --threads 1",
    "vlm-even": f"{VLM} --world even --threads 1",
}
"""What was run, each with `--out runs/NAME`."""
CURVES = ("patch_f1", "tpr", "tnr")


def log_of(path: Path) -> dict[int, dict[str, float]]:
    """A log by step."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line["step"]: line for line in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", nargs="?", choices=COMMANDS, default="vision")
    parser.add_argument("--minutes", type=float, default=20.0)
    args = parser.parse_args()
    before = log_of(RECORDED / f"{args.stage}.jsonl")
    last = max(step for step, line in before.items() if line["minutes"] <= args.minutes)
    folder = Path("runs") / f"again-{args.stage}"
    shutil.rmtree(folder, ignore_errors=True)
    command = [*COMMANDS[args.stage].split(), "--out", str(folder), "--until", str(last)]
    subprocess.run([sys.executable, "-m", "benchmarks.training.train", *command], check=True)
    after = log_of(folder / "log.jsonl")
    rows, worst = [], 0.0
    for step in (s for s in before if s <= last):
        for name in (n for n in CURVES if n in before[step]):
            earlier, later = before[step][name], after[step][name]
            worst = max(worst, abs(earlier - later))
            rows.append(
                [str(step), name, f"{earlier:.3f}", f"{later:.3f}", f"{later - earlier:+.3f}"]
            )
    text = table(["step", "curve", "recorded", "again", "difference"], rows)
    text += f"\n\nLargest difference: {100 * worst:.2f} points over {last} steps."
    record(f"rerun-{args.stage}", {"steps": last, "largest_difference": worst}, text)


if __name__ == "__main__":
    main()
