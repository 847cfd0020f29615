"""SketchBench: what each stage of the method is worth, on drawn scenes with exact truth.

For every rule of `sketch.yaml` violating and borderline scenes, and plain ones, from seeds that the
training never saw; every variant of the method judges the same scenes with the same model. All
answers are kept in a file, so variants share what they have in common, and a run that is stopped
goes on where it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from safejudge.constitution.load import load_constitution
from safejudge.evals.stats.rates import CALLED, Counts, rates_of
from safejudge.flow import Flow, drive, gather
from safejudge.judge import Judge
from safejudge.policy import Policy
from safejudge.sketch.bench.baselines import half, one_word_flow, reasoned_flow, whole_rules
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import near_scenes, plain_scenes, rule_scenes, write_drawn
from safejudge.types import Judgment, Outcome, Picture, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.engines.models import Models
    from safejudge.sketch.scenes import Truth
    from safejudge.sketch.world.scene import Scene
    from safejudge.types import Constitution

SEED = "bench"
WINDOW = 64
"""Images whose questions share the engine's batches."""


@dataclass(frozen=True, slots=True)
class Item:
    """One scene of the bench."""

    scene: Scene
    truth: Truth
    picture: Picture


@dataclass(frozen=True, slots=True)
class SceneOutcome:
    """What one variant said about one scene, and what it took."""

    truth: Truth
    image: Outcome
    """Whether any rule is violated."""
    rules: dict[str, Outcome]
    """By rule; empty for a question about all rules at once."""
    usage: Usage


@dataclass(frozen=True)
class Variant:
    """One row of the table: how the scenes are judged."""

    name: str
    policy: Policy = field(default_factory=Policy)
    rules: Callable[[Constitution], Constitution] = lambda constitution: constitution
    """What is asked instead of the constitution; ids and truth stay."""
    at_once: Callable[[Constitution, Picture], Flow[Outcome]] | None = None
    """One question about the whole constitution, instead of the chain."""


def _vague(_: Constitution) -> Constitution:
    return load_constitution("sketch-vague")


def variants(models: Models) -> tuple[Variant, ...]:
    """Return baselines, the published method, ours, and ours without each of its parts.

    Parts that have no model are not there to be left out.
    """
    default = Policy()

    def but(name: str, **switched: object) -> Variant:
        return Variant(f"default {name}", default.model_copy(update=switched))

    regions = (
        but("with region removal", region=True),
        but("with region removal, no confirmation (as it was)", region=True, confirm=False),
        but("without crop", crop=False),
    )
    bare = {"open_means": "no", "crop": False}
    return (
        Variant("whole constitution, yes/no", at_once=one_word_flow),
        Variant("whole constitution, reasoning", at_once=reasoned_flow),
        Variant("each rule, yes/no at 0.5", half(), rules=whole_rules),
        Variant("each precondition, yes/no at 0.5", half()),
        Variant("clue", Policy.clue()),
        Variant("clue-tree", Policy.clue_tree()),
        Variant("default", default),
        *((but("without relevance", relevance=False),) if models.encoder else ()),
        Variant("default without objective wording", default, rules=_vague),
        Variant("default without preconditions", default, rules=whole_rules),
        but("without language prior", prior=False),
        *(regions if models.detector else ()),
        but("without confirmation", confirm=False),
        but("asking the mirror too", mirror=True),
        but("without cascade", open_means="undecided"),
        but("taking open for no, no detector", **bare),
        but("taking open for no, no detector, no confirmation", confirm=False, **bare),
        but("taking open for no, no detector, asking the mirror too", mirror=True, **bare),
    )


# --- scenes -------------------------------------------------------------------------------------


def scenes(
    constitution: Constitution, per_rule: int, plain: int, seed: str = SEED
) -> Iterator[Item]:
    """Draw the bench: `per_rule` violating and as many borderline scenes per rule, then plain."""
    for rule in constitution.rules:
        yield from _items(rule_scenes(constitution, rule.id, "violating", seed), per_rule)
        yield from _items(near_scenes(constitution, rule.id, seed), per_rule)
    yield from _items(plain_scenes(constitution, seed), plain)


def _items(drawn: Iterator[tuple[Scene, Truth]], count: int) -> Iterator[Item]:
    for scene, truth in itertools.islice(drawn, count):
        yield Item(scene, truth, Picture.of(draw(scene).pixels))


def write_bench(out: Path, per_rule: int, plain: int, *, overwrite: bool = False) -> int:
    """Write the bench as `scenes.write_scenes` does, for `safejudge eval labelled`."""
    items = scenes(load_constitution("sketch"), per_rule, plain)
    drawn = ((item.scene, item.truth) for item in items)
    return write_drawn(out, drawn, overwrite=overwrite)


# --- judging ------------------------------------------------------------------------------------

Tick: TypeAlias = Callable[[int], None]
"""Is told how many more scenes are judged."""


def judged(
    variant: Variant, constitution: Constitution, models: Models, items: Sequence[Item], tick: Tick
) -> Iterator[tuple[Item, Judgment]]:
    """Judge the scenes by the chain, window by window."""
    judge = Judge(variant.rules(constitution), models, variant.policy)
    for start in range(0, len(items), WINDOW):
        window = items[start : start + WINDOW]
        results = judge([item.picture.pixels for item in window])
        for item, result in zip(window, results, strict=True):
            assert isinstance(result, Judgment)  # noqa: S101 - drawn scenes can be read
            yield item, result
        tick(len(window))


def scene_outcome(item: Item, judgment: Judgment) -> SceneOutcome:
    """Keep what the table needs."""
    rules = {rule: CALLED[verdict.outcome] for rule, verdict in judgment.rules.items()}
    return SceneOutcome(item.truth, CALLED[judgment.label], rules, judgment.usage)


def measure(
    variant: Variant, constitution: Constitution, models: Models, items: Sequence[Item], tick: Tick
) -> list[SceneOutcome]:
    """Judge the scenes by one variant."""
    if variant.at_once is None:
        judgments = judged(variant, constitution, models, items, tick)
        return [scene_outcome(item, judgment) for item, judgment in judgments]
    scene_outcomes = []
    reasons = variant.at_once is reasoned_flow
    usage = Usage(probes=0 if reasons else 1, reasoning_calls=2 if reasons else 0)
    for start in range(0, len(items), WINDOW):
        window = items[start : start + WINDOW]
        flows = [variant.at_once(constitution, item.picture) for item in window]
        outcomes = drive(gather(flows), models.answer)
        scene_outcomes += [
            SceneOutcome(i.truth, o, {}, usage) for i, o in zip(window, outcomes, strict=True)
        ]
        tick(len(window))
    return scene_outcomes


# --- the table ----------------------------------------------------------------------------------


def image_calls(outcomes: Sequence[SceneOutcome]) -> list[tuple[bool, Outcome]]:
    """One call per image."""
    return [(bool(f.truth.violations), f.image) for f in outcomes]


def rule_calls(
    outcomes: Sequence[SceneOutcome], rule: str | None = None
) -> list[tuple[bool, Outcome]]:
    """One call per image and rule; none for a question about all rules at once."""
    return [
        (name in f.truth.violations, call)
        for f in outcomes
        for name, call in f.rules.items()
        if rule in (None, name)
    ]


def scenes_of_calls(outcomes: Sequence[SceneOutcome]) -> list[int]:
    """The scene of each call of `rule_calls`, by number: rules of one scene belong together."""
    return [number for number, outcome in enumerate(outcomes) for _ in outcome.rules]


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one variant."""

    image: Counts
    image_f1: tuple[float, float]
    """95 % interval, over images."""
    rule: Counts
    rule_f1: tuple[float, float]
    plain: Counts
    """Images of plain scenes only."""
    probes: float
    """Per image."""
    reasoning_calls: float
    """Per image."""
    detector_calls: float
    """Per image."""


def row(outcomes: Sequence[SceneOutcome]) -> Row:
    """Sum up what a variant found."""
    image_f1 = rates_of(image_calls(outcomes), range(len(outcomes)))["F1"]
    rule_f1 = rates_of(rule_calls(outcomes), scenes_of_calls(outcomes))["F1"]
    plain = [f for f in outcomes if f.truth.kind == "plain"]
    return Row(
        image=Counts.of(image_calls(outcomes)),
        image_f1=(image_f1.low, image_f1.high),
        rule=Counts.of(rule_calls(outcomes)),
        rule_f1=(rule_f1.low, rule_f1.high),
        plain=Counts.of(image_calls(plain)),
        probes=sum(f.usage.probes for f in outcomes) / len(outcomes),
        reasoning_calls=sum(f.usage.reasoning_calls for f in outcomes) / len(outcomes),
        detector_calls=sum(f.usage.detector_calls for f in outcomes) / len(outcomes),
    )
