"""MJ-Bench-Video: which of two videos people prefer, and which are good, in five aspects.

Name: mj-bench-video
Data: the benchmark's labels with its videos, or the scores that somebody's judges left
Licence: none is told; labels and videos are not shipped
Paper: MJ-Video, arXiv 2502.01719

Live, any engine that can be shown several pictures rates frames of each video, the published way;
or scores that somebody's judges left are read. Both come to the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from safejudge.errors import InputError
from safejudge.evals.mjbench_video import live
from safejudge.evals.mjbench_video.score import from_outputs
from safejudge.evals.mjbench_video.topics import ASPECTS, OVERALL, topics
from safejudge.evals.prompts import Reading  # noqa: TC001 - pydantic reads it
from safejudge.evals.suite import Suite, check_args, options_of, scored_one_way

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say of a live run."""

    topics: tuple[Literal["overall", "aspects", "criteria"], ...] = ("overall", "aspects")
    """The whole, the five aspects, the 28 criteria."""
    readings: tuple[Reading, ...] = ("weighted",)
    """By the probabilities of the ratings, by what the judge writes, or both."""
    frames: Annotated[int, Field(ge=1, le=64)] = 8
    """Most frames that are shown of a video; 8 is published."""
    videos: str = ""
    """The folder that the videos' paths begin in; empty: that of the labels."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, Args.__dataclass_fields__)
    values = {
        name: value.split(",") if isinstance(value, str) and name != "videos" else value
        for name, value in options.items()
    }
    return options_of(Args, values)


def judge(run: Run) -> JSON:
    """Rate the videos of every pair that has no record yet."""
    args = arguments(run.args)
    if run.data is None or not Path(run.data).exists():
        raise InputError(
            "mj-bench-video needs labels: --data test.json (or a folder), and the videos beside "
            "them or below --suite-arg videos=DIR"
        )
    chosen = {"overall": [OVERALL], "aspects": [*ASPECTS]}
    chosen["criteria"] = topics(criteria=True)[1 + len(ASPECTS) :]
    asked = dict.fromkeys(topic for name in args.topics for topic in chosen[name])
    data = live.gather(Path(run.data), args.videos)
    return live.judge_pairs(run, data, live.Plan(tuple(asked), args.readings, args.frames))


SUITE = Suite(
    "which of two videos is better, in five aspects (MJ-Bench-Video, arXiv 2502.01719)",
    scored_one_way(from_outputs),
    judge=judge,
    report=live.report,
)
