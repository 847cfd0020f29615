"""Results of a suite as lmms-eval writes its own, for the tools that read those (version 0.7.3).

Two files beside ours, named by one moment: `TIME_results.json`, in which every metric is a scalar
named `METRIC,FILTER` with its `METRIC_stderr,FILTER`, and `TIME_samples_SUITE.jsonl`. The filter is
what a metric is of: a judge, or a line of the tables. Our intervals are no standard errors: written
is half of their width over 1.96, which is one where an interval is symmetric.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from safejudge.evals.stats.intervals import Z

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from safejudge.types import JSON

_RESULTS = re.compile(r"(\d{8}_\d{6})_results\.json")
_TARGETS = ("target", "label", "human")
"""Where samples of suites say what is true; the first that they have counts."""
_ANSWERS = ("filtered_resps", "answer", "said")
"""Where they say what the judge said."""
_INPUTS = ("caption", "image", "item", "id")
"""Where they say what was asked about."""


def moment_of(out: Path) -> str:
    """The moment in the names of the files that a folder holds; now if it holds none.

    Files that are written again replace those of the time before.
    """
    names = (_RESULTS.fullmatch(path.name) for path in out.glob("*_results.json"))
    return max((name[1] for name in names if name), default=time.strftime("%Y%m%d_%H%M%S"))


def results(suite: str, numbers: JSON, samples: int, config: JSON, versions: JSON) -> JSON:
    """What `TIME_results.json` holds; `numbers` are those of an `EvalResult`, without NaN."""
    metrics: JSON = {"alias": suite}
    for name, part in numbers.items():
        single = not isinstance(part, dict) or "value" in part
        for path, value, stderr in _metrics((name,) if single else (), part):
            metric = "/".join(path).replace(",", ";")  # a comma ends the name of a metric
            judge = "none" if single else name
            metrics[f"{metric},{judge}"] = value
            metrics[f"{metric}_stderr,{judge}"] = stderr
    return {
        "results": {suite: metrics},
        "group_subtasks": {suite: []},
        "configs": {suite: {"task": suite, "metadata": versions}},
        "versions": versions,
        "n-shot": {suite: 0},
        "higher_is_better": {suite: {}},
        "n-samples": {suite: {"original": samples, "effective": samples}},
        "config": {"model": "safejudge", "model_args": config},
        "model_source": "safejudge",
        "model_name": _model(numbers, config),
    }


def _model(numbers: JSON, config: JSON) -> str:
    """Who was judged, where it is one."""
    provenance = config.get("provenance")
    if isinstance(provenance, dict):
        return str(provenance.get("model"))
    return next(iter(numbers)) if len(numbers) == 1 else "safejudge"


def _metrics(
    path: tuple[str, ...], value: Any
) -> Iterator[tuple[tuple[str, ...], Any, float | str]]:
    """Path, value and standard error of every number below a part of the numbers."""
    if not isinstance(value, dict):
        yield path, value, "N/A"
    elif "value" in value:
        yield path, value["value"], _stderr(value.get("low"), value.get("high"))
    else:
        for name, part in value.items():
            yield from _metrics((*path, name), part)


def _stderr(low: float | None, high: float | None) -> float | str:
    return "N/A" if low is None or high is None else (high - low) / (2 * Z)


def samples(rows: Sequence[JSON]) -> Iterator[str]:
    """The lines of `TIME_samples_SUITE.jsonl`; `rows` are the lines of our own samples."""
    for row in rows:
        sample: JSON = {
            "doc_id": row["doc_id"],
            "doc_hash": row["doc_hash"],
            "input": str(_first(row, _INPUTS) or ""),
            "target": _target(row),
            "filtered_resps": _answer(row),
        }
        right = _right(row)
        if right is not None:
            sample["score"] = float(right)
        if "judge" in row:
            sample["judge"] = row["judge"]
        yield f"{json.dumps(sample)}\n"


def _first(row: JSON, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _target(row: JSON) -> str:
    target = _first(row, _TARGETS)
    if isinstance(target, dict):  # of labelled images; what is safe violates nothing
        violations = target.get("violations")
        known = violations is not None and (violations or not target.get("unknown"))
        target = target.get("label") or (None if not known else "unsafe" if violations else "safe")
    return "" if target is None else str(target)


def _answer(row: JSON) -> Any:
    answer = _first(row, _ANSWERS)
    return answer if isinstance(answer, list) else [answer]


def _right(row: JSON) -> bool | None:
    """Whether an answer is right, where that can be said; what is no answer is not."""
    if "right" in row:
        return None if row["right"] is None else bool(row["right"])
    if "outcome" in row:
        return bool(row["outcome"] == "right")
    target = _target(row)
    return None if not target else _answer(row) == [target]
