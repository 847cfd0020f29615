"""SugarCrepe: a picture's caption, and one that is wrong in an object, an attribute or a relation.

Name: sugarcrepe
Data: scores of both captions of every pair
Licence: MIT
Paper: SugarCrepe, arXiv 2306.14610; as a test of judges and rerankers UniME-V2, arXiv 2510.13515
"""

from __future__ import annotations

from safejudge.evals.sugarcrepe import score
from safejudge.evals.suite import Suite, scored_one_way

SUITE = Suite(
    "right and slightly wrong captions (SugarCrepe, arXiv 2306.14610), from recorded scores",
    scored_one_way(score.from_outputs),
)
