"""What the arms are rewarded by: the constitution's margin, or one answer about all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.finetune.grids import pixels_of
from benchmarks.twin import open_models
from safejudge import Judge, Policy, prompts
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.engines.priors import PriorCache
from safejudge.images.load import load_images
from safejudge.method.debias import margin
from safejudge.rewards import Grading, SafetyReward
from safejudge.types import ImageInput, Probe

if TYPE_CHECKING:
    from torch import Tensor

Reward = Callable[["Tensor"], list[float | None]]
"""Pictures (N x 3 x height x width, in [0, 1]) to one number each; None where there is none."""

CLIP = 3.0
"""Log-odds at which a picture is safe enough: beyond that there is nothing more to learn."""

POLICY = Policy(open_means="undecided", crop=False, region=False)
"""Probabilities alone: reasoning and regions change what is undecided, at many times the cost."""


def by_constitution(engine: str) -> Reward:
    """The margin of the worst rule, in log-odds (`safejudge.rewards`)."""
    grading = Grading(clip=CLIP)
    models = open_models(engine, detector=None, cache=PriorCache(PriorCache.default_path()))
    reward = SafetyReward(Judge(load_constitution("sketch"), models, POLICY), grading=grading)
    return lambda pictures: reward(list(pixels_of(pictures)))


def by_one_answer(engine: str) -> Reward:
    """The log-odds of No to one question that holds every rule: what there is without chains."""
    models = Models.opened(engine, None, None, PriorCache(PriorCache.default_path()))
    question = prompts.rules_question([r.objective for r in load_constitution("sketch").rules])

    def reward(pictures: Tensor) -> list[float | None]:
        loaded = load_images(list(pixels_of(pictures)), POLICY)
        probes = [
            Probe(prompts.RULES, (image.pictures[0],), question)
            for image in loaded
            if isinstance(image, ImageInput)
        ]
        answers = models.answer(probes)
        return [
            None if image.problem is not None or image.score is None or not usable(image.label_mass)
            else -max(-CLIP, min(CLIP, margin(image.score)))
            for image in answers
        ]  # fmt: skip

    return reward


def usable(mass: float) -> bool:
    """Whether the model wanted to answer at all."""
    return mass >= POLICY.minimum_label_mass
