"""MJ-Bench: pairs of pictures of which one is better, and pictures of people to be rated evenly.

Name: mj-bench
Data: MJ-Bench of the Hugging Face hub or of its repository, in a folder (`data.py`)
Licence: MIT (repository); Apache-2.0 (data set of the hub, behind terms to accept)
Paper: MJ-Bench, arXiv 2407.04842

Judged live, or scored from outputs that somebody's judges left (`recorded/`); both come to the same
tables.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.mjbench import prompts as mjbench_prompts
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.mjbench import score
from safejudge.evals.mjbench.cells import PAPER, Options
from safejudge.evals.mjbench.data import read_data
from safejudge.evals.suite import Suite, check_args, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON


def judge(run: Run) -> JSON:
    """Judge every sample that has no record yet."""
    args = mjbench_run.arguments(run.args)
    if run.data is None:
        raise InputError(
            "mj-bench needs its pairs: --data DIR (or ORG/NAME of the hub); `safejudge sketch "
            "mj-bench --out DIR` draws some"
        )
    data = read_data(run.data, run.splits, limit=run.limit, seed=run.seed, revision=args.revision)
    protocols = mjbench_run.protocols_of(run, args)
    names, prompts = mjbench_run.names_of(protocols), mjbench_prompts.digest(scales=args.scales)
    provenance = harness.provenance(run, names, prompts)
    with harness.record_file(run, provenance, harness.digest(run.data, args.revision)) as file:
        mjbench_run.judge_samples(data.samples, protocols, run, file)
    description = {
        "schema": data.generation,
        "left_out": list(data.left_out),
        "ways": names,
        "notes": mjbench_run.notes_of(run),
    }
    run.write_json(harness.DATA, description)
    return description | {"prompts": prompts, "data": run.data}


def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    """Score recorded outputs; every field of `Options` is an option of the suite."""
    base = asdict(PAPER if paper else Options())
    check_args(args, base)
    sets = {name for name, value in base.items() if isinstance(value, frozenset)}
    values = {
        name: [value] if name in sets and isinstance(value, str) else value
        for name, value in args.items()
    }
    return score.from_outputs(folder, options=options_of(Options, base | values))


SUITE = Suite(
    "MJ-Bench (arXiv 2407.04842), from pictures or from recorded outputs",
    from_outputs,
    judge=judge,
    report=mjbench_run.report,
)
