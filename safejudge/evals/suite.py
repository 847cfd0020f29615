"""What a suite of `safejudge eval` is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.outputs import Scored


class FromOutputs(Protocol):
    """Scores a folder of recorded outputs, without a model."""

    def __call__(self, folder: Path, *, paper: bool) -> Scored:
        """`paper`: with the choices of the published tables, where the suite knows some."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What a suite can do."""

    about: str
    """One line for people."""
    from_outputs: FromOutputs | None = None
    """Scores recorded outputs; None if it has none to score."""
    judges: bool = False
    """Whether it judges images by a constitution (`run`)."""
