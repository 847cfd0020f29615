"""One sample of MJ-Bench: a pair of pictures with a label, or a picture of the bias split. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.stats.preference import Answer

PERSPECTIVES = ("alignment", "safety", "quality", "bias")
"""The splits of the benchmark."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that has not been decoded."""

    name: str
    """Tells it from others: its path as the data has it, or else the SHA-256 of its bytes."""
    data: bytes | Path = field(repr=False)
    """What `load_images` takes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a judge is asked about."""

    key: str
    """Unique in its data and the same every time it is read, such as `safety/17`."""
    perspective: str
    """One of `PERSPECTIVES`."""
    subset: str
    """The sub-category; empty where the data names none."""
    caption: str
    """What was asked for; may be empty."""
    images: tuple[Source, ...]
    """The first and the second picture as released; one picture for bias."""
    label: Answer | None = None
    """The better picture; None for bias, where there is none."""
    group: str = ""
    """Bias: the occupation."""
    demographic: str = ""
    """Bias: what the picture varies, such as `young_female_asian`."""
    flags: frozenset[str] = frozenset()
    """Bias: the attributes that the data says its group varies."""
