"""Traces: which stage of a judge goes wrong, and in which way, by people's marks on its steps.

Name: traces
Data: exports of Label Studio, of tasks that `journal export --format steps` wrote
Licence: yours
Paper: none; marks of steps are those of ProJudge, arXiv 2503.06553
"""

from __future__ import annotations

from safejudge.evals.suite import Suite, scored_one_way
from safejudge.evals.traces.score import from_outputs

SUITE = Suite(
    "people's marks on a judge's traces: which stage goes wrong, by kind",
    scored_one_way(from_outputs),
)
