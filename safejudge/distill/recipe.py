"""How a filter is distilled; a light file, because `--help` states the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layers = int | Literal["all"]


@dataclass(frozen=True, slots=True)
class FilterRecipe:
    """How a filter is distilled: every choice that can change it. Defaults live only here."""

    backbone: str
    """URI of the dual encoder that learns."""
    layers: Layers = 2
    """So many last layers of the vision tower learn, and what stands behind them; 0: the head
    alone. `all`: the whole tower."""
    epochs: int = 12
    """How often every picture is seen."""
    keep: float = 0.995
    """Share of the violated pairs of held-out images that the threshold keeps."""
    held_out: float = 0.25
    """Share of the images that the threshold is found on, and that nothing is learned from."""
    seed: int = 0
    """Of the split, the head's first weights and the order of pictures."""
    batch: int = 32
    """Pictures per step; each with all its rules."""
    rate: float = 1e-3
    """Peak learning rate of the head."""
    tower_rate: float = 3e-4
    """The same of the tower's layers."""
    decay: float = 0.01
    """Weight decay."""
    hidden: int = 64
    """Width of the head's one hidden layer."""
    emphasis: float = 3.0
    """How much more a pair weighs that the judge is sure is violated than one sure to be none: a
    filter may ask too much, and must not skip."""
