"""Judgments as scores that inspect_ai reads with `precomputed_scores`: one JSON line an image.

A score is that of the worst rule, in [0, 1]. An image without one (it could not be judged, or every
rule was skipped) has no line: inspect_ai leaves its sample unscored, and no error becomes a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.show.reasons import reason

if TYPE_CHECKING:
    from safejudge.types import JSON, Judgment, Provenance


def score_of(judgment: Judgment, name: str, made: Provenance) -> JSON | None:
    """Write the line of one judgment, whose sample is called `name`; None where it has no score."""
    if judgment.score is None:
        return None
    rules = {
        rule: {"outcome": verdict.outcome, "score": verdict.score, "bound": verdict.bound}
        for rule, verdict in judgment.rules.items()
    }
    return {
        "id": name,
        "value": judgment.score,
        "answer": judgment.label,
        "explanation": reason(judgment),
        "metadata": {
            "image": judgment.image,
            "image_id": judgment.id,
            "violations": list(judgment.violations),
            "rules": rules,
            "constitution": made.constitution,
            "policy": made.policy,
            "model": made.model,
            "revision": made.revision,
        },
    }
