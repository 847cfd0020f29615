"""A relevance filter distilled from the shipped judge, beside the filter in use, on SketchBench.

Written down before the run. The judge `hf:sketch` is asked everything about unlabelled scenes of
the seed `distilled-learn`; `safejudge distill` learns from three quarters of them and finds its
threshold on the rest, for 99.5 % of what the judge finds violated. How it learns was chosen on
scenes of the seed `distilled-dev`. SketchBench's scenes of `decide-report`, which `bench.py`
measures, are looked at once, after that, and nothing is chosen on them.

Every step goes on from what an earlier run left in `--work`.

`python benchmarks/distilled.py --work runs/distilled`
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import record

from safejudge.cli.app import main as command
from safejudge.constitution.load import load_constitution
from safejudge.distill.cut import Kept, Pairs
from safejudge.engines.base import survey
from safejudge.engines.cached import CachedEngine
from safejudge.engines.models import Models
from safejudge.engines.open import open_detector, open_encoder, open_engine
from safejudge.judge import Judge
from safejudge.method.relevance import relevance_text, threshold_of
from safejudge.policy import Policy
from safejudge.show.markdown import figure, table
from safejudge.show.progress import progress
from safejudge.sketch.bench import report
from safejudge.sketch.bench.bench import Row, SceneOutcome, Variant, measure, row, scenes
from safejudge.sketch.scenes import write_drawn
from safejudge.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.base import Encoder
    from safejudge.sketch.bench.bench import Item

LEARN, REPORT = "distilled-learn", "decide-report"
SIZES = (120, 720)
"""Scenes of `LEARN`: violating and as many borderline per rule, and plain; in the same proportions
as those of SketchBench."""
JUDGED = 1850
"""So many of them, in an order drawn by lot, are judged."""
DROPPED = 0.85
RULES = load_constitution("sketch")
TODAY, DISTILLED = "today's (cosine)", "distilled"
TIMED = 192
"""Scenes that are judged with a clock, by one judge after the other, window by window. It counts
the seconds of this process on a core: others may use the machine meanwhile."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=JUDGED)
    parser.add_argument("--per-rule", type=int, default=24)
    parser.add_argument("--plain", type=int, default=240)
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    folder = learned(args.work, args.images)
    items = report.draw_bench(args.per_rule, args.plain, REPORT)
    encoders = {TODAY: open_encoder("hf:sketch"), DISTILLED: open_encoder(f"scorer:{folder}")}
    engine = CachedEngine(open_engine("hf:sketch"), args.work / "answers.db")
    rows, outcomes = judged(engine, encoders, items)
    everything = outcomes["every rule"]
    filters = [
        Filter(
            name,
            similar(encoder, items),
            threshold_of(encoder.card.uri, Policy(), encoder.card.learned),
        )
        for name, encoder in encoders.items()
    ]
    sweeps = [line for one in filters for line in one.lines(items, everything)]
    seconds = timed(encoders, items)
    settings = json.loads((folder / "scorer.json").read_text("utf-8"))
    numbers = {
        "seed": REPORT, "scenes": len(items), "filters": [line.numbers() for line in sweeps],
        "judges": {name: report.figures(one) for name, one in rows.items()},
        "seconds": seconds, "held_out": settings["held_out"], "trained_on": settings["trained_on"],
        "threshold": settings["filter"]["threshold"], "unlearned": settings["filter"]["unlearned"],
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("*.safetensors"))},
    }  # fmt: skip
    record("distilled", numbers, text_of(numbers, rows, sweeps, filters, items))


# --- learning -----------------------------------------------------------------------------------


def learned(work: Path, images: int) -> Path:
    """Draw, judge and distill, as far as it is not done yet; return the filter's folder."""
    drawn, records, folder = work / "scenes", work / "records.jsonl", work / "filter"
    if not drawn.is_dir():
        work.mkdir(parents=True, exist_ok=True)
        items = [(one.scene, one.truth) for one in scenes(RULES, *SIZES, LEARN)]
        random.Random(LEARN).shuffle(items)  # noqa: S311
        write_drawn(drawn, items, overwrite=False)
    code = command([
        "judge", str(drawn), "--constitution", "sketch", "--engine", "hf:sketch", "--exhaustive",
        "--no-relevance", "--limit", str(images), "--window", "64", "--resume",
        "--out", str(records),
    ])  # fmt: skip
    if code not in (0, 1, 4):
        raise SystemExit(code)
    if not (folder / "scorer.json").is_file():
        code = command([
            "distill", "--records", str(records), "--backbone", "hf:sketch", "--layers", "all",
            "--out", str(folder), "--resume",
        ])  # fmt: skip
        if code:
            raise SystemExit(code)
    return folder


# --- the filters by themselves ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """What one filter keeps and drops at one threshold."""

    name: str
    truth: Kept
    """Of what is true."""
    judge: Kept
    """Of what the judge finds violated when it is asked everything."""
    both: Kept
    """Of what it finds rightly."""
    asked: float
    """Share of pairs that are asked, the likest rule of every scene included."""

    def numbers(self) -> dict[str, Any]:
        """For the record."""
        return {
            "filter": self.name, "threshold": self.truth.threshold, "dropped": self.truth.dropped,
            "asked": self.asked, "truth": self.truth.violated.json(),
            "judge": self.judge.violated.json(), "rightly": self.both.violated.json(),
        }  # fmt: skip

    def cells(self) -> list[str]:
        """For the table."""
        kept = (one.violated.text() for one in (self.truth, self.judge, self.both))
        return [self.name, f"{self.truth.threshold:.4f}", *kept, f"{self.truth.dropped:.3f}",
                f"{1 - self.asked:.3f}"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """The numbers of one encoder, scenes by rules, and its threshold."""

    name: str
    similar: np.ndarray[Any, np.dtype[np.float64]]
    threshold: float

    def lines(self, items: Sequence[Item], everything: Sequence[SceneOutcome]) -> list[Line]:
        """At its own threshold, at the share that is aimed at, and where it keeps 99.5 %."""
        truth, judge = flags(items), called(everything)
        pairs = self.pairs(truth)
        cuts = {
            "its threshold": self.threshold,
            f"{DROPPED:.0%} dropped": pairs.dropping(DROPPED),
            "99.5 % of the judge's kept (for comparison)": self.pairs(judge).threshold(0.995),
        }
        return [self.line(f"{self.name}, {name}", cut, truth, judge) for name, cut in cuts.items()]

    def pairs(self, violated: np.ndarray[Any, np.dtype[np.bool_]]) -> Pairs:
        """Every scene with every rule."""
        count = len(self.similar)
        rules = [rule.id for rule in RULES.rules]
        images = [str(scene) for scene in range(count) for _ in rules]
        return Pairs(rules * count, images, violated.ravel(), self.similar.ravel())

    def line(
        self,
        name: str,
        cut: float,
        truth: np.ndarray[Any, np.dtype[np.bool_]],
        judge: np.ndarray[Any, np.dtype[np.bool_]],
    ) -> Line:
        """At one threshold; a scene that no encoder has a number for is asked everything."""
        asked = ~(self.similar <= cut)
        likest = np.nan_to_num(self.similar, nan=-np.inf).argmax(axis=1)
        asked[np.arange(len(asked)), likest] = True
        held = [self.pairs(flag).kept_above(cut) for flag in (truth, judge, truth & judge)]
        return Line(name, held[0], held[1], held[2], float(asked.mean()))


def similar(encoder: Encoder, items: Sequence[Item]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scenes by rules."""
    texts = [relevance_text(rule) for rule in RULES.rules]
    numbers = survey(encoder, texts, [item.picture for item in items])
    return np.array(numbers).reshape(len(items), len(texts))


def flags(items: Sequence[Item]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """What is true, scenes by rules."""
    return np.array([[rule.id in i.truth.violations for rule in RULES.rules] for i in items])


def called(outcomes: Sequence[SceneOutcome]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """What a judge that is asked everything finds violated, scenes by rules."""
    return np.array([
        [one.rules[rule.id] is Outcome.YES for rule in RULES.rules] for one in outcomes
    ])  # fmt: skip


# --- the judge with each ------------------------------------------------------------------------


def judged(
    engine: CachedEngine, encoders: dict[str, Encoder], items: Sequence[Item]
) -> tuple[dict[str, Row], dict[str, list[SceneOutcome]]]:
    """Judge the scenes with every rule asked, and with each filter."""
    detector = open_detector("hf:sketch")
    everything = Models(engine, None, detector)
    filtered = {name: Models(engine, encoder, detector) for name, encoder in encoders.items()}
    outcomes = {}
    with progress(len(items) * (1 + len(filtered))) as advance:
        for name, models in {"every rule": everything, **filtered}.items():
            outcomes[name] = measure(Variant(name, Policy()), RULES, models, items, advance)
    return {name: row(found) for name, found in outcomes.items()}, outcomes


def timed(encoders: dict[str, Encoder], items: Sequence[Item]) -> dict[str, float]:
    """Seconds an image of each judge, and of each filter alone; nothing is remembered.

    They take turns, window by window.
    """
    chosen = random.Random(REPORT).sample(list(items), min(TIMED, len(items)))  # noqa: S311
    kinds: dict[str, Encoder | None] = {"every rule": None, **encoders}
    engine, seconds = open_engine("hf:sketch"), dict.fromkeys(kinds, 0.0)
    detector = open_detector("hf:sketch")
    judges = {
        name: Judge(RULES, Models(engine, e, detector), Policy()) for name, e in kinds.items()
    }
    for judge in judges.values():  # what is read once for all images is read before
        judge([chosen[0].picture.pixels])
    for start in range(0, len(chosen), 32):
        window = [item.picture.pixels for item in chosen[start : start + 32]]
        for name, judge in judges.items():
            began = time.process_time()
            judge(window)
            seconds[name] += time.process_time() - began
        for name, encoder in encoders.items():
            began = time.process_time()
            similar(encoder, chosen[start : start + 32])
            alone = f"{name}, filter alone"
            seconds[alone] = seconds.get(alone, 0.0) + time.process_time() - began
    return {name: total / len(chosen) for name, total in seconds.items()}


# --- text ---------------------------------------------------------------------------------------


def text_of(
    numbers: dict[str, Any],
    rows: dict[str, Row],
    sweeps: Sequence[Line],
    filters: Sequence[Filter],
    items: Sequence[Item],
) -> str:
    head = ["filter", "threshold", "violated rules kept", "of what the judge finds",
            "rightly found", "pairs dropped", "with the likest asked"]  # fmt: skip
    held = numbers["held_out"]
    seconds, today = numbers["seconds"], numbers["seconds"][TODAY]
    lines = [
        [name, figure(one.image.f1, one.image_f1), figure(one.image.precision),
         figure(one.image.recall), figure(one.rule.f1, one.rule_f1), f"{one.probes:.2f}",
         f"{one.reasoning_calls:.2f}", f"{one.detector_calls:.2f}",
         f"{seconds[name]:.3f}", f"{seconds[name] / today:.2f}"]
        for name, one in rows.items()
    ]  # fmt: skip
    judges = table(
        ["judge with", "image F1", "image P", "image R", "rule F1", "questions", "reasonings",
         "searches", "core seconds", "today's = 1"], lines,
    )  # fmt: skip
    unlearned = ", ".join(numbers["unlearned"]) or "none"
    alone = ", ".join(
        f"{one.name} {seconds[f'{one.name}, filter alone']:.4f} core seconds" for one in filters
    )
    begin = (
        f"{len(items)} scenes of the seed {REPORT}; the filter learned from "
        f"{numbers['trained_on']['pictures']} scenes of {LEARN}, and its threshold is from "
        f"{held['images']} others (held out: kept {held['violated']['value']:.4f} of "
        f"{held['violated']['n']} violated pairs, {held['dropped']:.3f} dropped). Rules that it "
        f"did not learn: {unlearned}."
    )
    return "\n\n".join([
        begin,
        table(head, [line.cells() for line in sweeps]),
        judges,
        f"The filter alone: {alone}.",
        by_rule(filters, items),
    ])  # fmt: skip


def by_rule(filters: Sequence[Filter], items: Sequence[Item]) -> str:
    """Violated rules kept by each filter at its threshold, rule by rule."""
    truth = flags(items)
    lines = []
    for rule in RULES.rules:
        cells = [rule.id]
        for one in filters:
            kept = one.pairs(truth).kept_above(one.threshold, rule.id)
            cells += [kept.violated.text(), f"{kept.dropped:.3f}"]
        lines.append(cells)
    names = [f"{one.name}, {what}" for one in filters for what in ("kept", "dropped")]
    return table(["rule", *names], lines)


if __name__ == "__main__":
    main()
