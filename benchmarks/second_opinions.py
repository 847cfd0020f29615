"""What a second opinion is worth, and another one about the least sure.

1. On the probabilities of 13 vision-language models (`benchmarks/data`), two sets of questions with
   four options. An ensemble takes the mean of the log-probabilities of each option (`accuracy`), or
   of the log-odds of one option that is drawn by lot, put as a statement (`AUROC`), as `--also`
   does. Every pair and every triple is measured against the best of its members: of one family
   (models built on one another), and of several; by how far the members are apart.
2. On the same: the least sure answers of each smaller model go to the largest. By share sent: the
   accuracy, and how much of the gain of sending all is bought. Then as it is done with images that
   keep coming: the bound of `--escalate-below` is found on one half of the questions, and what
   share goes on, and what that buys, is looked at on the other.
3. The two judges of the drawn world: each alone, the mean of both, and the even twin asked what the
   skewed judge leaves open, or decides by less than a bound. What is open in the end is `no`, or is
   reasoned about. No regions, so that nothing hangs on the test that removes them.

Families, gaps, shares, bounds and seeds were written down here before anything was run; no choice
rests on what is reported.

`python benchmarks/second_opinions.py pack`, `python benchmarks/second_opinions.py live`
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from measure import record
from twin import open_engine, open_models

from safejudge.constitution.load import load_constitution
from safejudge.engines.cached import CachedEngine
from safejudge.evals.stats.curves import auroc
from safejudge.policy import Policy
from safejudge.show.markdown import figure, table
from safejudge.sketch.bench.bench import SceneOutcome, Variant, measure, row, scenes

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.engines.models import Models

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PACK = Path(__file__).parent / "data" / "vlm_option_logits.npz"
SOURCES = ("mmbench", "oodcv")
LARGEST = "llava-v1.6-34b"
FAMILIES = {
    "MoE-LLaVA-Phi2-2.7B-4e": "MoE-LLaVA",
    "MoE-LLaVA-Qwen-1.8B-4e": "MoE-LLaVA",
    "MoE-LLaVA-StableLM-1.6B-4e": "MoE-LLaVA",
    "Monkey-Chat": "Qwen-VL",
    "Qwen-VL-Chat": "Qwen-VL",
    "Qwen-VL": "Qwen-VL",
    "llava-v1.5-7b": "LLaVA",
    "llava-v1.6-34b": "LLaVA",
    "llava-v1.6-vicuna-13b": "LLaVA",
}
"""Models built on one another; of all others each is a family."""
GAPS = (0.05, 0.15)
"""How far the accuracies of the members are apart; between them, and beyond, other ensembles."""
_GAPS = (f"under {GAPS[0]:.2f}", f"{GAPS[0]:.2f} to {GAPS[1]:.2f}", f"over {GAPS[1]:.2f}")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
SEEDS = {"dev": 9_100, "test": 271_000}
DRAWS = 400
"""Of questions with replacement, for intervals."""

LIVE_SEEDS = {"dev": "second-opinions-dev", "test": "second-opinions-1"}
PER_RULE, PLAIN = 25, 200
BOUNDS = (2.0, 4.0)


# --- the pack -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """All models' answers to one set of questions."""

    source: str
    models: tuple[str, ...]
    logs: Floats
    """Models x questions x 4: log-probability of each option among the four."""
    truth: npt.NDArray[np.int64]
    drawn: npt.NDArray[np.int64]
    """Of each question the option that is put as a statement."""

    @property
    def holds(self) -> Flags:
        """Whether each statement is true."""
        return np.asarray(self.drawn == self.truth)

    def right(self, members: tuple[int, ...]) -> Flags:
        """Whether the option with the highest mean is the right one."""
        return np.asarray(self.logs[list(members)].mean(axis=0).argmax(axis=1) == self.truth)

    def margins(self, members: tuple[int, ...]) -> Floats:
        """The mean log-odds of each statement."""
        logs = self.logs[list(members)]
        chosen = np.take_along_axis(logs, self.drawn[None, :, None], axis=2)[..., 0]
        others = np.log(np.maximum(-np.expm1(chosen), 1e-12))
        return np.asarray((chosen - others).mean(axis=0))

    def sureness(self, model: int) -> Floats:
        """How far the likeliest option is ahead of the second, in log-odds."""
        ordered = np.sort(self.logs[model], axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])


def answers(pack: Path, seed: int) -> list[Answers]:
    """Read both sets of questions."""
    found = []
    with np.load(pack) as data:
        for source in SOURCES:
            logits = data[f"{source}_logits64"][:, :, :4].astype(float) / 64
            logs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
            truth = data[f"{source}_answer"].astype(np.int64)
            drawn = np.random.default_rng(seed).integers(0, 4, len(truth))
            found.append(Answers(source, tuple(map(str, data["models"])), logs, truth, drawn))
    return found


def kind_of(members: tuple[str, ...]) -> str:
    families = {FAMILIES.get(name, name) for name in members}
    if len(families) == 1:
        return "one family"
    return "different families" if len(families) == len(members) else "two of one family"


def gap_of(accuracies: list[float]) -> str:
    apart = max(accuracies) - min(accuracies)
    if apart < GAPS[0]:
        return _GAPS[0]
    return _GAPS[1] if apart < GAPS[1] else _GAPS[2]


@dataclass
class Gains:
    """Ensembles of one kind: against the best of their members, by set and question."""

    count: int = 0
    better: int = 0
    """How many are more often right than the best of their members."""
    auroc: float = 0.0
    """Sum of the differences in AUROC."""
    by_question: dict[str, Floats] = field(default_factory=dict)
    """By set, the sum over ensembles of right less right, for each question."""

    def add(self, source: str, gain: Floats, in_auroc: float) -> None:
        """Count one ensemble."""
        self.by_question[source] = self.by_question.get(source, np.zeros(len(gain))) + gain
        self.count += 1
        self.better += bool(gain.mean() > 0)
        self.auroc += in_auroc

    def mean(self, seed: int) -> tuple[float, float, float]:
        """The mean gain, with a 95 % interval over questions."""
        lot = np.random.default_rng(seed)
        draws = []
        for n in range(DRAWS + 1):
            total = 0.0
            for gain in self.by_question.values():
                picked = gain if n == 0 else gain[lot.integers(0, len(gain), len(gain))]
                total += float(picked.mean())
            draws.append(total / self.count)
        low, high = np.percentile(draws[1:], [2.5, 97.5])
        return draws[0], float(low), float(high)


def ensembles(sets: list[Answers]) -> dict[tuple[int, str, str], Gains]:
    """Measure every pair and triple."""
    gains: dict[tuple[int, str, str], Gains] = defaultdict(Gains)
    for one in sets:
        alone = [one.right((n,)) for n in range(len(one.models))]
        alone_auroc = [ranked(one, (n,)) for n in range(len(one.models))]
        accuracies = [float(right.mean()) for right in alone]
        for size in (2, 3):
            for members in itertools.combinations(range(len(one.models)), size):
                best = max(members, key=lambda n: accuracies[n])
                gain = one.right(members).astype(float) - alone[best]
                in_auroc = ranked(one, members) - max(alone_auroc[n] for n in members)
                kind = kind_of(tuple(one.models[n] for n in members))
                for gap in ("any", gap_of([accuracies[n] for n in members])):
                    gains[size, kind, gap].add(one.source, gain, in_auroc)
    return gains


def ranked(one: Answers, members: tuple[int, ...]) -> float:
    scores = 1.0 / (1.0 + np.exp(-one.margins(members)))
    return float(auroc(scores.tolist(), one.holds.tolist()))


def ensembles_table(gains: dict[tuple[int, str, str], Gains], seed: int) -> str:
    gaps = ["any", *_GAPS]
    rows = []
    for size, kind, gap in sorted(gains, key=lambda key: (key[0], key[1], gaps.index(key[2]))):
        found = gains[size, kind, gap]
        mean, low, high = found.mean(seed)
        rows.append([
            str(size), kind, gap, str(found.count), f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
            f"{found.better} of {found.count}", f"{found.auroc / found.count:+.4f}",
        ])  # fmt: skip
    heads = ["engines", "of", "apart", "ensembles", "accuracy against the best member",
             "better than it", "AUROC against the best"]  # fmt: skip
    return table(heads, rows)


# --- the pack: what goes on -----------------------------------------------------------------------


def escalation(sets: list[Answers]) -> list[dict[str, object]]:
    """Send the least sure answers of each smaller model to the largest, share by share."""
    rows = []
    for one in sets:
        large = one.models.index(LARGEST)
        best = one.right((large,))
        for small in range(len(one.models)):
            if small == large:
                continue
            right, order = one.right((small,)), np.argsort(one.sureness(small), kind="stable")
            sent = [right.copy() for _ in SHARES]
            for share, answered in zip(SHARES, sent, strict=True):
                chosen = order[: round(share * len(order))]
                answered[chosen] = best[chosen]
            rows.append({
                "set": one.source, "model": one.models[small],
                "accuracy": [float(answered.mean()) for answered in sent],
            })  # fmt: skip
    return rows


def bought(accuracies: list[list[float]]) -> list[float]:
    """By share, how much of the whole gain is bought, over models."""
    sums = np.array(accuracies).sum(axis=0)
    return [float((at - sums[0]) / (sums[-1] - sums[0])) for at in sums]


def escalation_table(rows: list[dict[str, object]]) -> str:
    lines = []
    for source in SOURCES:
        kept = [row["accuracy"] for row in rows if row["set"] == source]
        means = np.array(kept).mean(axis=0)
        lines.append([source, "accuracy", *(f"{mean:.3f}" for mean in means)])
        lines.append([source, "of the gain", *(f"{part:.0%}" for part in bought(kept))])
    return table(["set", "", *(f"{share:.0%} sent" for share in SHARES)], lines)


def bounds_told(sets: list[Answers], seed: int) -> dict[float, list[tuple[float, float, float]]]:
    """Find a bound for each share on one half: what goes on in the other, and what it buys."""
    found: dict[float, list[tuple[float, float, float]]] = defaultdict(list)
    for one in sets:
        large = one.models.index(LARGEST)
        best = one.right((large,))
        order = np.random.default_rng((seed, len(one.truth))).permutation(len(one.truth))
        first, other = np.array_split(order, 2)
        for small in range(len(one.models)):
            if small == large:
                continue
            right, sure = one.right((small,)), one.sureness(small)
            for share in SHARES[1:-1]:
                goes = sure[other] < np.quantile(sure[first], share)
                gain = np.where(goes, best[other].astype(float) - right[other], 0.0).mean()
                whole = (best[other].astype(float) - right[other]).mean()
                found[share].append((float(goes.mean()), float(gain), float(whole)))
    return found


def bounds_table(found: dict[float, list[tuple[float, float, float]]]) -> str:
    rows = []
    for share, runs in found.items():
        went, gain, whole = (np.array(column) for column in zip(*runs, strict=True))
        rows.append([
            f"{share:.0%}", f"{went.mean():.1%}", f"{went.min():.1%} to {went.max():.1%}",
            f"{gain.sum() / whole.sum():.0%}",
        ])  # fmt: skip
    return table(["share wanted", "that goes on", "from, to", "of the gain"], rows)


def pack(options: argparse.Namespace) -> None:
    """Measure on the probabilities of 13 models."""
    seed = SEEDS[options.seeds]
    sets = answers(options.pack, seed)
    gains, rows = ensembles(sets), escalation(sets)
    told = bounds_told(sets, seed)
    text = (
        f"# Second opinions: 13 models\n\nSeeds `{options.seeds}`. Two sets of questions: "
        f"{', '.join(f'{one.source} ({len(one.truth)})' for one in sets)}.\n\n"
        "## Ensembles of two and of three\n\nApart: by how much the accuracies of the members "
        f"differ. Intervals over questions.\n\n{ensembles_table(gains, seed)}\n\n"
        f"## The least sure go to {LARGEST}\n\nThe other twelve models, one after the other.\n\n"
        f"{escalation_table(rows)}\n\nWith a bound that was found on the other half of the "
        f"questions:\n\n{bounds_table(told)}"
    )
    numbers = {
        "seeds": options.seeds,
        "ensembles": {
            f"{size}, {kind}, {gap}": {
                "ensembles": found.count, "accuracy": found.mean(seed), "better": found.better,
                "auroc": found.auroc / found.count,
            }
            for (size, kind, gap), found in gains.items()
        },
        "escalation": {"shares": SHARES, "rows": rows},
        "bounds": {str(share): runs for share, runs in told.items()},
    }  # fmt: skip
    record("second-opinions-pack", numbers, text)


# --- two drawn judges -----------------------------------------------------------------------------


def panels(models: Models, even: Engine) -> dict[str, tuple[Models, float | None]]:
    """Every panel with its bound; they share the answers that were given."""
    found: dict[str, tuple[Models, float | None]] = {
        "sketch": (models, None),
        "even": (replace(models, engine=even), None),
        "sketch, also even": (replace(models, also=(even,)), None),
        "sketch, open to even": (replace(models, escalation=even), None),
    }
    for bound in BOUNDS:
        name = f"sketch, under {bound:g} to even"
        found[name] = (replace(models, escalation=even), bound)
    return found


def live_row(name: str, means: str, outcomes: list[SceneOutcome]) -> list[str]:
    """One line: how good, and what each engine was asked per image."""
    found, n = row(outcomes), len(outcomes)
    spent: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for outcome in outcomes:
        for engine, usage in outcome.usage.by_engine.items():
            spent[engine][0] += usage.probes
            spent[engine][1] += usage.reasoning_calls
    if not spent:
        alone = spent["hf:sketch-even" if name == "even" else "hf:sketch"]
        alone[0] = sum(outcome.usage.probes for outcome in outcomes)
        alone[1] = sum(outcome.usage.reasoning_calls for outcome in outcomes)
    engines = ("hf:sketch", "hf:sketch-even")
    return [
        name, means, figure(found.image.f1, found.image_f1), figure(found.rule.f1, found.rule_f1),
        figure(found.plain.fpr), figure(found.image.coverage),
        *(f"{spent[e][0] / n:.2f}" if e in spent else "" for e in engines),
        *(f"{spent[e][1] / n:.2f}" if e in spent else "" for e in engines),
    ]  # fmt: skip


def live(options: argparse.Namespace) -> None:
    """Measure on two drawn judges."""
    constitution, begun = load_constitution("sketch"), time.process_time()
    seed = LIVE_SEEDS[options.seeds]
    items = list(scenes(constitution, options.per_rule, options.plain, seed))
    rows: list[list[str]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_models("hf:sketch")) as models,
        closing(open_engine("hf:sketch-even")) as twin,
    ):
        models.engine = CachedEngine(models.engine, Path(folder) / "sketch.db")
        even = CachedEngine(twin, Path(folder) / "even.db")
        for means in ("no", "reason"):
            for name, (panel, bound) in panels(models, even).items():
                policy = Policy(region=False, open_means=means, escalate_below=bound)
                variant = Variant(name, policy)
                found = measure(variant, constitution, panel, items, lambda _: None)
                rows.append(live_row(name, means, found))
                print(f"{time.process_time() - begun:.0f} s: {rows[-1]}", flush=True)
    heads = ["engines", "open is", "image F1", "rule F1", "FPR plain", "coverage",
             "questions: sketch", "even", "replies: sketch", "even"]  # fmt: skip
    text = (
        f"# Second opinions: two drawn judges\n\n{len(items)} scenes, seed `{seed}`. Questions and "
        f"replies (two to a reasoning) are per image.\n\n{table(heads, rows)}"
    )
    record("second-opinions-live", {"seed": seed, "heads": heads, "rows": rows}, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("pack", "live"))
    parser.add_argument("--pack", type=Path, default=PACK)
    parser.add_argument("--seeds", choices=("dev", "test"), default="test")
    parser.add_argument("--per-rule", type=int, default=PER_RULE)
    parser.add_argument("--plain", type=int, default=PLAIN)
    options = parser.parse_args()
    {"pack": pack, "live": live}[options.part](options)


if __name__ == "__main__":
    main()
