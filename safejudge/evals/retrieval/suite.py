"""Retrieval: pictures and texts that belong together, found by scores, mined, and ranked anew.

Name: retrieval
Data: your pictures with their texts; or scores, candidates and replies that others left
Licence: yours; UniME-V2's released scores are MIT
Paper: UniME-V2, arXiv 2510.13515
"""

from __future__ import annotations

from safejudge.evals.retrieval import score
from safejudge.evals.retrieval.live import judge, report
from safejudge.evals.suite import Suite, scored_one_way

SUITE = Suite(
    "retrieval and reranking (UniME-V2, arXiv 2510.13515), live or from recorded scores",
    scored_one_way(score.from_outputs),
    judge=judge,
    report=report,
)
