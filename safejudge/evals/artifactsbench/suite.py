"""ArtifactsBench: pages and drawings that generators wrote, marked by a checklist for each task.

Name: artifactsbench
Data: the benchmark's tasks with their checklists, and answers to them or judged answers
Licence: the repository says CC BY 4.0; two open changes to the data's card disagree
Paper: ArtifactsBench, arXiv 2507.04952

Live, answers are rendered in a closed browser and judged by any engine that takes several pictures,
point by point or as a whole; or replies that somebody's judge left are scored. Both come to the
same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from safejudge.errors import InputError
from safejudge.evals.artifactsbench.live import Plan, gather, judge_tasks, report
from safejudge.evals.artifactsbench.prompts import Checking  # noqa: TC001 - pydantic reads it
from safejudge.evals.artifactsbench.score import from_outputs
from safejudge.evals.suite import Suite, check_args, options_of, scored_one_way
from safejudge.render import Browser, Stage

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say of a live run."""

    answers: str = ""
    """The file of the generator's answers."""
    checking: Checking = "points"
    """A question a point, or one number for all (the published form)."""
    at: tuple[float, ...] = (0.0, 1.0, 2.0)
    """Seconds on the page's own clock at which it is photographed."""
    browser: str | None = None
    """A Chromium; None: one of the usual names."""
    unopened: Annotated[float, Field(ge=0, le=100)] | None = None
    """The score of a page that does not open; None: unread."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, Args.__dataclass_fields__)
    values = dict(options)
    if "at" in values:
        times = values["at"]
        values["at"] = times.split(",") if isinstance(times, str) else _listed(times)
    return options_of(Args, values)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def judge(run: Run) -> JSON:
    """Judge every task that has no record yet."""
    args = arguments(run.args)
    if run.data is None:
        raise InputError("artifactsbench needs its tasks: --data tasks.jsonl")
    if not args.answers:
        raise InputError("artifactsbench needs a generator's answers: --suite-arg answers=FILE")
    data = gather(Path(run.data), Path(args.answers))
    # Before any work: a browser that is missing, and times that no page can be shown at.
    plan = Plan(args.checking, Stage(at=args.at), Browser.find(args.browser), args.unopened)
    return judge_tasks(run, data, plan)


SUITE = Suite(
    "ArtifactsBench (arXiv 2507.04952), from its tasks or from a judge's replies",
    scored_one_way(from_outputs),
    judge=judge,
    report=report,
)
