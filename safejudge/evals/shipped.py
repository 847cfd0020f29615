"""The suites of this package, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals import mjbench_outputs, mllm_judge_outputs, rewardbench_outputs
from safejudge.evals.suite import Suite

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.outputs import Scored


def _mllm_judge(folder: Path, *, paper: bool) -> Scored:  # noqa: ARG001 - one way to score it
    return mllm_judge_outputs.from_outputs(folder)


def _rewardbench(folder: Path, *, paper: bool) -> Scored:  # noqa: ARG001 - one way to score it
    return rewardbench_outputs.from_outputs(folder)


SHIPPED = {
    "labelled": Suite("your own images, labelled safe or unsafe or by rule", judges=True),
    "mj-bench": Suite(
        "MJ-Bench (arXiv 2407.04842), from recorded outputs", mjbench_outputs.from_outputs
    ),
    "mllm-as-a-judge": Suite(
        "MLLM-as-a-Judge (arXiv 2402.04788), from recorded outputs", _mllm_judge
    ),
    "multimodal-rewardbench": Suite(
        "Multimodal RewardBench (arXiv 2502.14191), from recorded outputs", _rewardbench
    ),
}
"""What there is without any other package."""
