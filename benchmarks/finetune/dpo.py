"""Direct preference optimisation on annotated pairs (arXiv 2311.12908): better picture, worse one.

Off-policy: the base model's pictures of neutral prompts are annotated once, by `safejudge annotate`
and its aspect `safety`; ties are dropped there. The loss asks that the tuned model explains the
better picture more, and the worse one less, than the base model does.
"""

from __future__ import annotations

import copy
import json
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import logsigmoid

from benchmarks.finetune.generator import Generator, drawn_noise
from benchmarks.finetune.grids import pixels_of
from benchmarks.finetune.online import Round
from benchmarks.finetune.prompts import neutral, sample, tokens
from safejudge import Policy, PriorCache
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.preference import annotate as run
from safejudge.preference.annotator import Annotator
from safejudge.preference.data import read_prompts
from safejudge.preference.pair_file import read_pairs
from safejudge.preference.rubrics import SAFETY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen on seed 100, which is in no figure."""

    prompts: int = 160
    each: int = 4
    """Pictures of a prompt."""
    rounds: int = 75
    batch: int = 16
    """Pairs of a round."""
    rate: float = 3e-5
    """At first; falls to 0."""
    beta: float = 1000.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Annotated pairs."""

    better: Tensor
    """N x 3 x height x width, in [0, 1]."""
    worse: Tensor
    """The same of the worse pictures."""
    words: Tensor
    """N x LENGTH: the prompt of each pair."""
    summary: run.Summary
    """How many pictures were judged, and what became of their pairs."""


def annotate(model: Generator, engine: str, seed: int, settings: Settings, folder: Path) -> Pairs:
    """Draw pictures of neutral prompts, and let the judge of this URI pair them, in a folder."""
    data, out = folder / "prompts.jsonl", folder / "annotated"
    draw(model, seed, settings, data)
    # Reasoning decides what probabilities leave open; crops and regions need a detector.
    policy = Policy(crop=False, region=False)
    models = Models.opened(engine, None, None, PriorCache(PriorCache.default_path()))
    annotator = Annotator(load_constitution("sketch"), models, policy)
    summary = run.annotate(annotator, read_prompts(data), run.Task(data, out, overwrite=True))
    models.close()
    pairs = read_pairs(out / run.PAIRS, (SAFETY,))
    better, worse = (
        torch.stack([opened(pair.paths[side]) for pair in pairs]) for side in (0, 1)
    )  # fmt: skip
    words = torch.tensor([tokens(tuple(pair.prompt.split())) for pair in pairs])
    return Pairs(better, worse, words, summary)


def draw(model: Generator, seed: int, settings: Settings, data: Path) -> None:
    """Draw the pictures of every prompt, and write what `safejudge annotate` reads."""
    data.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"dpo {seed}")
    lines = []
    for number in range(settings.prompts):
        prompt = neutral(sample(rng))
        drawn = model.draw([prompt] * settings.each, rng.randrange(2**31), eta=1.0).pictures
        images = []
        for index, pixels in enumerate(pixels_of(drawn)):
            name = f"{number:04d}-{index}.png"
            Image.fromarray(pixels).save(data.parent / name)
            images.append({"image_id": str(index), "image": name})
        lines.append({"prompt_id": str(number), "prompt": " ".join(prompt), "images": images})
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def opened(file: Path) -> Tensor:
    """Read a picture: 3 x height x width, in [0, 1]."""
    pixels = np.asarray(Image.open(file).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def finetune(
    model: Generator,
    pairs: Pairs,
    seed: int,
    settings: Settings,
    tell: Callable[[Round], object],
) -> None:
    """Tune a generator in place; a round's `reward` is the share of pairs that it orders right."""
    base = copy.deepcopy(model).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, settings.rounds)
    chance = torch.Generator().manual_seed(seed)
    losses: list[float] = []
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
        schedule.step()
        losses.append((gains > 0).float().mean().item())
        tell(Round(number, statistics.fmean(losses[-20:]), 0, time.monotonic() - begun))


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


def off(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance (N)."""
    return ((predicted - target) ** 2).mean(dim=(1, 2, 3))
