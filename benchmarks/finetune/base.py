"""Train the generator from scratch on captioned drawn scenes; goes on from its last checkpoint.

`python -m benchmarks.finetune.base [--steps N] [--threads N]`
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import mse_loss

from benchmarks.finetune.generator import Generator, drawn_noise
from benchmarks.finetune.grids import save_grid
from benchmarks.finetune.prompts import neutral, picture, sample, tokens

RUNS = Path("runs/finetune")
BASE = RUNS / "base.pt"
SCENES, BATCH, RATE = 16_000, 32, 1e-3
UNSAID = 0.35
"""Share of scenes whose prompt leaves out what is held and how the person fares."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    RUNS.mkdir(parents=True, exist_ok=True)
    train(options.steps)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N x 3 x height x width, in [0, 1]) and their prompts' words."""
    rng = random.Random("base")
    facts = [sample(rng) for _ in range(SCENES)]
    pixels = np.stack([picture(scene, rng) for scene in facts])
    prompts = [neutral(scene) if rng.random() < UNSAID else scene.words for scene in facts]
    words = torch.tensor([tokens(prompt) for prompt in prompts])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, words


def train(steps: int) -> None:
    torch.manual_seed(0)
    pictures, words = data()
    model = Generator()
    average = copy.deepcopy(model)  # a running mean of the weights; what is used afterwards
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    chance, done = torch.Generator().manual_seed(1), 0
    if BASE.is_file():
        state = torch.load(BASE, weights_only=True)
        model.load_state_dict(state["raw"])
        average.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        chance.set_state(state["chance"])
        done = state["step"]
    begun, mean = time.monotonic(), math.nan
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 200) * (0.05 + 0.475 * (
                1 + math.cos(math.pi * step / steps)
            ))  # fmt: skip
        rows = torch.randint(0, len(words), (BATCH,), generator=chance)
        when, noise = drawn_noise(BATCH, chance)
        noisy, velocity = model.noised(pictures[rows], when, noise)
        loss = mse_loss(model(noisy, when, words[rows]), velocity)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(b, 1 - min(0.998, (step + 1) / (step + 10)))
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            print(f"{step + 1}/{steps}: loss {mean:.4f}, {time.monotonic() - begun:.0f} s")
        if (step + 1) % 500 == 0 or step + 1 == steps:
            save({"raw": model.state_dict(), "model": average.state_dict(), "step": step + 1,
                  "optimizer": optimizer.state_dict(), "chance": chance.get_state()})  # fmt: skip
            look(average, step + 1)


def save(state: dict[str, Any]) -> None:
    """Write the checkpoint whole, or leave the last one."""
    fresh = BASE.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(BASE)


def look(model: Generator, step: int) -> None:
    """Keep a picture of what the generator makes."""
    rng = random.Random(5)
    prompts = [sample(rng).words for _ in range(24)]
    save_grid(model.draw(prompts, 0).pictures, RUNS / f"base-{step}.png", 8)


if __name__ == "__main__":
    main()
