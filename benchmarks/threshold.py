"""The relevance threshold of the shipped encoder: what keeps 99 in 100 violated rules.

Chosen on scenes of a seed of their own, never on those of SketchBench.

`python benchmarks/threshold.py`
"""

from __future__ import annotations

import numpy as np
from measure import record

from safejudge.constitution.load import load_constitution
from safejudge.engines.base import survey
from safejudge.engines.open import open_encoder
from safejudge.method.relevance import relevance_text
from safejudge.sketch.bench import sweeps
from safejudge.sketch.bench.bench import scenes

KEPT = 0.99


def main() -> None:
    constitution = load_constitution("sketch")
    items = list(scenes(constitution, per_rule=50, plain=500, seed="development"))
    encoder = open_encoder("hf:sketch")
    similar = survey(
        encoder,
        [relevance_text(rule) for rule in constitution.rules],
        [item.picture for item in items],
    )
    violated = [r.id in item.truth.violations for item in items for r in constitution.rules]
    threshold = float(np.nanquantile(np.array(similar)[violated], 1 - KEPT))
    table = sweeps.relevance(encoder, constitution, items, threshold)
    text = f"{len(items)} scenes of the seed `development`\n\n{table}"
    record("threshold", {"threshold": threshold, "kept": KEPT}, text)


if __name__ == "__main__":
    main()
