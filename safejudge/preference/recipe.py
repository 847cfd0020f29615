"""How a preference scorer is trained; a light file, because `--help` states the defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a scorer is trained: every choice that can change it. Defaults live only here."""

    backbone: str
    """URI of the dual encoder that the head stands on."""
    aspects: tuple[str, ...] = ()
    """Pairs of these; empty: of `overall` if there are any, else all."""
    epochs: int = 10
    """How often every pair is seen."""
    layers: int = 0
    """So many last layers of both towers learn as well; 0: the head alone."""
    held_out: float = 0.2
    """Share of the prompts that is kept for measuring."""
    seed: int = 0
    """Of the split, the head's first weights and the order of pairs."""
    batch: int = 32
    """Pairs per step."""
    rate: float = 1e-3
    """Peak learning rate of the head."""
    tower_rate: float = 3e-5
    """The same of the towers' layers."""
    decay: float = 0.01
    """Weight decay."""
    hidden: int = 64
    """Width of the head's one hidden layer."""
