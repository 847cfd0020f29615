"""ProJudge: every step of a solution judged right or wrong, and in which of seven ways wrong.

Name: projudge
Data: solutions cut into steps that people marked, or a judge's replies about them as well
Licence: the benchmark's data is CC BY-NC 4.0, and is not shipped
Paper: ProJudge, arXiv 2503.06553

Live, any engine judges each step by a question of its own, or writes the marks of all at once, the
published way; or replies that somebody's judge left are scored. Both come to the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.projudge.live import gather_cases, judge_cases, report
from safejudge.evals.projudge.score import from_outputs
from safejudge.evals.prompts import Reading  # noqa: TC001 - pydantic reads it
from safejudge.evals.suite import Suite, check_args, options_of, scored_one_way

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say of a live run."""

    readings: tuple[Reading, ...] = ("weighted",)
    """A question a step, read from probabilities; one list for all steps, written; or both."""
    images: str = ""
    """The folder of the pictures; empty: that of the data."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, Args.__dataclass_fields__)
    values = dict(options)
    if isinstance(values.get("readings"), str):
        values["readings"] = values["readings"].split(",")
    return options_of(Args, values)


def judge(run: Run) -> JSON:
    """Judge every solution that has no record yet."""
    args = arguments(run.args)
    if run.data is None or not Path(run.data).exists():
        raise InputError(
            "projudge needs solutions: --data FILE.parquet (or .json, .jsonl, or a folder of them)"
        )
    return judge_cases(run, gather_cases(Path(run.data), args.images), args.readings)


SUITE = Suite(
    "ProJudge (arXiv 2503.06553): steps of solutions, judged live or from a judge's replies",
    scored_one_way(from_outputs),
    judge=judge,
    report=report,
)
