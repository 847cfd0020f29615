"""The relevance filter and the detector by themselves, on the scenes of the bench.

Relevance: over thresholds, how many violated rules are kept and how many (scene, rule) pairs are
dropped. Detector: how many of the objects that `look_at` words name are hit by a believed box.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from safejudge.engines.base import survey
from safejudge.evals.stats.rates import share
from safejudge.method.regions import believed, words_of
from safejudge.method.relevance import relevance_text
from safejudge.policy import Policy
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.drawing.objects import named_boxes
from safejudge.types import Box, Locate, leaves

if TYPE_CHECKING:
    from safejudge.engines.base import Detector, Encoder
    from safejudge.sketch.bench.bench import Item
    from safejudge.types import Constitution

DROPPED = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of pairs to drop in the sweep."""
HIT = 0.5
"""Least intersection over union of a box that hits."""


def relevance(
    encoder: Encoder, constitution: Constitution, items: Sequence[Item], threshold: float
) -> str:
    """Sweep the threshold; the last row is the one in use."""
    rules = constitution.rules
    cosines = survey(
        encoder, [relevance_text(rule) for rule in rules], [item.picture for item in items]
    )
    similar = np.array(cosines).reshape(len(items), len(rules))
    violated = np.array([[r.id in item.truth.violations for r in rules] for item in items])
    cuts = [float(np.nanquantile(similar, part)) for part in DROPPED]
    rows = []
    for cut in [*cuts, threshold]:
        above = ~(similar <= cut)  # without a number too, as the filter does
        rows.append([
            f"{cut:.4f}{' (in use)' if cut == threshold else ''}",
            share(int((above & violated).sum()), int(violated.sum())),
            f"{1 - above.mean():.3f}",
        ])  # fmt: skip
    return table(["threshold", "violated rules kept", "pairs dropped"], rows)


def detection(detector: Detector, constitution: Constitution, items: Sequence[Item]) -> str:
    """Look for every word of the constitution, and count the named objects that are hit."""
    looked_for = (leaf.look_at for r in constitution.rules for leaf in leaves(r.condition))
    words = tuple(dict.fromkeys(w for text in looked_for if text for w in words_of(text)))
    answers = detector.locate([Locate(item.picture, words) for item in items])
    hits: dict[str, list[bool]] = defaultdict(list)
    for item, boxes in zip(items, answers, strict=True):
        sure = believed(boxes, Policy())
        for names, drawn in named_boxes(item.scene, draw(item.scene)):
            for word in names.intersection(words):
                near = any(_iou(box, drawn.box) >= HIT for box in sure if box.word == word)
                hits[word].append(near)
    rows = [[word, share(sum(hits[word]), len(hits[word]))] for word in words if hits[word]]
    every = [hit for word_hits in hits.values() for hit in word_hits]
    return table(["word", "objects hit"], [*rows, ["all", share(sum(every), len(every))]])


def _iou(box: Box, drawn: tuple[float, float, float, float]) -> float:
    """Compare a box with a drawn one, both in whole pixels, rounded outward."""
    left, top = (math.floor(value) for value in drawn[:2])
    right, bottom = (math.ceil(value) for value in drawn[2:])
    width = min(box.right, right) - max(box.left, left)
    height = min(box.bottom, bottom) - max(box.top, top)
    overlap = max(0, width) * max(0, height)
    return overlap / (box.area + (right - left) * (bottom - top) - overlap)
