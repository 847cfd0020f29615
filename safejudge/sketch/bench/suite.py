"""SketchBench: scenes with exact truth are drawn for the run, then judged as labelled ones.

Name: sketchbench
Data: drawn by `sketch/bench/bench.py`; nothing is fetched
Licence: that of this package (Apache-2.0)
Paper: none
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.constitution.load import load_constitution
from safejudge.errors import InputError
from safejudge.evals.labelled import suite as labelled
from safejudge.evals.suite import Suite
from safejudge.files.atomic import writing
from safejudge.sketch.bench.bench import write_bench

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.types import JSON

SIZES = {"per_rule": 50, "plain": 500}
"""Violating scenes, and as many borderline, per rule; and scenes that no rule is about."""


def judge(run: Run) -> JSON:
    """Draw the bench into the run's folder, unless it is there, and judge it."""
    if strange := [name for name in run.args if name not in SIZES]:
        raise InputError(f"--suite-arg {strange[0]}: sketchbench takes {', '.join(SIZES)}")
    sizes = SIZES | dict(run.args)
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(f"--suite-arg {name}={size}: give a whole number above 0")
    if run.data is not None or run.labels is not None:
        raise InputError("sketchbench draws its own scenes; for yours: eval labelled --data DIR")
    scenes = (run.plain or run.out) / "scenes"  # a changed run is over the same ones
    new = run.overwrite and run.plain is None
    if new or not (scenes / "facts.jsonl").is_file():
        with writing(scenes):
            write_bench(scenes, sizes["per_rule"], sizes["plain"], overwrite=True)
    rules = run.constitution or load_constitution("sketch")
    labelled_run = replace(run, data=str(scenes), constitution=rules, args={})
    return labelled.judge(labelled_run) | {"sizes": sizes}


SUITE = Suite(
    "drawn scenes with exact truth, drawn for the run",
    judge=judge,
    report=labelled.report,
    panel=True,
)
