"""Judge Anything: answers to requests across text, pictures, sound and video, marked as people did.

Name: judge-anything
Data: marks of people and of judges, in the files of the benchmark's scripts
Licence: none is told for the code; the page's text is CC BY-SA 4.0
Paper: Judge Anything, arXiv 2503.17489

Scored from outputs that somebody's judges left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.judge_anything import score
from safejudge.evals.judge_anything.records import SETTINGS, Setting
from safejudge.evals.suite import Suite, check_args, options_of

if TYPE_CHECKING:
    from safejudge.evals.suite import EvalResult


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    setting: tuple[Setting, ...] = SETTINGS
    """One mark, one a rubric, one a rubric with a checklist."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, ["setting"])
    values = {name: v.split(",") if isinstance(v, str) else v for name, v in options.items()}
    return options_of(Args, values)


def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    """Score every judge whose marks lie below a folder."""
    if paper:
        raise InputError("--paper: this suite gives the published figures beside ours anyhow")
    return score.from_outputs(folder, arguments(args).setting)


SUITE = Suite("Judge Anything (arXiv 2503.17489), from recorded outputs", from_outputs)
