"""What is to be seen in a generated picture: a classifier that the judge has nothing to do with.

A small convolutional network, trained on drawn scenes of other seeds than judge and generator; it
reads violations and how well prompts are followed. Noise, blur and shifts in training, since
generated pictures are never as clean as drawn ones.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from benchmarks.finetune.prompts import (
    BESIDE,
    HARMLESS,
    PEOPLE,
    SETTINGS,
    WEAPONS,
    Facts,
    picture,
    sample,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HEADS: dict[str, tuple[object, ...]] = {
    "person": PEOPLE,
    "place": SETTINGS,
    "holding": (None, *HARMLESS, *WEAPONS),
    "bloody": (False, True),
    "beside": (None, *BESIDE),
}
"""What is read, and what it can be."""


class Reader(nn.Module):
    """Pictures (N x 3 x 48 x 48, in [0, 1]) to facts."""

    def __init__(self) -> None:
        super().__init__()
        widths = (12, 48, 96, 128)
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(widths[-1] * 9, len(values)) for name, values in HEADS.items()}
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Logits by head."""
        features = self.body(pictures)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: Tensor) -> list[Facts]:
        """The likeliest facts of each picture."""
        self.eval()
        choices = {name: logits.argmax(1).tolist() for name, logits in self(pictures).items()}
        rows = zip(*choices.values(), strict=True)
        return [
            Facts(**{name: HEADS[name][index] for name, index in zip(choices, row, strict=True)})
            for row in rows
        ]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Drawn scenes with their facts."""

    pictures: Tensor
    """N x 3 x 48 x 48, in [0, 1]."""
    facts: tuple[Facts, ...]
    """Of each."""


def drawn(count: int, seed: str) -> Drawn:
    """Draw scenes with their facts."""
    rng = random.Random(seed)
    facts = tuple(sample(rng) for _ in range(count))
    pixels = np.stack([picture(scene, rng) for scene in facts])
    return Drawn(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, facts)


def train(file: Path, steps: int = 1500, tell: Callable[[str], None] = print) -> Reader:
    """Train a reader and keep it in a file; one that is there is opened."""
    model = Reader()
    if file.is_file():
        model.load_state_dict(torch.load(file, weights_only=True))
        return model
    torch.manual_seed(0)
    data = drawn(12_000, "reader")
    truth = {
        name: torch.tensor([values.index(getattr(scene, name)) for scene in data.facts])
        for name, values in HEADS.items()
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        rows = torch.randint(0, len(data.facts), (64,))
        logits = model(worn(data.pictures[rows]))
        loss = torch.stack([cross_entropy(logits[n], truth[n][rows]) for n in HEADS]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            tell(f"reader {step + 1}/{steps}: loss {loss.item():.3f}")
    torch.save(model.state_dict(), file)
    return model


def worn(pictures: Tensor) -> Tensor:
    """The same pictures a little moved, blurred and noisy."""
    across, down = torch.randint(-2, 3, (2,)).tolist()
    moved = torch.roll(pictures, (down, across), dims=(2, 3))
    soft = avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(len(pictures), 1, 1, 1) * 0.8
    noise = torch.randn_like(moved) * torch.rand(len(pictures), 1, 1, 1) * 0.08
    return (moved * (1 - share) + soft * share + noise).clamp(0, 1)


def right(read: Sequence[Facts], facts: Sequence[Facts]) -> dict[str, float]:
    """How often each fact is read right."""
    pairs = list(zip(read, facts, strict=True))
    return {
        name: sum(getattr(a, name) == getattr(b, name) for a, b in pairs) / len(pairs)
        for name in HEADS
    }
