"""How often which test decides on drawn scenes -> benchmarks/results/throughput-outcomes.json.

Random weights decide nothing, so a run on them would ask either every question or none. These
shares, counted where the shipped judge decides for real (default policy, scenes that are in no
other benchmark), say what `scripted` lets them decide.

`python -m benchmarks.throughput.outcomes [--count 200]`
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.measure import RESULTS, record
from safejudge import Judge, Judgment
from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.types import PreconditionVerdict

NAME, SEED = "throughput-outcomes", "throughput"
KINDS = ("clean", "violating")


@dataclass(frozen=True, slots=True)
class Shares:
    """Of one kind of picture, each in [0, 1]."""

    relevant: float
    """Rules that the relevance filter keeps."""
    reject: float
    """First looks at a precondition that end it with No."""
    accept: float
    """First looks that end it with Yes; what is left goes on."""
    found: float
    """Searches for the central object that find it."""
    region: float
    """Found regions whose removal decides."""
    yes: float
    """Reasonings that end with Yes."""
    no: float
    """Reasonings that end with No; what is left is unsure or cannot be read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="scenes of each kind")
    count: int = parser.parse_args().count
    rules = load_constitution("sketch")
    violating = (one for one in mixed_scenes(rules, SEED) if one[1].violations)
    drawn = {"clean": plain_scenes(rules, SEED), "violating": violating}
    found = {}
    with Judge.load(rules, "hf:sketch") as judge:
        for kind, scenes in drawn.items():
            pictures = [draw(scene).pixels for scene, _ in islice(scenes, count)]
            found[kind] = shares(one for one in judge(pictures) if isinstance(one, Judgment))
    rows = [(kind, *(f"{share:.3f}" for share in asdict(one).values()))
            for kind, one in found.items()]  # fmt: skip
    text = f"{count} scenes of each kind, hf:sketch, default policy\n\n"
    text += table(("scenes", *Shares.__dataclass_fields__), rows)
    record(NAME, {"count": count, "shares": {k: asdict(v) for k, v in found.items()}}, text)


def shares(judgments: Iterable[Judgment]) -> Shares:
    """Count what decided."""
    seen: Counter[str] = Counter()
    for judgment in judgments:
        rules = judgment.rules.values()
        seen["rules"] += len(rules)
        seen["relevant"] += sum(rule.outcome != "not_relevant" for rule in rules)
        asked = {one.statement: one for rule in rules for one in rule.preconditions}
        for one in asked.values():
            seen.update(steps(one))
    return Shares(
        relevant=seen["relevant"] / seen["rules"],
        reject=seen["reject"] / seen["asked"],
        accept=seen["accept"] / seen["asked"],
        found=seen["found"] / max(1, seen["searched"]),
        region=seen["region"] / max(1, seen["found"]),
        yes=seen["Yes"] / max(1, seen["reasoned"]),
        no=seen["No"] / max(1, seen["reasoned"]),
    )


def steps(one: PreconditionVerdict) -> list[str]:
    """Name what happened to one precondition, step by step."""
    names = ["asked"]
    if one.boxes is None and one.test in {"reject", "accept"}:
        return [*names, one.test]
    if one.boxes is not None:
        names += ["searched", "found"] if one.boxes else ["searched"]
    if one.test == "region":
        names.append("region")
    if one.reasoning is not None:
        names += ["reasoned", one.reasoning.rating or "unread"]
    return names


def recorded() -> dict[str, Shares]:
    """Read the shares of every kind back."""
    text = (RESULTS / f"{NAME}.json").read_text(encoding="utf-8")
    return {kind: Shares(**one) for kind, one in json.loads(text)["shares"].items()}


if __name__ == "__main__":
    main()
