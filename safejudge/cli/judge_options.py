"""The options of `safejudge judge`, as a parsed line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.cli.options import Batching, JudgeOptions, OutputMode
    from safejudge.cli.series import How


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge judge`."""

    paths: tuple[str, ...]
    """Images, folders, patterns."""
    judge: JudgeOptions
    prompts: str | None
    """A file of captions."""
    ignore: tuple[str, ...]
    """Patterns of files that need not be looked at."""
    series: How | None
    """Whether the pictures of a folder are one image, and how they are looked at."""
    at: tuple[float, ...] | None
    """When pages are looked at, in seconds on their own clock."""
    out: Path | str | None
    """A file of records, or the address of a folder in a store; with Ray, either kind of folder."""
    record: Literal["full", "short"]
    """Whether records hold their traces."""
    report: Path | None
    """A page."""
    thresholds: Path | None
    """A file that `calibrate` wrote."""
    journal: str | None
    """A journal that every judgment is kept in."""
    audit: float
    """The share of all images that people see anyway."""
    reviewers: int
    """People who have to agree."""
    shadow: Path | None
    """A file that says what another version of the rules does otherwise."""
    mode: OutputMode
    batching: Batching
    estimate: bool
    """Only say what the run would take."""
    ray: bool
    actors: int | None
    gpus_per_actor: float | None
    ray_address: str | None
