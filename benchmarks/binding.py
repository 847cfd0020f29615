"""Who holds what: ways to ask once more before a rule is called violated, with both drawn judges.

What is asked first is what `default` asks, with open for no and no detector: every statement of the
relevant rules, put to the first two tests. Where a rule would be violated, each way looks again at
the statements that it rests on, and takes back those that do not stand. So ways that ask more are
compared on the same first answers, and cost nothing on an image that violates no rule.

`contrast` and `reworded` are what `constitutions/sketch.yaml` says; the near misses there are those
in which somebody else holds or does it. Which ways `default` has was chosen on scenes of the seed
`decide-dev-1`; those of `binding-report` were first drawn after that.

`python benchmarks/binding.py [--seed binding-report]`
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from measure import record
from PIL import Image
from twin import open_models

from safejudge.constitution.load import load_constitution
from safejudge.evals.stats.rates import rates_of
from safejudge.method import debias, logic, questions, views
from safejudge.method.regions import believed
from safejudge.method.relevance import relevance_text, relevant, threshold_of
from safejudge.policy import Policy
from safejudge.show.markdown import figure, table
from safejudge.show.progress import progress
from safejudge.sketch.bench.bench import Item, scenes
from safejudge.types import (
    AnswerProbs,
    Constitution,
    Locate,
    Outcome,
    Picture,
    Precondition,
    Probe,
    Similarity,
    leaves,
)

if TYPE_CHECKING:
    from safejudge.engines.models import Models

JUDGES = ("hf:sketch", "hf:sketch-even")
POLICY = Policy(open_means="no", crop=False)
BORDER = 4
"""Pixels that zooming in cuts off on each side, and that zooming out adds."""
SHIFT = 3
"""Pixels by which a picture is moved to the right; what leaves comes in on the left."""
AROUND = 0.35
"""What a person's crop shows on each side, in longer sides of the person."""

Way: TypeAlias = Callable[["Reader", Precondition, Picture], bool | None]
"""Whether a statement stands when it is asked so; None: it cannot be asked so."""


@dataclass
class Reader:
    """Reads statements of pictures, each once, and counts what was asked."""

    models: Models
    read: dict[Probe, AnswerProbs] = field(default_factory=dict)
    asked: set[Probe] = field(default_factory=set)
    """Questions with a picture since it was last emptied."""

    def __call__(self, *probes: Probe) -> list[AnswerProbs]:
        """Read some probes, in order."""
        new = [probe for probe in dict.fromkeys(probes) if probe not in self.read]
        self.read |= dict(zip(new, self.models.engine.answer_probs(new), strict=True))
        self.asked |= {probe for probe in probes if probe.images}
        return [self.read[probe] for probe in probes]

    def decide(self, statement: str, picture: Picture) -> debias.Decision | None:
        """Put a statement to the first two tests; None where it has no readable answer."""
        leaf = Precondition(statement=statement)
        shown, prior = self(questions.picture_probe(leaf, picture), questions.prior_probe(leaf))
        if shown.score is None or prior.score is None:
            return None
        return debias.weigh(shown.score, prior.score, POLICY)


# --- ways -----------------------------------------------------------------------------------------


def accepted(reader: Reader, statement: str, picture: Picture) -> bool | None:
    decision = reader.decide(statement, picture)
    return None if decision is None else decision.outcome is Outcome.YES


def contrast(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
    """Let it compete with its near misses, in both orders."""
    stands: list[bool] = []
    for other in leaf.contrast:
        first, last = reader(*questions.choice_probes(leaf.statement, other, picture))
        if first.score is not None and last.score is not None:
            half = (debias.margin(first.score) - debias.margin(last.score)) / 2
            stands.append(1 / (1 + math.exp(-half)) >= debias.REJECTED)
    return all(stands) if stands else None


def likelier(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
    """Ask its near misses by themselves: it must have the larger share of yes."""
    probes = (Precondition(statement=text) for text in (leaf.statement, *leaf.contrast))
    mine, *others = (
        a.score for a in reader(*(questions.picture_probe(p, picture) for p in probes))
    )
    known = [score for score in others if score is not None]
    return None if mine is None or not known else mine > max(known)


def reworded(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
    """Ask it in other words."""
    return None if leaf.reworded is None else accepted(reader, leaf.reworded, picture)


def of_view(make: Callable[[Picture], Picture]) -> Way:
    """Ask it of another view of the whole picture."""

    def way(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
        return accepted(reader, leaf.statement, make(picture))

    return way


def of_people(make: Callable[[Picture, tuple[int, int, int, int]], Picture]) -> Way:
    """Ask it of a view of each person or animal that the detector finds; one is enough."""

    def way(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
        assert reader.models.detector is not None  # noqa: S101 - both judges have one
        (boxes,) = reader.models.detector.locate([Locate(picture, ("person", "animal"))])
        height, width, _ = picture.pixels.shape
        stands: list[bool | None] = []
        for box in believed(boxes, POLICY):
            edge = round(AROUND * max(box.right - box.left, box.bottom - box.top))
            around = (max(0, box.left - edge), max(0, box.top - edge),
                      min(width, box.right + edge), min(height, box.bottom + edge))  # fmt: skip
            stands.append(accepted(reader, leaf.statement, make(picture, around)))
        known = [stand for stand in stands if stand is not None]
        return any(known) if known else None

    return way


def together(*ways: Way) -> Way:
    """Ask in several ways; each must let it stand."""

    def way(reader: Reader, leaf: Precondition, picture: Picture) -> bool | None:
        said = [stands for each in ways if (stands := each(reader, leaf, picture)) is not None]
        return all(said) if said else None

    return way


def shifted(picture: Picture) -> Picture:
    return Picture.of(np.roll(picture.pixels, SHIFT, axis=1))


def nearer(picture: Picture) -> Picture:
    return _resized(picture.pixels[BORDER:-BORDER, BORDER:-BORDER], picture)


def farther(picture: Picture) -> Picture:
    border = ((BORDER, BORDER), (BORDER, BORDER), (0, 0))
    return _resized(np.pad(picture.pixels, border, mode="edge"), picture)


def _resized(pixels: np.ndarray, like: Picture) -> Picture:  # type: ignore[type-arg]
    height, width, _ = like.pixels.shape
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return Picture.of(np.asarray(image))


def cut_out(picture: Picture, place: tuple[int, int, int, int]) -> Picture:
    left, top, right, bottom = place
    return Picture.of(np.ascontiguousarray(picture.pixels[top:bottom, left:right]))


def alone(picture: Picture, place: tuple[int, int, int, int]) -> Picture:
    left, top, right, bottom = place
    outside = np.ones(picture.pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    pixels = picture.pixels.copy()
    if outside.any():
        pixels[outside] = picture.pixels[outside].mean(axis=0)
    return Picture.of(pixels)


MIRROR = of_view(views.mirrored)
WAYS: dict[str, Way | None] = {
    "nothing more": None,
    "contrast: a choice against near misses": contrast,
    "near misses asked by themselves": likelier,
    "other words": reworded,
    "the mirrored picture": MIRROR,
    "the picture moved by 3 pixels": of_view(shifted),
    "the picture zoomed in": of_view(nearer),
    "the picture zoomed out": of_view(farther),
    "a crop of each person": of_people(cut_out),
    "all but one person filled": of_people(alone),
    "contrast, other words": together(contrast, reworded),
    "contrast, other words, mirrored": together(contrast, reworded, MIRROR),
}


# --- judging --------------------------------------------------------------------------------------


def relevant_rules(models: Models, constitution: Constitution, picture: Picture) -> list[str]:
    assert models.encoder is not None  # noqa: S101 - both judges have one
    pairs = [Similarity(picture, relevance_text(rule)) for rule in constitution.rules]
    cosines = models.encoder.similarities(pairs)
    by_rule = {rule.id: c for rule, c in zip(constitution.rules, cosines, strict=True)}
    threshold = threshold_of(models.encoder.card.uri, POLICY)
    return relevant(
        {rule: None if math.isnan(c) else c for rule, c in by_rule.items()},
        POLICY.model_copy(update={"relevance_threshold": threshold}),
    )


def violated(
    reader: Reader, constitution: Constitution, item: Item
) -> Iterator[tuple[str, tuple[Precondition, ...], dict[Precondition, Outcome]]]:
    """Yield each rule that is violated at first sight, what it rests on, and all its answers."""
    kept = relevant_rules(reader.models, constitution, item.picture)
    for rule in constitution.rules:
        if rule.id not in kept:
            continue
        outcomes = {}
        for leaf in leaves(rule.condition):
            decision = reader.decide(leaf.statement, item.picture)
            if decision is not None:
                yes = decision.outcome is Outcome.YES
                outcomes[leaf] = Outcome.YES if yes else Outcome.NO
        if logic.evaluate(rule.condition, outcomes) is Outcome.YES:
            yield rule.id, logic.supporting(rule.condition, outcomes), outcomes


@dataclass
class Found:
    """What one way makes of the scenes."""

    images: list[tuple[bool, Outcome]] = field(default_factory=list)
    rules: list[tuple[bool, Outcome]] = field(default_factory=list)
    borderline: list[bool] = field(default_factory=list)
    more: int = 0
    """Questions that it asked beside the first ones."""


def judge_all(
    uri: str, constitution: Constitution, items: Sequence[Item], tick: Callable[[int], None]
) -> dict[str, Found]:
    reader = Reader(open_models(uri))
    found = {name: Found() for name in WAYS}
    conditions = {rule.id: rule.condition for rule in constitution.rules}
    for item in items:
        first = list(violated(reader, constitution, item))
        for name, way in WAYS.items():
            reader.asked.clear()
            called = set()
            for rule, support, outcomes in first:
                kept = dict(outcomes)
                for leaf in support if way is not None else ():
                    if way is not None and way(reader, leaf, item.picture) is False:
                        kept[leaf] = Outcome.NO
                if logic.evaluate(conditions[rule], kept) is Outcome.YES:
                    called.add(rule)
            _add(found[name], item, called, constitution)
            # All questions of a way count, also those that an earlier way has asked.
            firsts = {
                questions.picture_probe(leaf, item.picture) for _, s, _ in first for leaf in s
            }
            found[name].more += len(reader.asked - firsts)
        reader.read = {probe: a for probe, a in reader.read.items() if not probe.images}
        tick(1)
    reader.models.close()
    return found


def _add(found: Found, item: Item, called: set[str], constitution: Constitution) -> None:
    truth = item.truth
    found.images.append((bool(truth.violations), _outcome(bool(called))))
    found.rules += [
        (r.id in truth.violations, _outcome(r.id in called)) for r in constitution.rules
    ]
    if truth.kind == "borderline":
        found.borderline.append(bool(called))


def _outcome(yes: bool) -> Outcome:
    return Outcome.YES if yes else Outcome.NO


def text_of(found: dict[str, Found], count: int, rules: int) -> str:
    rows = []
    for name, way in found.items():
        image = rates_of(way.images, range(count))
        rule = rates_of(way.rules, [n for n in range(count) for _ in range(rules)])
        rows.append([
            name,
            figure(image["F1"].value, (image["F1"].low, image["F1"].high)),
            figure(image["precision"].value), figure(image["recall"].value),
            figure(rule["F1"].value, (rule["F1"].low, rule["F1"].high)),
            f"{np.mean(way.borderline):.3f}", f"{way.more / count:.2f}",
        ])  # fmt: skip
    head = ["asked once more", "image F1", "precision", "recall", "rule F1",
            "borderline, false alarms", "questions more"]  # fmt: skip
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="binding-report")
    parser.add_argument("--per-rule", type=int, default=12)
    parser.add_argument("--plain", type=int, default=120)
    args = parser.parse_args()
    constitution = load_constitution("sketch")
    items = list(scenes(constitution, args.per_rule, args.plain, args.seed))
    numbers, texts = {}, []
    with progress(len(JUDGES) * len(items)) as tick:
        for uri in JUDGES:
            found = judge_all(uri, constitution, items, tick)
            numbers[uri] = {
                name: {
                    "image_f1": rates_of(way.images, range(len(items)))["F1"].value,
                    "borderline": float(np.mean(way.borderline)),
                    "questions_more": way.more / len(items),
                }
                for name, way in found.items()
            }
            texts.append(f"`{uri}`\n\n{text_of(found, len(items), len(constitution.rules))}")
    head = f"{len(items)} scenes of the seed {args.seed}; open counts as no, no detector"
    record("binding", numbers, "\n\n".join([head, *texts]))


if __name__ == "__main__":
    main()
