"""The suites of this package, by name."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.labelled import run
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.mjbench import score as mjbench_outputs
from safejudge.evals.mjbench.cells import PAPER, Options
from safejudge.evals.mllm_judge import run as mllm_judge_run
from safejudge.evals.mllm_judge import score as mllm_judge_outputs
from safejudge.evals.pairs import run as preference_run
from safejudge.evals.rewardbench import run as rewardbench_run
from safejudge.evals.rewardbench import score as rewardbench_outputs
from safejudge.evals.suite import Suite, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from safejudge.evals.suite import EvalResult


def _mj_bench(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    _check(args, [field.name for field in fields(Options)])
    base = asdict(PAPER if paper else Options())
    sets = {name for name, value in base.items() if isinstance(value, frozenset)}
    given = {k: [v] if k in sets and isinstance(v, str) else v for k, v in args.items()}
    return mjbench_outputs.from_outputs(folder, options=options_of(Options, base | given))


def _mllm_judge(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    _check(args, ())
    _one_way(paper=paper)
    return mllm_judge_outputs.from_outputs(folder)


def _rewardbench(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    _check(args, ())
    _one_way(paper=paper)
    return rewardbench_outputs.from_outputs(folder)


def _check(args: Mapping[str, Any], known: Sequence[str]) -> None:
    if strange := [name for name in args if name not in known]:
        there = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InputError(f"--suite-arg {strange[0]}: this suite does not know it; {there}")


def _one_way(*, paper: bool) -> None:
    if paper:
        raise InputError("--paper: this suite scores in one way, the published one")


SHIPPED: dict[str, Suite | str] = {
    "labelled": Suite(
        "your own images, labelled safe or unsafe or by rule",
        judge=run.judge,
        report=run.report,
        constitution=True,
    ),
    "sketchbench": "safejudge.sketch.bench.suite:SUITE",
    "mj-bench": Suite(
        "MJ-Bench (arXiv 2407.04842), from pictures or from recorded outputs",
        _mj_bench,
        judge=mjbench_run.judge,
        report=mjbench_run.report,
    ),
    "preference": Suite(
        "your own preference pairs (prompt, chosen, rejected), such as those of annotate",
        judge=preference_run.judge,
        report=preference_run.report,
    ),
    "mllm-as-a-judge": Suite(
        "MLLM-as-a-Judge (arXiv 2402.04788), from its records or from recorded outputs",
        _mllm_judge,
        judge=mllm_judge_run.judge,
        report=mllm_judge_run.report,
    ),
    "multimodal-rewardbench": Suite(
        "Multimodal RewardBench (arXiv 2502.14191), from its triplets or from recorded outputs",
        _rewardbench,
        judge=rewardbench_run.judge,
        report=rewardbench_run.report,
    ),
}
"""What there is without any other package; by name where it stands on a higher floor."""
