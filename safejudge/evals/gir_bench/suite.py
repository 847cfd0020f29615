"""GIR-Bench: words, counts, places and puzzles in generated pictures, settled by programs.

Name: gir-bench
Data: recorded reads and replies about pictures, below a folder per generator
Licence: none is told for the code
Paper: GIR-Bench, arXiv 2510.11026

Scored from what OCR, a counting model and a detector left; no judge has an opinion. The paper's
puzzle and drawing scores need weights that are not shipped here, and are not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.gir_bench import score
from safejudge.evals.gir_bench.cases import SUBSETS, Subset
from safejudge.evals.suite import Suite, check_args, options_of

if TYPE_CHECKING:
    from safejudge.evals.suite import EvalResult


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    subset: tuple[Subset, ...] = SUBSETS


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, ["subset"])
    values = {name: v.split(",") if isinstance(v, str) else v for name, v in options.items()}
    return options_of(Args, values)


def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    """Score every case below a folder."""
    if paper:
        raise InputError("--paper: this suite gives the published figures beside ours anyhow")
    return score.from_outputs(folder, arguments(args).subset)


SUITE = Suite("GIR-Bench (arXiv 2510.11026), by programs, from recorded reads", from_outputs)
