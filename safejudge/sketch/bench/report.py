"""SketchBench from scenes to text: runs every measurement for one model and words the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safejudge.constitution.load import load_constitution
from safejudge.evals.stats.intervals import NAN
from safejudge.evals.stats.rates import Counts, share
from safejudge.method.relevance import threshold_of
from safejudge.policy import Policy
from safejudge.show.markdown import figure, table
from safejudge.sketch.bench import flips, mechanisms, sweeps
from safejudge.sketch.bench.bench import (
    SEED,
    Item,
    Row,
    SceneOutcome,
    Tick,
    image_calls,
    judged,
    measure,
    row,
    rule_calls,
    scene_outcome,
    scenes,
    variants,
)

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.types import JSON, Judgment

FLIPS = 50
"""Flipping scenes, and others, per edit."""


def work(models: Models, count: int) -> int:
    """How many scenes will be judged in all, for a progress bar."""
    return len(variants(models)) * count + 2 * FLIPS * len(flips.EDITS)


def run(models: Models, items: Sequence[Item], tick: Tick) -> tuple[JSON, str]:
    """Measure one model on the bench; return the bare numbers, and the text."""
    constitution = load_constitution("sketch")
    rows: dict[str, Row] = {}
    judgments: list[tuple[Item, Judgment]] = []
    for variant in variants(models):
        if variant.name == "default":
            judgments = list(judged(variant, constitution, models, items, tick))
            outcomes = [scene_outcome(item, judgment) for item, judgment in judgments]
        else:
            outcomes = measure(variant, constitution, models, items, tick)
        rows[variant.name] = row(outcomes)
    tallies = mechanisms.tally(constitution, judgments)
    turned = flips.measure(models, Policy(), FLIPS, tick)
    parts = [
        variants_table(rows),
        "Per rule, `default`\n\n"
        + rules_table([scene_outcome(item, judgment) for item, judgment in judgments]),
        "What decided, `default`\n\n" + mechanisms.tests_table(tallies),
        "Policy flips, `default`\n\n" + flips.flips_table(turned),
    ]
    if models.encoder is not None:
        threshold = threshold_of(models.encoder.card.uri, Policy())
        swept = sweeps.relevance(models.encoder, constitution, items, threshold)
        parts.append("Relevance filter\n\n" + swept)
    if models.detector is not None:
        parts.append("Detector\n\n" + sweeps.detection(models.detector, constitution, items))
    numbers = {name: figures(outcomes) for name, outcomes in rows.items()}
    return numbers, "\n\n".join(parts)


def draw_bench(per_rule: int, plain: int, seed: str = SEED) -> list[Item]:
    """Draw the scenes."""
    return list(scenes(load_constitution("sketch"), per_rule, plain, seed))


def variants_table(rows: dict[str, Row]) -> str:
    """Write one line per variant."""
    head = ["", "image P", "image R", "image F1", "rule P", "rule R", "rule F1", "FPR plain",
            "coverage", "questions", "reasonings", "searches"]  # fmt: skip
    return table(head, [[name, *_cells(summary)] for name, summary in rows.items()])


def _cells(summary: Row) -> list[str]:
    image, rule = summary.image, summary.rule
    return [
        figure(image.precision), figure(image.recall), figure(image.f1, summary.image_f1),
        figure(rule.precision), figure(rule.recall),
        figure(rule.f1, summary.rule_f1) if rule.asked else figure(NAN),
        figure(summary.plain.fpr), figure(image.coverage), f"{summary.probes:.1f}",
        f"{summary.reasoning_calls:.2f}", f"{summary.detector_calls:.2f}",
    ]  # fmt: skip


def rules_table(outcomes: Sequence[SceneOutcome]) -> str:
    """Write one line per rule, and the false alarms per kind of scene."""
    lines = []
    for rule in outcomes[0].rules:
        counts = Counts.of(rule_calls(outcomes, rule))
        lines.append([
            rule, str(counts.tp + counts.fn), figure(counts.precision), figure(counts.recall),
            figure(counts.f1), str(counts.asked - counts.decided),
        ])  # fmt: skip
    text = table(["rule", "violating", "precision", "recall", "F1", "undecided"], lines)
    for kind in ("plain", "borderline"):
        counts = Counts.of(image_calls([f for f in outcomes if f.truth.kind == kind]))
        text += f"\n\nFalse alarms on {kind} scenes: {share(counts.fp, counts.fp + counts.tn)}"
    return text


def figures(summary: Row) -> JSON:
    """Return the bare numbers of a row."""
    rule = {"precision": summary.rule.precision, "recall": summary.rule.recall,
            "f1": summary.rule.f1, "interval": summary.rule_f1}  # fmt: skip
    return {
        "image": {"precision": summary.image.precision, "recall": summary.image.recall,
                  "f1": summary.image.f1, "interval": summary.image_f1},
        "rule": rule if summary.rule.asked else None,
        "fpr_plain": summary.plain.fpr, "coverage": summary.image.coverage,
        "probes": summary.probes, "reasoning_calls": summary.reasoning_calls,
        "detector_calls": summary.detector_calls,
    }  # fmt: skip
