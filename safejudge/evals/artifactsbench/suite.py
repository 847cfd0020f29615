"""ArtifactsBench: pages and drawings that generators wrote, marked by a checklist for each task.

Name: artifactsbench
Data: the benchmark's tasks with their checklists, and judged answers
Licence: the repository says CC BY 4.0; two open changes to the data's card disagree
Paper: ArtifactsBench, arXiv 2507.04952

Scored from replies that somebody's judge left.
"""

from __future__ import annotations

from safejudge.evals.artifactsbench.score import from_outputs
from safejudge.evals.suite import Suite, scored_one_way

SUITE = Suite(
    "ArtifactsBench (arXiv 2507.04952), from a judge's replies", scored_one_way(from_outputs)
)
