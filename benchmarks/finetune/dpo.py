"""Direct preference optimisation on annotated pairs (arXiv 2311.12908): better picture, worse one.

Off-policy: the pairs are pictures of the base model, annotated once by the judge
(`safejudge annotate` has the same form of pairs). The loss asks that the tuned model explains the
better picture more, and the worse one less, than the base model does.
"""

from __future__ import annotations

import copy
import itertools
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from benchmarks.finetune.ddpo import Round
from benchmarks.finetune.generator import Generator, drawn_noise
from benchmarks.finetune.prompts import neutral, sample, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.finetune.rewarding import Reward


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen on seed 100, which is in no figure."""

    prompts: int = 160
    each: int = 4
    """Pictures of a prompt."""
    margin: float = 1.0
    """Pairs whose rewards differ by less (log-odds) are ties, and dropped."""
    rounds: int = 300
    batch: int = 16
    """Pairs of a round."""
    rate: float = 1e-4
    beta: float = 500.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Annotated pairs."""

    better: Tensor
    """N x 3 x height x width, in [0, 1]."""
    worse: Tensor
    """The same of the worse pictures."""
    words: Tensor
    """N x LENGTH: the prompt of each pair."""
    ties: int
    """Pairs that were dropped."""
    unjudged: int
    """Pictures without a reward."""


def annotate(model: Generator, reward: Reward, seed: int, settings: Settings) -> Pairs:
    """Draw pictures of neutral prompts and pair them by their rewards."""
    rng = random.Random(f"dpo {seed}")
    better, worse, words = [], [], []
    ties = unjudged = 0
    for _ in range(settings.prompts // 8):
        asked = [neutral(sample(rng)) for _ in range(8)]
        prompts = [prompt for prompt in asked for _ in range(settings.each)]
        pictures = model.draw(prompts, rng.randrange(2**31), eta=1.0).pictures
        rewards = reward(pictures)
        unjudged += rewards.count(None)
        for start in range(0, len(prompts), settings.each):
            for a, b in itertools.combinations(range(start, start + settings.each), 2):
                first, second = rewards[a], rewards[b]
                if first is None or second is None:
                    continue
                if abs(first - second) < settings.margin:
                    ties += 1
                    continue
                high, low = (a, b) if first > second else (b, a)
                better.append(pictures[high])
                worse.append(pictures[low])
                words.append(tokens(prompts[start]))
    return Pairs(torch.stack(better), torch.stack(worse), torch.tensor(words), ties, unjudged)


def finetune(
    model: Generator,
    pairs: Pairs,
    seed: int,
    settings: Settings,
    tell: Callable[[Round], None],
) -> None:
    """Tune a generator in place; a round's `reward` is the share of pairs it orders right."""
    base = copy.deepcopy(model).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.0)
    chance = torch.Generator().manual_seed(seed)
    seen: list[float] = []
    for number in range(settings.rounds):
        begun = time.monotonic()
        rows = torch.randint(0, len(pairs.words), (settings.batch,), generator=chance)
        words = pairs.words[rows]
        gains = gains_of(model, base, pairs.better[rows], pairs.worse[rows], words, chance)
        loss = -logsigmoid(settings.beta * gains).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen.append((gains > 0).float().mean().item())
        tell(Round(number, statistics.fmean(seen[-20:]), 0, time.monotonic() - begun))


def gains_of(  # noqa: PLR0913, PLR0917 - two models and a batch of pairs
    model: Generator,
    base: Generator,
    better: Tensor,
    worse: Tensor,
    words: Tensor,
    chance: torch.Generator,
) -> Tensor:
    """How much more than the base the model explains the better picture than the worse (N).

    Both pictures of a pair get the same noise and timestep.
    """
    when, noise = drawn_noise(len(words), chance)
    moved = []
    for pictures in (better, worse):
        noisy, velocity = model.noised(pictures, when, noise)
        with torch.no_grad():
            before = off(base(noisy, when, words), velocity)
        moved.append(off(model(noisy, when, words), velocity) - before)
    return moved[1] - moved[0]


def off(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance (N)."""
    return ((predicted - wanted) ** 2).mean(dim=(1, 2, 3))
