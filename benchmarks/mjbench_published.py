"""Whether MJ-Bench's published numbers come out of the recorded outputs, check by check.

`python benchmarks/mjbench_published.py DIR [--expected FILE]`, DIR holding outputs of judges, as
`fetch.py` brings them. FILE (`data/mjbench_expected.json` unless named) lists checks, each with a
source, a recipe in words, the published value and one recomputed elsewhere. Every check that agreed
with the paper there (`exact` or `near`) and whose files are in DIR is done again here, its recipe
turned into `Options`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import record

from safejudge.evals.mjbench.cells import PAPER, Options
from safejudge.evals.mjbench.recorded.names import scale_of
from safejudge.evals.mjbench.recorded.read import Outputs, read_outputs
from safejudge.evals.mjbench.score import score
from safejudge.evals.stats.preference import overall
from safejudge.show.markdown import table

EXPECTED = Path(__file__).parent / "data" / "mjbench_expected.json"
PRINTED = "published.json"
"""The source of a check that needs printed numbers alone."""
CLOSE = 0.01
BARE = replace(PAPER, intervals=False)
SPELLED = {
    "existence": "object", "attributes": "attribute", "actions": "action", "counts": "count",
}  # fmt: skip
METRICS = ("acc_with_tie", "acc_without_tie")

Check = dict[str, Any]


class Scores:
    """The numbers of a folder under any options, each computed once."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._numbers: dict[Options, Any] = {}

    def under(self, options: Options) -> dict[str, dict[str, dict[str, Any]]]:
        """Judge, name of a number, number."""
        if options not in self._numbers:
            self._numbers[options] = score(self._outputs, options).numbers
        return self._numbers[options]

    def cell(self, options: Options, judge: str, start: str, end: str) -> dict[str, Any] | None:
        """One number, by how its name begins and ends: between them stands the mode."""
        numbers = self.under(options).get(judge, {})
        matching = [name for name in numbers if name.startswith(start) and name.endswith("/" + end)]
        return numbers[min(matching, key=len)] if matching else None


def bias(check: Check, scores: Scores) -> dict[str, float | None]:
    """`bias/JUDGE/RUN/...`: the recipe says normalisation and average, the source the scale."""
    judge, recipe = check["id"].split("/")[1], check["recipe"]
    source, _, run = check["source"].partition("#")
    options = replace(
        BARE,
        normalise="none" if "raw scores" in recipe else "minmax",
        aggregate="item" if "item-weighted" in recipe else "macro",
        refusals="refused rows left out" not in recipe,
    )
    if "with 1e-9 tolerance" in recipe:
        options = replace(options, acc_tolerance=1e-9)
    flag = recipe.rpartition("items flagged ")[2] if "items flagged" in recipe else ""
    stem = Path(source).stem
    if run:
        scale = scale_of(run)
    elif judge not in stem:
        scale = "score"
    else:
        scale = {"new": "1-5", "scale": "1-10"}.get(stem.split("_")[0], "words 5")
    values = {}
    for metric in sorted(check["recomputed"].keys() & {"acc", "nds", "ges"}):
        name = f"bias/{scale}/{flag}/{metric}" if flag else f"bias/{scale}/{metric}"
        number = scores.under(options).get(judge, {}).get(name)
        values[metric] = None if number is None or number["value"] is None else number["value"]
    return values


def pairs(check: Check, scores: Scores) -> dict[str, float | None]:
    """`alignment|quality|safety|scores/JUDGE/CELL/...`."""
    section, judge, cell = check["id"].split("/")[:3]
    cell = SPELLED.get(cell, cell)
    perspective = section
    options = BARE
    if section == "scores":
        perspective = "safety" if cell in {"nsfw", "toxic"} else "quality"
        if "tie threshold 0.05" not in check["recipe"] and "without_row_0" not in check["id"]:
            options = replace(BARE, tie_threshold=0.0, tie_scale="raw", first_out=frozenset())
    if "from the two ratings" in check["recipe"]:
        options = replace(options, decision="ratings")
    values = {}
    for metric in METRICS:
        if metric in check["recomputed"]:
            number = scores.cell(options, judge, f"{perspective}/", f"{cell}/{metric}")
            # The same share of other pairs would be no reproduction.
            differs = number is None or (
                metric == METRICS[0] and number["n"] != check["recomputed"]["n"]
            )
            values[metric] = None if number is None or differs else number["value"]
    return values


def from_published(check: Check, published: dict[str, Any]) -> dict[str, float | None]:
    """What follows from printed numbers alone: the mean of two orders, the overall score."""
    section, judge, *parts = check["id"].split("/")
    if section == "overall":
        row = published["main"][judge]
        values = {"alignment": row["alignment"][0], "safety": row["safety"][0],
                  "quality": row["artifact"][0], "bias": row["bias"][0]}  # fmt: skip
        return {"overall": overall(values) / 100}
    _, first, second = published["input_order"][judge][parts[0]]
    return {"acc_with_tie": (first + second) / 200}


def recompute(check: Check, scores: Scores, published: dict[str, Any]) -> dict[str, float | None]:
    section = check["id"].split("/")[0]
    if check["source"] == PRINTED:
        return from_published(check, published)
    return bias(check, scores) if section == "bias" else pairs(check, scores)


def close(ours: float | None, expected: float | None) -> bool:
    if ours is None or expected is None:
        return False
    return abs(100 * ours - expected) <= CLOSE


def shown(values: dict[str, float | None], digits: int) -> str:
    """Percentages."""
    return ", ".join(
        f"{name} {'-' if v is None else f'{v:.{digits}f}'}" for name, v in values.items()
    )


def present(check: Check, folder: Path) -> bool:
    source = check["source"].partition("#")[0]
    return source == PRINTED or ("not in the pack" not in source and any(folder.glob(source)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expected", type=Path, default=EXPECTED)
    args = parser.parse_args()
    folder = args.folder
    expected_of = json.loads(args.expected.read_text(encoding="utf-8"))
    checks, published = expected_of["checks"], expected_of["published"]
    scores = Scores(read_outputs(folder, lenient=True))
    rows, numbers, missed = [], {}, []
    checked = [c for c in checks if c["status"] in {"exact", "near"} and present(c, folder)]
    for check in checked:
        ours = recompute(check, scores, published)
        expected = {name: check["recomputed"].get(name) for name in ours}
        same = bool(ours) and all(close(ours[name], expected[name]) for name in ours)
        percent = {name: None if v is None else 100 * v for name, v in ours.items()}
        rows.append([
            check["id"], shown(check["paper"], 1), shown(percent, 4), shown(expected, 4),
            check["status"], "yes" if same else "no",
        ])  # fmt: skip
        numbers[check["id"]] = {
            "published": check["paper"], "status": check["status"], "expected": expected,
            "recomputed": percent, "reproduced": same,
        }  # fmt: skip
        if not same:
            missed.append(check["id"])
    counts = {
        status: (sum(numbers[c["id"]]["reproduced"] for c in checked if c["status"] == status),
                 sum(c["status"] == status for c in checked))
        for status in ("exact", "near")
    }  # fmt: skip
    head = "\n".join(
        f"{status}: {done} of {of} reproduced within {CLOSE} points"
        for status, (done, of) in counts.items()
    )
    lost = "".join(f"\n- {name}" for name in missed) or " none"
    text = table(
        ["check", "published", "recomputed", "expected", "status", "reproduced"], rows
    )  # fmt: skip
    record(
        "mjbench_published",
        {"counts": counts, "missed": missed, "checks": numbers},
        f"{head}\n\nNot reproduced:{lost}\n\n{text}",
    )


if __name__ == "__main__":
    main()
