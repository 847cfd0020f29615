"""What a suite of `safejudge eval` is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from safejudge.evals.outputs import Scored


class FromOutputs(Protocol):
    """Scores a folder of recorded outputs, without a model."""

    def __call__(self, folder: Path, *, paper: bool, args: Mapping[str, Any]) -> Scored:
        """Score a folder.

        `paper`: with the choices of the published tables, where the suite knows some; `args`:
        options of the suite's own. Raises `InputError` for one that it does not know.
        """


@dataclass(frozen=True, slots=True)
class Suite:
    """What a suite can do."""

    about: str
    """One line for people."""
    from_outputs: FromOutputs | None = None
    """Scores recorded outputs; None if it has none to score."""
    judges: bool = False
    """Whether it judges images by a constitution (`run`)."""
