"""SugarCrepe: a picture's caption, and one that is wrong in an object, an attribute or a relation.

Name: sugarcrepe
Data: the benchmark's files of captions with COCO's pictures, or scores of both captions
Licence: MIT
Paper: SugarCrepe, arXiv 2306.14610; as a test of judges and rerankers UniME-V2, arXiv 2510.13515
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.sugarcrepe import score
from safejudge.evals.sugarcrepe.live import Way, gather, judge_samples, report
from safejudge.evals.suite import Suite, check_args, options_of, scored_one_way

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    ways: tuple[Way, ...] = ("match", "choice", "encoder")
    """How captions are compared; `encoder` only where there is one."""
    pictures: str = ""
    """The folder of the pictures, if it is not that of the captions."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, Args.__dataclass_fields__)
    values = dict(options)
    if isinstance(ways := values.get("ways"), str):
        values["ways"] = ways.split(",")
    return options_of(Args, values)


def judge(run: Run) -> JSON:
    """Compare the captions of every picture that has no record yet."""
    args = arguments(run.args)
    if run.data is None or not Path(run.data).is_dir():
        raise InputError("sugarcrepe needs a folder: --data DIR with replace_obj.json and alike")
    folder = Path(run.data)
    data = gather(folder, Path(args.pictures) if args.pictures else folder)
    return judge_samples(run, data, args.ways)


SUITE = Suite(
    "right and slightly wrong captions (SugarCrepe, arXiv 2306.14610), live or recorded",
    scored_one_way(score.from_outputs),
    judge=judge,
    report=report,
)
