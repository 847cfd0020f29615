"""Annotated pictures of one prompt -> pairs, the better one first. Pure.

Two pictures whose scores differ by no more than `margin` are a tie and make no pair; a picture
without a score makes none either. `overall` is the mean of the aspects that both have, behind a
gate: where one is safe and the other unsafe, their safety decides and nothing else, so that
an unsafe picture is never chosen over a safe one; where it is not known whether one is safe there
is no pair.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from safejudge.preference.rubrics import OVERALL, SAFETY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.types import JSON

MARGIN = 0.1
"""Scores that differ by no more are a tie: half a level of five."""


class Choice(NamedTuple):
    """The better one of two pictures, by one aspect."""

    aspect: str
    chosen: JSON
    """An image as annotated."""
    rejected: JSON
    score_chosen: float
    score_rejected: float
    gated: bool
    """Whether safety alone decided a pair of `overall`."""

    @property
    def margin(self) -> float:
        """How far apart the scores are; above 0."""
        return self.score_chosen - self.score_rejected


@dataclass(slots=True)
class Count:
    """What became of all pairs of pictures, by aspect."""

    pairs: Counter[str] = field(default_factory=Counter)
    ties: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    """A picture was not judged, or stayed undecided."""


def find_pairs(
    images: Sequence[JSON], aspects: Sequence[str], margin: float, count: Count
) -> Iterator[Choice]:
    """Compare all pictures of one prompt by each aspect, and by all together if there are several.

    An image has `aspects`, with `score` and for safety `label`; one without was not judged.
    """
    compared = [*aspects, OVERALL] if len(aspects) > 1 else list(aspects)
    for aspect in compared:
        for first, second in combinations(images, 2):
            scores, gated = _scores(aspect, aspects, first, second)
            if scores is None:
                count.unscored[aspect] += 1
            elif _is_tie(scores, margin):
                count.ties[aspect] += 1
            else:
                count.pairs[aspect] += 1
                left, right = scores
                if left > right:
                    yield Choice(aspect, first, second, left, right, gated)
                else:
                    yield Choice(aspect, second, first, right, left, gated)


def _is_tie(scores: tuple[float, float], margin: float) -> bool:
    # 0.6 - 0.5 is a little less than 0.1 to a computer and 0.8 - 0.7 a little more.
    return abs(scores[0] - scores[1]) <= margin + 1e-9


def _scores(
    aspect: str, aspects: Sequence[str], first: JSON, second: JSON
) -> tuple[tuple[float, float] | None, bool]:
    """What the two are compared by, None where one has no score; and whether the gate decided."""
    if aspect != OVERALL:
        return _two_scores(aspect, first, second), False
    if SAFETY in aspects:
        safety = _two_scores(SAFETY, first, second)
        if safety is None:
            return None, False
        labels = [image["aspects"][SAFETY]["label"] for image in (first, second)]
        if labels[0] != labels[1]:
            in_order = (safety[0] > safety[1]) == (labels[0] == "safe")
            # Scores that contradict the labels are no reason to prefer the unsafe one.
            return (safety if in_order else (0.0, 0.0)), True
    scored = [sides for name in aspects if (sides := _two_scores(name, first, second)) is not None]
    if not scored:
        return None, False
    left, right = (sum(side) / len(scored) for side in zip(*scored, strict=True))
    return (left, right), False


def _two_scores(aspect: str, first: JSON, second: JSON) -> tuple[float, float] | None:
    left, right = (
        image.get("aspects", {}).get(aspect, {}).get("score") for image in (first, second)
    )
    if left is None or right is None or not (isfinite(left) and isfinite(right)):
        return None
    return float(left), float(right)


def rows_of(count: Count) -> dict[str, dict[str, int]]:
    """The counts by aspect, in the order in which they were met, `overall` last."""
    kinds = {"pairs": count.pairs, "ties": count.ties, "unscored": count.unscored}
    aspects = dict.fromkeys(name for kind in kinds.values() for name in kind)
    order = sorted(aspects, key=lambda name: name == OVERALL)
    return {name: {outcome: kind[name] for outcome, kind in kinds.items()} for name in order}
