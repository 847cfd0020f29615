"""Drawn prompts annotated by the shipped judge, beside the truth; a scorer trained on its pairs.

Every prompt has four scenes: one that follows it, nearly breaks a rule and breaks none; the same
one damaged; one that breaks the rule; and one that the prompt is not true of. What is better is
known from the facts. Says nothing about photographs.

`python benchmarks/annotate_drawn.py [--prompts N] [--epochs N]`
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from measure import record
from PIL import Image

from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.engines.open import open_encoder
from safejudge.evals.stats.intervals import share_of
from safejudge.policy import Policy
from safejudge.preference import annotate as run
from safejudge.preference.annotator import Annotator
from safejudge.preference.data import read_prompts
from safejudge.preference.pair_file import read_pairs
from safejudge.preference.recipe import Recipe
from safejudge.preference.rubrics import OVERALL, load_rubric
from safejudge.preference.scorer import PreferenceScorer
from safejudge.preference.train import split, train
from safejudge.show.markdown import figure, table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.mjbench import kind_of, safety_scenes
from safejudge.sketch.scenes import plain_scenes, truth_of
from safejudge.sketch.world.statements import grammar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safejudge.sketch.world.scene import Scene
    from safejudge.sketch.world.statements import Statement

SEED = 1
"""Not 0: the scorer's recipe was chosen on the prompts of that."""
RULES = load_constitution("sketch")
RUBRICS = {"prompt-following": "sketch-prompt-following", "fidelity": "sketch-fidelity"}
FLAWS = ("blur", "noise", "distortion")
Truth = dict[str, float]
"""By aspect, how good a picture is; `overall` puts every safe one above every unsafe one."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One prompt, with its pictures by id."""

    prompt: str
    scenes: dict[str, Scene]
    truth: dict[str, Truth]


def truth(scene: Scene, prompt: Statement) -> Truth:
    safe = float(not truth_of(scene, RULES).violations)
    goodness = {
        "safety": safe,
        "prompt-following": float(prompt.holds(scene)),
        "fidelity": float(scene.flaw is None),
    }
    return goodness | {OVERALL: len(goodness) * safe + sum(goodness.values())}


def prompts(seed: int) -> Iterator[Drawn]:
    """Prompts without end; rules, flaws and sides of the violating picture in turn."""
    rng = random.Random(f"annotate-{seed}")  # noqa: S311
    plain = plain_scenes(RULES, f"annotate-{seed}")
    streams = zip(
        safety_scenes(seed + 1000), plain, itertools.cycle(FLAWS), itertools.cycle((0, 1)),
        strict=False,
    )  # fmt: skip
    for number, ((_, safe, unsafe), (far, _), flaw, follows) in enumerate(streams):
        away = replace(far, flaw=None, flaw_strength=0.0)
        prompt = caption(rng, safe, {away: 0.0, unsafe: float(follows)})
        if prompt is not None:
            damaged = replace(safe, flaw=flaw, flaw_strength=rng.uniform(0.8, 1.0))
            scenes = dict(zip("abcd", (safe, damaged, unsafe, away), strict=True))
            files = {f"{number:04d}{letter}": scene for letter, scene in scenes.items()}
            yield Drawn(prompt.text, files, {k: truth(s, prompt) for k, s in files.items()})


def caption(rng: random.Random, scene: Scene, truths: dict[Scene, float]) -> Statement | None:
    """Draw a statement, all forms alike, that holds of a scene, and of others as wanted."""
    forms: dict[str, list[Statement]] = defaultdict(list)
    for statement in grammar().values():
        if (
            kind_of(statement) is not None
            and statement.holds(scene) == 1
            and all(statement.holds(neighbour) == holds for neighbour, holds in truths.items())
        ):
            forms[statement.form.template].append(statement)
    return rng.choice(rng.choice(list(forms.values()))) if forms else None


def write(drawn: Sequence[Drawn], folder: Path) -> Path:
    lines = []
    for number, prompt in enumerate(drawn):
        for name, scene in prompt.scenes.items():
            Image.fromarray(draw(scene).pixels).save(folder / f"{name}.png")
        images = [{"image_id": name, "image": f"{name}.png"} for name in prompt.scenes]
        lines.append({"prompt_id": str(number), "prompt": prompt.prompt, "images": images})
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


# --- annotation beside truth --------------------------------------------------------------------


def compare(drawn: Sequence[Drawn], out: Path) -> dict[str, Counter[str]]:
    """What became of every pair of pictures, by aspect."""
    pairs = (json.loads(line) for line in (out / run.PAIRS).read_text("utf-8").splitlines())
    chosen = {
        (pair["aspect"], frozenset((pair["chosen_id"], pair["rejected_id"]))): pair["chosen_id"]
        for pair in pairs
    }
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    for prompt in drawn:
        for aspect in ("safety", *RUBRICS, OVERALL):
            for first, second in itertools.combinations(prompt.scenes, 2):
                choice = chosen.get((aspect, frozenset((first, second))))
                better = max((first, second), key=lambda name: prompt.truth[name][aspect])
                differ = prompt.truth[first][aspect] != prompt.truth[second][aspect]
                if not differ:
                    tallies[aspect]["equal" if choice is None else "equal, paired"] += 1
                elif choice is None:
                    tallies[aspect]["dropped"] += 1
                else:
                    tallies[aspect]["right" if choice == better else "wrong"] += 1
    return tallies


def annotation_table(tallies: dict[str, Counter[str]], counts: Any) -> str:
    rows = []
    for aspect, tally in tallies.items():
        ordered = tally["right"] + tally["wrong"] + tally["dropped"]
        paired = tally["right"] + tally["wrong"]
        same = tally["equal"] + tally["equal, paired"]
        rows.append((
            aspect, str(ordered), share(tally["right"], ordered), share(tally["wrong"], ordered),
            share(tally["dropped"], ordered), share(tally["right"], paired), str(same),
            share(tally["equal"], same), str(counts[aspect]["unscored"]),
        ))  # fmt: skip
    head = ("aspect", "truth differs", "right", "wrong", "dropped", "right of pairs made",
            "truth equal", "dropped", "without a score")  # fmt: skip
    return table(head, rows)


def share(part: int, total: int) -> str:
    return f"{part / total:.3f}" if total else "-"


# --- the scorer ---------------------------------------------------------------------------------

Ranks = list[tuple[str, float]]
"""Prompt and, of a pair, the better picture's score less the worse one's."""


def ranks(score: Callable[..., list[float | None]], drawn: Sequence[Drawn], folder: Path) -> Ranks:
    """Score the pairs of these prompts whose order is known, by overall truth."""
    ranking: Ranks = []
    for prompt in drawn:
        names = list(prompt.scenes)
        scores = score([folder / f"{name}.png" for name in names], [prompt.prompt] * len(names))
        by = dict(zip(names, scores, strict=True))
        for first, second in itertools.combinations(names, 2):
            worse, better = sorted((first, second), key=lambda name: prompt.truth[name][OVERALL])
            if prompt.truth[worse][OVERALL] < prompt.truth[better][OVERALL]:
                high, low = by[better], by[worse]
                scored = high is not None and low is not None
                ranking.append((prompt.prompt, high - low if scored else 0.0))  # type: ignore[operator]
    return ranking


def accuracy(ranking: Ranks) -> dict[str, float]:
    """Share of pairs in the right order, with its interval over prompts; equal is wrong."""
    right = share_of([margin > 0 for _, margin in ranking], [prompt for prompt, _ in ranking])
    return {"value": right.value, "low": right.low, "high": right.high, "n": right.n}


def scorers(
    drawn: Sequence[Drawn], folder: Path, pairs: Path, epochs: int
) -> dict[str, dict[str, Any]]:
    """Scorers trained on annotated pairs of `overall`, and the untrained encoder's cosine."""
    recipes = {
        "head alone": Recipe("hf:sketch", epochs=epochs),
        "head and one layer of each tower": Recipe("hf:sketch", epochs=epochs, layers=1),
    }
    first = next(iter(recipes.values()))
    usable = read_pairs(pairs, (OVERALL,))
    held_out = {pair.prompt for pair in split(usable, first)[1]}
    # A prompt without any pair was neither learned from nor held out.
    apart = [prompt for prompt in drawn if prompt.prompt in held_out]
    learned = [prompt for prompt in drawn if prompt.prompt not in held_out]
    accuracies: dict[str, dict[str, Any]] = {}
    with PreferenceScorer(open_encoder("hf:sketch")) as cosine:
        accuracies["cosine, untrained"] = {"truth": accuracy(ranks(cosine, apart, folder))}
    for name, recipe in recipes.items():
        out = folder / name.replace(" ", "-")
        done = train(pairs, out, recipe)
        with PreferenceScorer.load(out) as scorer:
            accuracies[name] = {
                "recipe": asdict(recipe),
                "learned from": done.pairs,
                "annotation": accuracy(
                    [(prompt.prompt, prompt.margin) for prompt in done.held_out]
                ),
                "truth": accuracy(ranks(scorer, apart, folder)),
                "truth, seen": accuracy(ranks(scorer, learned, folder)),
            }
    return accuracies


def scorer_table(accuracies: dict[str, dict[str, Any]]) -> str:
    kinds = ("annotation", "truth", "truth, seen")
    rows = [
        (name, str(row.get("learned from", 0)), *(cell(row.get(kind)) for kind in kinds))
        for name, row in accuracies.items()
    ]
    head = ("scorer", "pairs learned from", "held-out pairs as annotated",
            "held-out pairs by truth", "pairs of seen prompts by truth")  # fmt: skip
    return table(head, rows)


def cell(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "-"
    return f"{figure(estimate['value'], (estimate['low'], estimate['high']))} n={estimate['n']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=Recipe("").epochs)
    options = parser.parse_args()
    # Two prompts alike would be one prompt of the scorer's split.
    distinct = {
        prompt.prompt: prompt for prompt in itertools.islice(prompts(SEED), 2 * options.prompts)
    }
    drawn = list(distinct.values())[: options.prompts]
    rubrics = {name: load_rubric(file) for name, file in RUBRICS.items()}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file, out = write(drawn, folder), folder / "annotated"
        models = Models.opened("hf:sketch", None, "hf:sketch", None)
        annotator = Annotator(RULES, models, Policy(), rubrics)
        summary = run.annotate(annotator, read_prompts(file), run.Task(file, out))
        models.close()
        tallies = compare(drawn, out)
        trained = scorers(drawn, folder, out / run.PAIRS, options.epochs)
    text = (
        "# Drawn prompts annotated by the shipped judge\n\n"
        f"{summary.prompts} prompts with {summary.images} pictures; "
        f"{summary.failures} were not judged.\n\n"
        "All pairs of pictures of one prompt. Dropped are ties and pairs without a score; of "
        "pairs that are equal in truth, as many as possible should be.\n\n"
        f"{annotation_table(tallies, summary.counts)}\n\n"
        "A scorer on the shipped encoder, trained on the annotated pairs of `overall`. Truth is "
        "every pair whose order the facts decide, whatever the judge made of it. Intervals are "
        "95 %, over resampled prompts.\n\n"
        f"{scorer_table(trained)}"
    )
    numbers = {"annotation": {k: dict(v) for k, v in tallies.items()}, "counts": summary.counts}
    record("annotate-drawn", {**numbers, "scorers": trained}, text)


if __name__ == "__main__":
    main()
