"""Suites by name: those of this package, and those that other packages add by entry point.

A suite judges images and compares with what is known of them, or scores outputs that somebody's
judges left, or both. README.md says what a package writes to add one.
"""

from __future__ import annotations

import json
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from safejudge.errors import InputError, OutputError
from safejudge.evals.suite import Suite
from safejudge.files.atomic import writing
from safejudge.plugins import find_plugin, load_plugin, plugin_names

if TYPE_CHECKING:
    from pathlib import Path

SUITES = {
    "labelled": "safejudge.evals.labelled.suite:SUITE",
    "sketchbench": "safejudge.sketch.bench.suite:SUITE",
    "mj-bench": "safejudge.evals.mjbench.suite:SUITE",
    "mj-bench-video": "safejudge.evals.mjbench_video.suite:SUITE",
    "preference": "safejudge.evals.pairs.suite:SUITE",
    "mllm-as-a-judge": "safejudge.evals.mllm_judge.suite:SUITE",
    "multimodal-rewardbench": "safejudge.evals.rewardbench.suite:SUITE",
    "judge-anything": "safejudge.evals.judge_anything.suite:SUITE",
    "gir-bench": "safejudge.evals.gir_bench.suite:SUITE",
    "artifactsbench": "safejudge.evals.artifactsbench.suite:SUITE",
    "projudge": "safejudge.evals.projudge.suite:SUITE",
    "policyshift": "safejudge.evals.policyshift.suite:SUITE",
    "traces": "safejudge.evals.traces.suite:SUITE",
    "retrieval": "safejudge.evals.retrieval.suite:SUITE",
    "sugarcrepe": "safejudge.evals.sugarcrepe.suite:SUITE",
}
"""Where each suite of this package stands; as text, since one stands above this module."""
GROUP = "safejudge.suites"
"""The entry-point group under which a package names a `Suite`."""
MARK = "suite.json"
"""The file that says of a folder which suite's records it holds."""


def names() -> list[str]:
    """Every suite there is: ours, then those of other packages."""
    return [*SUITES, *(name for name in plugin_names(GROUP) if name not in SUITES)]


def find_suite(name: str) -> Suite:
    """Return one suite. Raises `InputError` with the names there are, or what a plug-in met."""
    if name in SUITES:
        suite: Suite = resolve_name(SUITES[name])
        return suite
    entry = find_plugin(GROUP, name)
    if entry is None:
        raise InputError(f"there is no suite {name!r}; choose {', '.join(names())}")
    plugin = load_plugin(entry, f"suite {name!r}", InputError)
    if not isinstance(plugin, Suite):
        raise InputError(f"suite {name!r}: {entry.value} is a {type(plugin).__name__}, not a Suite")
    return plugin


def begin(out: Path, name: str) -> None:
    """Make the folder of a run and mark it. Raises `OutputError`, also for another suite's."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if (out / MARK).exists() and (owner := suite_of(out)) != name:
            raise OutputError(f"{out}: holds records of {owner}; name another folder")
        (out / MARK).write_text(json.dumps({"suite": name}) + "\n", encoding="utf-8")


def suite_of(out: Path) -> str:
    """Whose records a folder holds. Raises `InputError`."""
    try:
        name = json.loads((out / MARK).read_text(encoding="utf-8"))["suite"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out}: has no {MARK}; name a folder that eval --out wrote") from error
    return str(name)
