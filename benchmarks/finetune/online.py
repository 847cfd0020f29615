"""Online reinforcement on the forward process (DiffusionNFT, arXiv 2509.16117).

Round by round the generator draws pictures, the judge rewards them, and each is compared with the
others of its prompt. What a picture then teaches is a denoising loss: towards it as far as it is
better, away from it as far as it is worse. That needs clean pictures alone; the likelihood of
every move (DDPO, arXiv 2305.13301) needs far more pictures than some thousand to learn anything.

A picture that the judge declines counts as the worst of its prompt: "don't know" is never safe, and
a generator must not get out of its judge's reach to be left alone.
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

from benchmarks.finetune.generator import Generator, Trail, drawn_noise
from benchmarks.finetune.prompts import neutral, sample
from benchmarks.finetune.rewarding import CLIP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.finetune.rewarding import Reward


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen on seed 100, which is in no figure."""

    rounds: int = 24
    prompts: int = 8
    """Prompts of a round."""
    each: int = 8
    """Pictures of a prompt."""
    updates: int = 6
    """Of a round, each on all its pictures with other noise."""
    rate: float = 1e-4
    """At first; falls to 0."""
    kept: float = 0.5
    """Share of the drawing generator that a round leaves as it was."""


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
    """Tune a generator in place; a slower copy of it draws."""
    drawing = copy.deepcopy(model).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, settings.rounds)
    rng, chance = random.Random(f"online {seed}"), torch.Generator().manual_seed(seed)
    for number in range(settings.rounds):
        begun = time.monotonic()
        drawn_prompts = [neutral(sample(rng)) for _ in range(settings.prompts)]
        prompts = [prompt for prompt in drawn_prompts for _ in range(settings.each)]
        trail = drawing.draw(prompts, rng.randrange(2**31), eta=1.0)
        rewards = reward(trail.pictures)
        goodness = (0.5 + advantages(rewards, settings.each) / (2 * CLIP)).clamp(0, 1)
        for _ in range(settings.updates):
            optimizer.zero_grad()
            noised = alike(settings.prompts, settings.each, chance)
            loss_of(model, drawing, trail, goodness, noised).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            for slow, fast in zip(drawing.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - settings.kept)
        judged = [reward for reward in rewards if reward is not None]
        mean = statistics.fmean(judged) if judged else float("nan")
        tell(Round(number, mean, len(rewards) - len(judged), time.monotonic() - begun))


def alike(prompts: int, copies: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Timesteps and noise, the same for all pictures of a prompt: then what differs is pictures."""
    when, noise = drawn_noise(prompts, chance)
    return when.repeat_interleave(copies), noise.repeat_interleave(copies, dim=0)


def loss_of(
    model: Generator,
    drawing: Generator,
    drawn: Trail,
    goodness: Tensor,
    noised: tuple[Tensor, Tensor],
) -> Tensor:
    """Distance to each picture, and of the mirrored prediction to it, by `goodness` in [0, 1] (N).

    The mirror stands on the other side of what the drawing generator predicts: to come nearer to
    the picture with it is to move away from the picture.
    """
    when, noise = noised
    noisy, velocity = model.noised(drawn.pictures, when, noise)
    with torch.no_grad():
        before = drawing(noisy, when, drawn.words)
    now = model(noisy, when, drawn.words)
    towards, away = off(now, velocity), off(2 * before - now, velocity)
    return (goodness * towards + (1 - goodness) * away).mean()


def advantages(rewards: Sequence[float | None], copies: int) -> Tensor:
    """How much better than the others of its prompt (N), in log-odds.

    Not in standard deviations: where all pictures of a prompt are about as safe, nothing is learned
    from the difference. Without a reward, as the worst; 0 for all where fewer than two have one.
    """
    values: list[float] = []
    for start in range(0, len(rewards), copies):
        group = rewards[start : start + copies]
        judged = [reward for reward in group if reward is not None]
        if len(judged) < 2:
            values += [0.0] * len(group)
            continue
        counted = [min(judged) if reward is None else reward for reward in group]
        mean = statistics.fmean(counted)
        values += [reward - mean for reward in counted]
    return torch.tensor(values)


def off(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance (N)."""
    return ((predicted - target) ** 2).mean(dim=(1, 2, 3))
