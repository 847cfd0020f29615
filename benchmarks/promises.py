"""How often thresholds keep their promise, and what calibration buys, on 13 models' probabilities.

Of every question one option is drawn by lot and put as a statement: its score is the model's
probability of that option among the four, and it is "violated" where that option is right. So
blocking acts on high scores and passing on low ones, as with rules. The models and questions are in
`benchmarks/data`.

1. Promises. Samples of 100, 300, 1,000 rows are drawn with replacement from all rows of a model, so
   what is true of all is known: a promise is broken where the share of errors beyond the cut, over
   all rows, exceeds it. Beside it: cuts at face value (the loosest whose sample keeps the share).
2. Shift. 300 rows of OOD-CV's iid part; the promise is looked at in its other parts, in
   MMBench, and where true statements are more or fewer to every false one.
3. Probabilities. ECE on rows outside the sample, before and after; of the models as they are, and
   made too sure (logits times 2.5). `one`: one rule; `six`: MMBench's six groups, or OOD-CV's
   seven parts, as rules that share the labels.

Where the sequence begins, and when a line is applied, was chosen on other seeds (such as
`dev`); what is recorded is of `test`.

`python benchmarks/promises.py [--seeds dev|test] [--splits 40] [--fits 6]`
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measure import record

from safejudge.decide import probability, promises
from safejudge.decide.probability import Line, Rows
from safejudge.decide.promises import Cut, Promise
from safejudge.evals.stats.curves import calibration_error
from safejudge.show.markdown import table

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Lot = np.random.Generator

PACK = Path(__file__).parent / "data" / "vlm_option_logits.npz"
SEEDS = {"dev": 5_000, "test": 174_000}
SHARES = (0.05, 0.1)
DELTA = 0.1
LABELS = (100, 300, 1000)
FITS = (30, 50, 100, 300, 1000)
SURE = 2.5
"""What logits are multiplied by, of a judge that is too sure."""


@dataclass(frozen=True)
class World:
    """All statements about one model's answers to one set of questions."""

    name: str
    scores: Floats
    truths: Flags
    parts: npt.NDArray[np.int64]
    """Kinds of questions."""
    names: tuple[str, ...]
    """Names of the kinds."""


@dataclass
class Count:
    """What became of one kind of run."""

    runs: int = 0
    cuts: int = 0
    broken: int = 0
    covered: float = 0.0
    face_broken: int = 0
    face_covered: float = 0.0


def worlds(pack: Path, seed: int, sure: float = 1.0) -> Iterator[World]:
    """Every model with both sets of questions."""
    with np.load(pack) as data:
        for number, model in enumerate(data["models"]):
            for source, kind in (("oodcv", "situation"), ("mmbench", "l2")):
                logits = data[f"{source}_logits64"][number, :, :4].astype(float) / 64 * sure
                chances = np.exp(logits)
                chances /= chances.sum(axis=1, keepdims=True)
                answers = data[f"{source}_answer"]
                drawn = np.random.default_rng((seed, number)).integers(0, 4, len(answers))
                names = tuple(map(str, data[f"{source}_{kind}s"]))
                yield World(
                    f"{model} {source}",
                    chances[np.arange(len(answers)), drawn],
                    drawn == answers,
                    data[f"{source}_{kind}"].astype(np.int64),
                    names,
                )


def errors_of(truths: Flags, action: str) -> Flags:
    return ~truths if action == "block" else truths


def cut(scores: Floats, errors: Flags, action: str, promise: Promise) -> float | None:
    find = promises.above if action == "block" else promises.below
    found = find(scores, errors, promise)
    return found.at if isinstance(found, Cut) else None


def face_value(scores: Floats, errors: Flags, action: str, share: float) -> float | None:
    """The loosest cut beyond which the sample itself keeps the share."""
    signed = scores if action == "block" else -scores
    order = np.argsort(-signed, kind="stable")
    shares = np.cumsum(errors[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(shares <= share)
    if not len(good):
        return None
    end = int(good[-1]) + 1
    return (
        float(scores[order][end])
        if end < len(order)
        else float(np.inf if action == "pass" else -np.inf)
    )


def beyond(scores: Floats, at: float | None, action: str) -> Flags:
    if at is None:
        return np.zeros(len(scores), dtype=bool)
    return scores > at if action == "block" else scores < at


def risk(errors: Flags, acted: Flags) -> float:
    return float(errors[acted].mean()) if acted.any() else 0.0


# --- 1: promises ----------------------------------------------------------------------------------


def kept(pack: Path, seed: int, splits: int) -> dict[tuple[str, float, int], Count]:
    counts: dict[tuple[str, float, int], Count] = defaultdict(Count)
    for number, world in enumerate(worlds(pack, seed)):
        for split in range(splits):
            lot = np.random.default_rng((seed, number, split))
            rows = lot.integers(0, len(world.scores), max(LABELS))
            for action in ("block", "pass"):
                errors = errors_of(world.truths, action)
                for n in LABELS:
                    scores, wrong = world.scores[rows[:n]], errors[rows[:n]]
                    for share in SHARES:
                        at = cut(scores, wrong, action, Promise(share, DELTA))
                        face = face_value(scores, wrong, action, share)
                        acted, faced = (beyond(world.scores, c, action) for c in (at, face))
                        count = counts[action, share, n]
                        count.runs += 1
                        count.cuts += at is not None
                        count.broken += risk(errors, acted) > share
                        count.covered += float(acted.mean())
                        count.face_broken += risk(errors, faced) > share
                        count.face_covered += float(faced.mean())
    return counts


def limit(runs: int) -> float:
    """More broken promises than this are a bug."""
    return DELTA + 2 * math.sqrt(DELTA * (1 - DELTA) / runs)


def kept_table(counts: dict[tuple[str, float, int], Count]) -> tuple[str, list[str]]:
    rows, bugs = [], []
    for (action, share, n), c in counts.items():
        if c.broken / c.runs > limit(c.runs):
            bugs.append(f"{action} {share:.0%} n={n}")
        rows.append((
            action, f"{share:.0%}", str(n), f"{c.cuts / c.runs:.0%}", f"{c.broken / c.runs:.3f}",
            f"{limit(c.runs):.3f}", f"{c.covered / c.runs:.3f}", f"{c.face_broken / c.runs:.3f}",
            f"{c.face_covered / c.runs:.3f}",
        ))  # fmt: skip
    heads = ("action", "promise", "labels", "a cut is found", "broken", "limit", "coverage",
             "face value: broken", "coverage")  # fmt: skip
    return table(heads, rows), bugs


# --- 2: shift -------------------------------------------------------------------------------------


def shifted(pack: Path, seed: int, splits: int) -> dict[tuple[str, float, str], Count]:
    counts: dict[tuple[str, float, str], Count] = defaultdict(Count)
    every = list(worlds(pack, seed))
    for number, (world, other) in enumerate(zip(every[::2], every[1::2], strict=True)):
        home = np.flatnonzero(world.parts == world.names.index("iid"))
        places = {
            name: (world.scores[inside], world.truths[inside])
            for part, name in enumerate(world.names)
            if len(inside := np.flatnonzero(world.parts == part))
        } | {"MMBench": (other.scores, other.truths)}
        for name, truth in (("thrice as many true", True), ("a third as many true", False)):
            left = np.concatenate([
                home[world.truths[home] == truth], home[world.truths[home] != truth][::3]
            ])  # fmt: skip
            places[name] = (world.scores[left], world.truths[left])
        for split in range(splits):
            rows = np.random.default_rng((seed, number, split, 1)).choice(home, 300)
            for action in ("block", "pass"):
                for share in SHARES:
                    promise = Promise(share, DELTA)
                    wrong = errors_of(world.truths, action)
                    at = cut(world.scores[rows], wrong[rows], action, promise)
                    for name, (scores, truths) in places.items():
                        count = counts[action, share, name]
                        acted = beyond(scores, at, action)
                        count.runs += 1
                        count.cuts += at is not None
                        count.broken += risk(errors_of(truths, action), acted) > share
                        count.covered += float(acted.mean())
    return counts


def shifted_table(counts: dict[tuple[str, float, str], Count]) -> str:
    names = list(dict.fromkeys(name for _, _, name in counts))
    rows = []
    for action in ("block", "pass"):
        for share in SHARES:
            cells = [counts[action, share, name] for name in names]
            found = f"{cells[0].cuts / cells[0].runs:.0%}"
            rows.append(
                (action, f"{share:.0%}", found, *(f"{c.broken / c.runs:.3f}" for c in cells))
            )
    return table(("action", "promise", "a cut is found", *names), rows)


# --- 3: probabilities -----------------------------------------------------------------------------

Ece = dict[tuple[str, str, int], list[tuple[float, float, float]]]
"""Before, after, and the share of rules to which a line was applied."""


def eces(pack: Path, seed: int, fits: int) -> Ece:
    found: Ece = defaultdict(list)
    for judge, sure in (("as it is", 1.0), ("too sure", SURE)):
        for number, world in enumerate(worlds(pack, seed, sure)):
            for split in range(fits):
                order = np.random.default_rng((seed, number, split, 2)).permutation(
                    len(world.scores)
                )
                for n in FITS:
                    for rules in ("one", "six"):
                        part = np.zeros_like(world.parts) if rules == "one" else world.parts
                        found[judge, rules, n].append(ece(world, order, n, part))
    return found


def ece(
    world: World, order: npt.NDArray[np.int64], n: int, parts: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """ECE before and after, on what the sample of `n` left."""
    scores = np.clip(world.scores, 1e-9, 1 - 1e-9)
    margins = np.log(scores) - np.log1p(-scores)
    sample, rest = order[:n], order[n:]
    kinds = np.unique(parts)
    rows = {}
    for kind in kinds:
        inside = sample[parts[sample] == kind]
        ids = [f"{row}" for row in inside]
        rows[str(kind)] = Rows.of(margins[inside].tolist(), world.truths[inside].tolist(), ids)
    lines = probability.fit(rows).lines
    after = scores.copy()
    for kind in kinds:
        line = lines[str(kind)]
        if isinstance(line, Line):
            inside = rest[parts[rest] == kind]
            after[inside] = [line(margin) for margin in margins[inside]]
    applied = sum(isinstance(line, Line) for line in lines.values()) / len(kinds)
    truths = world.truths[rest].tolist()
    before, now = (calibration_error(side[rest].tolist(), truths) for side in (scores, after))
    return before, now, applied


def ece_table(found: Ece) -> str:
    rows = []
    for (judge, rules, n), runs in found.items():
        before, after, applied = (float(np.mean(column)) for column in zip(*runs, strict=True))
        used = [run for run in runs if run[2] > 0]
        worse = sum(now > was for was, now, _ in used)
        rows.append((
            judge, rules, str(n), f"{before:.3f}", f"{after:.3f}", f"{applied:.0%}",
            f"{worse} of {len(used)}",
        ))  # fmt: skip
    heads = ("judge", "rules", "labels", "ECE before", "after", "rules with a line",
             "worse, of runs with a line")  # fmt: skip
    return table(heads, rows)


# --- all of it ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=PACK)
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--fits", type=int, default=6)
    options = parser.parse_args()
    start, seed = time.process_time(), SEEDS[options.seeds]
    counts = kept(options.pack, seed, options.splits)
    shift = shifted(options.pack, seed, options.splits)
    reliability = eces(options.pack, seed, options.fits)
    first, bugs = kept_table(counts)
    text = (
        f"# Promises and probabilities\n\n13 models, two sets of questions, {options.splits} "
        f"samples each, seeds `{options.seeds}`; delta {DELTA:.0%}. Broken more often than the "
        f"limit (delta and two standard errors): {', '.join(bugs) or 'none'}.\n\n{first}\n\n"
        "## After a shift\n\nPromised with 300 labels of OOD-CV's part `iid`: the share of runs in "
        "which the promise is broken, in each part of OOD-CV, in MMBench, and with thrice or a "
        f"third as many true statements to every false one.\n\n{shifted_table(shift)}\n\n"
        f"## Probabilities\n\n{options.fits} samples each.\n\n{ece_table(reliability)}"
    )
    numbers = {
        "seeds": options.seeds,
        "promises": {f"{a} {s} {n}": vars(c) for (a, s, n), c in counts.items()},
        "shift": {f"{a} {s} {name}": vars(c) for (a, s, name), c in shift.items()},
        "ece": {f"{j}, {r}, {n}": runs for (j, r, n), runs in reliability.items()},
    }
    print(f"{time.process_time() - start:.0f} s of CPU")
    record("promises", numbers, text)


if __name__ == "__main__":
    main()
