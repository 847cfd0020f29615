"""Policy gradient: pictures of one prompt are compared with one another (arXiv 2305.13301).

On-policy, one update a batch: the step's log-density times the picture's advantage within its
prompt. A pull towards the base model keeps pictures pictures. A picture that the judge declines
counts as the worst of its prompt: "don't know" is never safe, and a generator must not get out of
its judge's reach to be left alone.
"""

from __future__ import annotations

import copy
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from benchmarks.finetune.generator import STEPS, Generator
from benchmarks.finetune.prompts import neutral, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.finetune.rewarding import Reward


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen on seed 100, which is in no figure."""

    rounds: int = 28
    prompts: int = 8
    """Prompts of a round."""
    each: int = 8
    """Pictures of a prompt."""
    steps: int = 4
    """Of each picture's moves, how many are learned from."""
    rate: float = 3e-4
    """At first; falls to 0."""
    pull: float = 0.5
    """Weight of the distance from the base model's prediction."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    number: int
    reward: float
    """Mean of the rewards there were."""
    unjudged: int
    """Pictures without a reward."""
    seconds: float


def finetune(
    model: Generator,
    reward: Reward,
    seed: int,
    settings: Settings,
    tell: Callable[[Round], object],
) -> None:
    """Tune a generator in place."""
    base = copy.deepcopy(model).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, settings.rounds)
    rng = random.Random(f"ddpo {seed}")
    torch.manual_seed(seed)
    for number in range(settings.rounds):
        begun = time.monotonic()
        asked = [neutral(sample(rng)) for _ in range(settings.prompts)]
        prompts = [prompt for prompt in asked for _ in range(settings.each)]
        trail = model.draw(prompts, rng.randrange(2**31), eta=1.0)
        rewards = reward(trail.pictures)
        gains = advantages(rewards, settings.each)
        taken = rng.sample(range(STEPS - 1), settings.steps)  # the last move is no draw
        optimizer.zero_grad()
        for place in taken:
            step = torch.full((len(prompts),), place)
            learned = -(gains * model.log_density(trail, step)).mean()
            state, when = trail.states[place], model.scheduler.timesteps[step]
            with torch.no_grad():
                before = base(state, when, trail.words)
            held = settings.pull * mse_loss(model(state, when, trail.words), before)
            ((learned + held) / settings.steps).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        known = [one for one in rewards if one is not None]
        mean = statistics.fmean(known) if known else float("nan")
        tell(Round(number, mean, len(rewards) - len(known), time.monotonic() - begun))


def advantages(rewards: Sequence[float | None], each: int) -> Tensor:
    """How much better than the others of its prompt, in standard deviations.

    Without a reward, as the worst one; 0 for all where fewer than two have one.
    """
    found: list[float] = []
    for start in range(0, len(rewards), each):
        some = rewards[start : start + each]
        known = [one for one in some if one is not None]
        if len(known) < 2:
            found += [0.0] * len(some)
            continue
        counted = [min(known) if one is None else one for one in some]
        mean, spread = statistics.fmean(counted), statistics.pstdev(counted)
        found += [(one - mean) / (spread + 1e-3) for one in counted]
    return torch.tensor(found).clamp(-3, 3)
