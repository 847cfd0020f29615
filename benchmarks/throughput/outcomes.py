"""How often which test decides on drawn scenes -> benchmarks/results/throughput-outcomes.json.

Random weights decide nothing, so a run on them would ask either every question or none. These
shares, counted where the shipped judge decides for real (default policy, scenes that are in no
other benchmark), say what `scripted` lets them decide. The region test is in no default policy, so
what it decides is counted in a second run that has it.

`python -m benchmarks.throughput.outcomes [--count 200]`
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks.measure import RESULTS, record
from safejudge import Judge, Judgment, Policy
from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.types import PreconditionVerdict

NAME, SEED = "throughput-outcomes", "throughput"
KINDS = ("clean", "violating")
_FIRST_LOOK = {"reject": "reject", "accept": "accept", "contrast": "accept", "reworded": "accept"}
"""What the first look said; a confirmation takes back a yes."""


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
    violating = (scene for scene in mixed_scenes(rules, SEED) if scene[1].violations)
    drawn = {"clean": plain_scenes(rules, SEED), "violating": violating}
    pictures = {kind: [draw(scene).pixels for scene, _ in islice(scenes, count)]
                for kind, scenes in drawn.items()}  # fmt: skip
    shares_by_kind = counted_by(Policy(), pictures)
    for kind, counted in counted_by(Policy(region=True), pictures).items():
        shares_by_kind[kind] = replace(shares_by_kind[kind], region=counted.region)
    rows = [(kind, *(f"{share:.3f}" for share in asdict(counted).values()))
            for kind, counted in shares_by_kind.items()]  # fmt: skip
    text = f"{count} scenes of each kind, hf:sketch, default policy\n\n"
    text += table(("scenes", *Shares.__dataclass_fields__), rows)
    record(
        NAME, {"count": count, "shares": {k: asdict(v) for k, v in shares_by_kind.items()}}, text
    )


def counted_by(policy: Policy, pictures: dict[str, list[Any]]) -> dict[str, Shares]:
    """Judge the pictures of every kind by a policy, and count."""
    with Judge.load("sketch", "hf:sketch", policy=policy) as judge:
        return {
            kind: shares(judged for judged in judge(drawn) if isinstance(judged, Judgment))
            for kind, drawn in pictures.items()
        }


def shares(judgments: Iterable[Judgment]) -> Shares:
    """Count what decided."""
    tally: Counter[str] = Counter()
    for judgment in judgments:
        rules = judgment.rules.values()
        tally["rules"] += len(rules)
        tally["relevant"] += sum(rule.outcome != "not_relevant" for rule in rules)
        verdicts = {verdict.statement: verdict for rule in rules for verdict in rule.preconditions}
        for verdict in verdicts.values():
            tally.update(steps(verdict))
    return Shares(
        relevant=tally["relevant"] / tally["rules"],
        reject=tally["reject"] / tally["asked"],
        accept=tally["accept"] / tally["asked"],
        found=tally["found"] / max(1, tally["searched"]),
        region=tally["region"] / max(1, tally["found"]),
        yes=tally["Yes"] / max(1, tally["reasoned"]),
        no=tally["No"] / max(1, tally["reasoned"]),
    )


def steps(verdict: PreconditionVerdict) -> list[str]:
    """Name what happened to one precondition, step by step."""
    names = ["asked"]
    if verdict.boxes is None and verdict.reasoning is None and verdict.test in _FIRST_LOOK:
        return [*names, _FIRST_LOOK[verdict.test]]
    if verdict.boxes is not None:
        names += ["searched", "found"] if verdict.boxes else ["searched"]
    if verdict.test == "region":
        names.append("region")
    if verdict.reasoning is not None:
        names += ["reasoned", verdict.reasoning.rating or "unread"]
    return names


def recorded() -> dict[str, Shares]:
    """Read the shares of every kind back."""
    text = (RESULTS / f"{NAME}.json").read_text(encoding="utf-8")
    return {kind: Shares(**fields) for kind, fields in json.loads(text)["shares"].items()}


if __name__ == "__main__":
    main()
