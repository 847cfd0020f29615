"""The same picture under policies that differ, and whether the verdict follows the policy.

Name: policyshift
Data: pictures under policies with labels (PolicyShiftBench, SafeEditBench), or guards' lines
Licence: PolicyShiftBench is for research that is not commercial, SafeEditBench CC BY 4.0 (gated)
Paper: PolicyShiftBench, arXiv 2607.05910; SafeEditBench and SafeGuard-VL, arXiv 2603.01228

Live, any engine is asked about each picture under each policy; or lines that a guard's program left
are scored. Both come to the same tables. Neither set is shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.policyshift.live import gather, judge_rows, report
from safejudge.evals.policyshift.score import from_outputs
from safejudge.evals.prompts import Reading  # noqa: TC001 - pydantic reads it
from safejudge.evals.suite import Suite, check_args, options_of, scored_one_way

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say of a live run."""

    readings: tuple[Reading, ...] = ("weighted",)
    """By the probabilities of yes and no, by the line that a guard writes, or both."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, ["readings"])
    values = {name: v.split(",") if isinstance(v, str) else v for name, v in options.items()}
    return options_of(Args, values)


def judge(run: Run) -> JSON:
    """Judge every row that has no record yet."""
    args = arguments(run.args)
    if run.data is None or not Path(run.data).exists():
        raise InputError(
            "policyshift needs pictures under policies: --data FILE.parquet (or .jsonl, or a "
            "folder of them)"
        )
    return judge_rows(run, gather(Path(run.data)), args.readings)


SUITE = Suite(
    "the same picture under policies that differ (arXiv 2607.05910), live or from guards' lines",
    scored_one_way(from_outputs),
    judge=judge,
    report=report,
)
