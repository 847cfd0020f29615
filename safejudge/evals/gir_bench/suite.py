"""GIR-Bench: words, counts, places and puzzles in generated pictures, settled by programs.

Name: gir-bench
Data: pictures with references, grids or masks; or recorded reads and replies about pictures
Licence: none is told for the code
Paper: GIR-Bench, arXiv 2510.11026

Live, OCR reads words and grids, and painted regions are compared with masks; from outputs, what
OCR, a counting model and a detector left is scored. No judge has an opinion. The paper's puzzle and
drawing scores need weights that are not shipped here, and are not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.gir_bench import score
from safejudge.evals.gir_bench.cases import SUBSETS, Subset
from safejudge.evals.gir_bench.live import CASES, LIVE, gather, judge_samples, read_run
from safejudge.evals.suite import Suite, check_args, options_of

if TYPE_CHECKING:
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    subset: tuple[Subset, ...] = ()
    """Only these; all that can be scored if empty."""


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    check_args(options, ["subset"])
    values = {name: v.split(",") if isinstance(v, str) else v for name, v in options.items()}
    return options_of(Args, values)


def judge(run: Run) -> JSON:
    """Look at every picture that has no record yet."""
    subsets = arguments(run.args).subset or LIVE
    if strange := [name for name in subsets if name not in LIVE]:
        raise InputError(
            f"--suite-arg subset={strange[0]}: needs a counting model or a detector, and is scored "
            f"from recorded outputs only; programs look at {', '.join(LIVE)}"
        )
    if run.data is None or not Path(run.data).is_dir():
        raise InputError(f"gir-bench needs a folder of pictures: --data DIR with {CASES} or masks/")
    return judge_samples(run, gather(Path(run.data), subsets))


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    recorded, coverage, lines = read_run(out)
    version = harness.provenance_of(out).get("versions", {}).get("rapidocr")
    result = score.score(recorded, judge="programs" if version is None else f"rapidocr {version}")
    return replace(result, findings=(*lines, *result.findings), coverage=coverage)


def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
    """Score every case below a folder."""
    if paper:
        raise InputError("--paper: this suite gives the published figures beside ours anyhow")
    return score.from_outputs(folder, arguments(args).subset or SUBSETS)


SUITE = Suite(
    "GIR-Bench (arXiv 2510.11026): what programs read in pictures, live or from recorded reads",
    from_outputs,
    judge=judge,
    report=report,
    asks=False,
)
