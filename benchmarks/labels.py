"""What labels buy on SketchBench: image F1, calibration error, and whether promises are kept.

1,000 scenes are judged with every question asked and nothing reasoned about, so every rule has an
exact score. Then samples of scenes are taken for labelled ones:

1. Probabilities: `calibrate`'s line per rule, from n labelled scenes; on the scenes that are left,
   a rule counts as violated where its probability is above 1/2 (a rule without a line: where the
   first tests say so, open for no). Beside it the error of calibration (ECE), before and after.
2. Promises: thresholds from n scenes drawn with replacement, so what is true of all is known. A
   promise is broken where the share of errors beyond the threshold, over all scenes, exceeds it.

The scenes are of the seed `labels-report`, drawn for the first time when this was recorded; nothing
was chosen on them.

`python benchmarks/labels.py hf:sketch [--answers runs/answers.db]`
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measure import record
from promises import DELTA, LABELS, SHARES, Count, beyond, cut, errors_of, limit, risk
from twin import open_models

from safejudge.constitution.load import load_constitution
from safejudge.decide import probability
from safejudge.decide.probability import Line, Rows
from safejudge.decide.promises import Promise
from safejudge.engines.cached import CachedEngine
from safejudge.evals.stats.curves import calibration_error
from safejudge.policy import Policy
from safejudge.show.markdown import table
from safejudge.show.progress import progress
from safejudge.sketch.bench.bench import Variant, judged, scenes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

POLICY = Policy(open_means="undecided", crop=False).exhaustively()
FITS = (30, 50, 100, 200, 300, 500)
DRAWS = 20
SPLITS = 40


@dataclass(frozen=True)
class Scores:
    """What was read of the scenes, a row each, a column per rule."""

    rules: tuple[str, ...]
    margins: Floats
    """Log-odds of the scores."""
    called: Flags
    """Violated by the first tests."""
    asked: Flags
    """Not left out by the relevance filter."""
    known: Flags
    """Whether it has a score at all: pictures that nobody could read have none."""
    truths: Flags
    """Violated in truth."""
    borderline: Flags
    """Of scenes."""
    questions: float
    """Per image."""


def read(uri: str, answers: Path | None, per_rule: int, plain: int, seed: str) -> Scores:
    constitution = load_constitution("sketch")
    items = list(scenes(constitution, per_rule, plain, seed))
    models = open_models(uri)
    if answers is not None:
        models.engine = CachedEngine(models.engine, answers)
    names = tuple(rule.id for rule in constitution.rules)
    with progress(len(items)) as tick:
        pairs = list(judged(Variant("exact", POLICY), constitution, models, items, tick))
    verdicts = [[judgment.rules[name] for name in names] for _, judgment in pairs]
    models.close()
    return Scores(
        names,
        np.array([[v.margin if v.margin is not None else 0.0 for v in row] for row in verdicts]),
        np.array([[(v.unfiltered or v.outcome) == "violated" for v in row] for row in verdicts]),
        np.array([[v.outcome != "not_relevant" for v in row] for row in verdicts]),
        np.array(
            [
                [
                    all(leaf.test not in {"label_mass", "unreadable"} for leaf in v.preconditions)
                    for v in row
                ]
                for row in verdicts
            ]
        ),
        np.array([[name in item.truth.violations for name in names] for item, _ in pairs]),
        np.array([item.truth.kind == "borderline" for item, _ in pairs]),
        float(np.mean([judgment.usage.probes for _, judgment in pairs])),
    )


# --- 1: probabilities -----------------------------------------------------------------------------


def rows_of(scores: Scores, sample: Places) -> dict[str, Rows]:
    """Labelled rows as `calibrate` has them: rules that were asked and read."""
    rows = {}
    for column, rule in enumerate(scores.rules):
        kept = sample[scores.asked[sample, column] & scores.known[sample, column]]
        rows[rule] = Rows.of(
            scores.margins[kept, column].tolist(),
            scores.truths[kept, column].tolist(),
            [str(scene) for scene in kept],
        )
    return rows


def probabilities(scores: Scores, lines: Sequence[Line | None]) -> tuple[Floats, Flags]:
    """Return the probability of every rule on every scene, and whether it counts as violated."""
    chances = 1 / (1 + np.exp(-scores.margins))
    called = scores.called.copy()
    for column, line in enumerate(lines):
        if line is not None:
            chances[:, column] = [line(margin) for margin in scores.margins[:, column]]
            called[:, column] = chances[:, column] > 0.5
    asked = scores.asked & scores.known
    return np.where(asked, chances, 0.0), called & asked


def f1(called: Flags, truths: Flags) -> float:
    hits = int((called & truths).sum())
    return 2 * hits / max(1, int(called.sum()) + int(truths.sum()))


@dataclass
class Gain:
    """What one draw of labels came to, on the scenes that are left."""

    image_f1: float
    rule_f1: float
    borderline: float
    image_ece: float
    rule_ece: float
    rule_ece_before: float
    """Of the scores as they are, on the same scenes."""
    lines: float
    """Share of rules with a line."""


def gain(scores: Scores, sample: Places | None) -> Gain:
    """Measure one draw; None: no labels, on all scenes."""
    rest = np.ones(len(scores.truths), dtype=bool)
    lines: list[Line | None] = [None] * len(scores.rules)
    if sample is not None:
        rest[sample] = False
        found = probability.fit(rows_of(scores, sample)).lines
        lines = [line if isinstance(line := found[r], Line) else None for r in scores.rules]
    chances, called = probabilities(scores, lines)
    chances, called, truths = chances[rest], called[rest], scores.truths[rest]
    asked = (scores.asked & scores.known)[rest]
    plain = (1 / (1 + np.exp(-scores.margins)))[rest]
    image, near = called.any(axis=1), scores.borderline[rest]
    return Gain(
        f1(image, truths.any(axis=1)),
        f1(called, truths),
        float(image[near].mean()),
        calibration_error(chances.max(axis=1).tolist(), truths.any(axis=1).tolist()),
        calibration_error(chances[asked].tolist(), truths[asked].tolist()),
        calibration_error(plain[asked].tolist(), truths[asked].tolist()),
        float(np.mean([line is not None for line in lines])),
    )


def gains(scores: Scores) -> Iterator[tuple[int, list[Gain]]]:
    """Yield the number of labelled scenes, and what each of its draws came to."""
    yield 0, [gain(scores, None)]
    for n in FITS:
        lots = (np.random.default_rng((n, draw, 174)) for draw in range(DRAWS))
        yield n, [gain(scores, lot.permutation(len(scores.truths))[:n]) for lot in lots]


def gains_table(found: Sequence[tuple[int, list[Gain]]]) -> str:
    rows = []
    for n, runs in found:
        image = [run.image_f1 for run in runs]
        used = [run for run in runs if run.lines > 0]
        worse = sum(run.rule_ece > run.rule_ece_before for run in used)
        means = {
            name: float(np.mean([getattr(run, name) for run in runs]))
            for name in ("rule_f1", "borderline", "image_ece", "rule_ece", "lines")
        }
        rows.append((
            str(n), f"{np.mean(image):.3f}", f"{min(image):.3f}", f"{means['rule_f1']:.3f}",
            f"{means['borderline']:.3f}", f"{means['image_ece']:.3f}", f"{means['rule_ece']:.3f}",
            f"{means['lines']:.0%}", f"{worse} of {len(used)}" if n else "",
        ))  # fmt: skip
    heads = ("labelled scenes", "image F1, mean", "worst", "rule F1", "borderline, false alarms",
             "image ECE", "rule ECE", "rules with a line", "rule ECE worse")  # fmt: skip
    return table(heads, rows)


# --- 2: promises ----------------------------------------------------------------------------------


def kept(scores: Scores) -> dict[tuple[str, float, int], Count]:
    counts: dict[tuple[str, float, int], Count] = defaultdict(Count)
    for split in range(SPLITS):
        rows = np.random.default_rng((split, 24)).integers(0, len(scores.truths), max(LABELS))
        for column in range(len(scores.rules)):
            there = scores.asked[:, column] & scores.known[:, column]
            points = 1 / (1 + np.exp(-scores.margins[:, column]))
            for action in ("block", "pass"):
                truths = scores.truths[:, column]
                errors = errors_of(truths, action)
                for n in LABELS:
                    sample = rows[:n][there[rows[:n]]]
                    for share in SHARES:
                        at = cut(points[sample], errors[sample], action, Promise(share, DELTA))
                        acted = there & beyond(points, at, action)
                        count = counts[action, share, n]
                        count.runs += 1
                        count.cuts += at is not None
                        count.broken += risk(errors, acted) > share
                        count.covered += float(acted.sum() / max(1, there.sum()))
    return counts


def kept_table(counts: dict[tuple[str, float, int], Count]) -> str:
    rows = []
    for (action, share, n), count in counts.items():
        rows.append((
            action, f"{share:.0%}", str(n), f"{count.cuts / count.runs:.0%}",
            f"{count.broken / count.runs:.3f}", f"{limit(count.runs):.3f}",
            f"{count.covered / count.runs:.3f}",
        ))  # fmt: skip
    heads = ("action", "promise", "labelled scenes", "a threshold is found", "broken", "limit",
             "coverage")  # fmt: skip
    return table(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--per-rule", type=int, default=24)
    parser.add_argument("--plain", type=int, default=424)
    parser.add_argument("--seed", default="labels-report")
    args = parser.parse_args()
    scores = read(args.engine, args.answers, args.per_rule, args.plain, args.seed)
    found = list(gains(scores))
    counts = kept(scores)
    name = args.engine.removeprefix("hf:")
    text = (
        f"{len(scores.truths)} scenes of the seed {args.seed}, {args.engine}; "
        f"{scores.questions:.1f} questions an image, no reasoning, no detector\n\n"
        f"{gains_table(found)}\n\n{DRAWS} draws of labels each; measured on the scenes that are "
        f"left.\n\nPromises, {SPLITS} samples of scenes and {len(scores.rules)} rules each, delta "
        f"{DELTA:.0%}; coverage is the share of the images under which the rule was asked\n\n"
        f"{kept_table(counts)}"
    )
    numbers = {
        "gains": {str(n): [vars(run) for run in runs] for n, runs in found},
        "promises": {f"{a} {s} {n}": vars(c) for (a, s, n), c in counts.items()},
    }
    record(f"labels-{name}", numbers, text)


if __name__ == "__main__":
    main()
