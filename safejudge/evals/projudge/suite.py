"""ProJudge: every step of a solution judged right or wrong, and in which of seven ways wrong.

Name: projudge
Data: solutions cut into steps that people marked, and a judge's replies about them
Licence: the benchmark's data is CC BY-NC 4.0, and is not shipped
Paper: ProJudge, arXiv 2503.06553
"""

from __future__ import annotations

from safejudge.evals.projudge.score import from_outputs
from safejudge.evals.suite import Suite, scored_one_way

SUITE = Suite(
    "ProJudge (arXiv 2503.06553), steps of solutions, from a judge's replies",
    scored_one_way(from_outputs),
)
