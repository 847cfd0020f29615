"""Judge Anything: answers to requests across text, pictures, sound and video, marked as people did.

Name: judge-anything
Data: requests, answers and people's marks, in the files of the benchmark's scripts
Licence: none is told for the code; the page's text is CC BY-SA 4.0
Paper: Judge Anything, arXiv 2503.17489

Judged live by any engine where request and answer are text and pictures, or scored from outputs
that somebody's judges left; both come to the same tables. Kinds with sound or video are counted as
not supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.judge_anything import live, score
from safejudge.evals.judge_anything.items import gather
from safejudge.evals.judge_anything.prompts import Checking  # noqa: TC001 - pydantic reads it
from safejudge.evals.judge_anything.records import SETTINGS, Setting
from safejudge.evals.judge_anything.report import report
from safejudge.evals.prompts import Reading  # noqa: TC001 - the same
from safejudge.evals.suite import Suite, check_args, options_of

if TYPE_CHECKING:
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    setting: tuple[Setting, ...] = SETTINGS
    """One mark, one a rubric, one a rubric with a checklist."""
    readings: tuple[Reading, ...] = ("weighted",)
    """By the probabilities of the marks, by what the judge writes, or both."""
    checking: Checking = "appended"
    """How a checklist is used: under a rubric's question, in its place, or point by point."""


def arguments(options: Mapping[str, Any], names: Sequence[str]) -> Args:
    """The options of a run, of those named. Raises `InputError`."""
    check_args(options, names)
    values = {
        name: v.split(",") if isinstance(v, str) and name != "checking" else v
        for name, v in options.items()
    }
    return options_of(Args, values)


# --- live -----------------------------------------------------------------------------------------


def judge(run: Run) -> JSON:
    """Judge every request that has no record yet."""
    args = arguments(run.args, ["setting", "readings", "checking"])
    if args.checking == "points" and "weighted" not in args.readings:
        raise InputError(
            "--suite-arg checking=points: is read from probabilities; readings=weighted"
        )
    if run.data is None or not Path(run.data).is_dir():
        raise InputError(
            "judge-anything needs a folder: --data DIR with TaskAnything.json, JudgeAnything.json, "
            "checklist.json, Human_*.json and the pictures"
        )
    data = gather(Path(run.data), run.splits)
    return live.judge_items(run, data, live.Plan(args.setting, args.readings, args.checking))


# --- from outputs ---------------------------------------------------------------------------------


def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    """Score every judge whose marks lie below a folder."""
    if paper:
        raise InputError("--paper: this suite gives the published figures beside ours anyhow")
    return score.from_outputs(folder, arguments(args, ["setting"]).setting)


SUITE = Suite(
    "Judge Anything (arXiv 2503.17489), from its requests or from recorded outputs",
    from_outputs,
    judge=judge,
    report=report,
    texts=True,
)
