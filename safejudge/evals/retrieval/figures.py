"""What queries and their candidates come to. Pure.

The share of a figure is of all queries, unless its name says otherwise: one whose scores or reply
cannot be read is not right, and so is one whose right candidate is not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safejudge.evals.stats.intervals import Estimate, Floats, share, share_of
from safejudge.evals.stats.retrieval import CUTS, NO_CANDIDATE, Rank, rank_of, recall_at
from safejudge.matching import mining
from safejudge.matching.replies import NO_ANSWER, Choice, read_choice, read_published
from safejudge.matching.soft_labels import soft_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.evals.retrieval.records import Matrix, Mining, Rerank, Soft
    from safejudge.matching.mining import Mined
    from safejudge.matching.soft_labels import Score

Estimates = dict[str, Estimate]
WAYS = {"image_to_text": "pictures to texts", "text_to_image": "texts to pictures"}
"""What is looked for by what."""


def _read(scores: Iterable[Score]) -> list[float]:
    return [score for score in scores if score is not None]


# --- soft scores ----------------------------------------------------------------------------------


def is_read(case: Soft) -> bool:
    """Whether every score of a query was read."""
    return case.positive is not None and None not in case.negatives


def on_top(case: Soft) -> bool:
    """Whether the positive scores above every negative; equal is not above."""
    return is_read(case) and _read([case.positive])[0] > max(_read(case.negatives))


def above_threshold(case: Soft) -> bool:
    """Whether a negative scores so near the positive that mining would have left it out."""
    positive, places = _read([case.positive]), range(len(case.negatives))
    known = [place for place in places if case.negatives[place] is not None]
    return bool(positive) and mining.kept(known, case.negatives, positive[0]) != known


def of_soft(cases: Sequence[Soft]) -> Estimates:
    """Of one judge's soft scores."""
    whole = [case for case in cases if is_read(case)]
    positives = _read(case.positive for case in cases)
    negatives = [(s, row) for row, case in enumerate(cases) for s in _read(case.negatives)]
    scores, rows = [score for score, _ in negatives], [row for _, row in negatives]
    labels = [soft_labels(_read([case.positive, *case.negatives]))[0] for case in whole]
    return {
        "soft.positive_on_top": share_of([on_top(case) for case in cases]),
        "soft.negative_above_threshold": share_of([above_threshold(case) for case in cases]),
        "soft.unread": share(len(cases) - len(whole), len(cases)),
        "soft.positives_at_least_half": share_of([score >= 0.5 for score in positives]),
        "soft.negatives_at_least_half": share_of([score >= 0.5 for score in scores], rows),
        "soft.mean_positive": share_of(positives),
        "soft.mean_negative": share_of(scores, rows),
        "soft.mean_soft_label_of_the_positive": share_of(labels),
        **_spread(positives + scores),
    }


def _spread(scores: Sequence[float]) -> Estimates:
    if not scores:
        return {}
    n, distinct = len(scores), sorted(set(scores))
    values = {"smallest": distinct[0], "largest": distinct[-1], "distinct": float(len(distinct))}
    found = grid_of(distinct)
    on_plain = share(int((_distances(distinct, 1.0) < _ON_GRID).sum()), len(distinct))
    return {
        **{f"soft.{name}": Estimate(value, n) for name, value in values.items()},
        "soft.on_a_plain_grid": on_plain,
        **(
            {}
            if found is None
            else {
                "soft.grid_step": Estimate(SPACING / found.penalty, len(distinct)),
                "soft.grid_penalty": Estimate(found.penalty, len(distinct)),
                "soft.grid_largest_distance_in_steps": Estimate(found.largest, len(distinct)),
            }
        ),
    }


SPACING = 0.125
"""Of bfloat16 numbers between 16 and 32, where logits of such models lie."""
_ON_GRID = 1e-3
"""Steps from the grid, up to which a log-odds lies on it."""
_ENOUGH = 10
"""Fewer scores than this lie on some grid by chance."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid on which all log-odds lie."""

    penalty: float
    """What the logits were divided by: a repetition penalty; 1 is none."""
    largest: float
    """How far the farthest lies from it, in steps."""


def grid_of(scores: Sequence[float]) -> Grid | None:
    """Find the repetition penalty that was on while bfloat16 logits were read.

    Then every log-odds is a whole multiple of 0.125 / penalty. None where nothing fits.
    """
    inside = [score for score in scores if 0 < score < 1]
    if len(inside) < _ENOUGH:
        return None
    found = [
        Grid(penalty / 100, float(_distances(inside, penalty / 100).max()))
        for penalty in range(100, 151)
    ]
    best = min(found, key=lambda grid: grid.largest)
    return best if best.largest < _ON_GRID else None


def _distances(scores: Sequence[float], penalty: float) -> Floats:
    inside = np.array([score for score in scores if 0 < score < 1])
    steps = np.log(inside / (1 - inside)) / (SPACING / penalty)
    distances: Floats = np.abs(steps - np.round(steps))
    return distances


# --- mining ---------------------------------------------------------------------------------------


def mined(case: Mining) -> Mined:
    """Mine the negatives of one query, ours: where none stays there are none."""
    return mining.mine(case.similarities, case.scores, case.positive, case.delta)


def of_mining(cases: Sequence[Mining]) -> Estimates:
    """Of the queries of one file."""
    found = [mined(case) for case in cases]
    near = sum(one.near for one in found)
    return {
        "mining.none": share(sum(not one.picked for one in found), len(found)),
        "mining.padded": share(sum(one.padded > 0 for one in found), len(found)),
        "mining.unread": share(sum(one.unread > 0 for one in found), len(found)),
        "mining.kept_of_near": Estimate(
            sum(one.kept for one in found) / near if near else math.nan, near
        ),
    }


# --- matrices -------------------------------------------------------------------------------------


def ranks(matrix: Matrix) -> dict[str, list[Rank]]:
    """The rank of the first right candidate of every picture, and of every caption."""
    pictures, captions = range(len(matrix.scores)), range(len(matrix.owners))
    return {
        "image_to_text": [
            rank_of(matrix.scores[row], [row in of for of in matrix.owners]) for row in pictures
        ],
        "text_to_image": [
            rank_of(
                [matrix.scores[row][column] for row in pictures],
                [row in matrix.owners[column] for row in pictures],
            )
            for column in captions
        ],
    }


def of_matrix(matrix: Matrix) -> Estimates:
    """Recall both ways, by the three ways to count ties."""
    results: Estimates = {}
    for way, found in ranks(matrix).items():
        groups = matrix.owners if way == "text_to_image" else None
        for k in CUTS:
            for ties, estimate in recall_at(found, k, groups).items():
                results[f"{way}.recall_at_{k}.{ties}"] = estimate
        lost = sum(bool(rank.problem) for rank in found)
        results[f"{way}.without_a_rank"] = share(lost, len(found))
    return results


# --- reranks --------------------------------------------------------------------------------------

TIE = "a tie"


def chosen(case: Rerank) -> Choice:
    """What a reply names, or which candidate alone scores highest."""
    if case.candidates == 0:
        return Choice(None, NO_CANDIDATE)
    if case.scores is None:
        return read_choice(case.reply, case.candidates)
    if not (read := _read(case.scores)):
        return Choice(None, NO_ANSWER)
    best = [n for n, score in enumerate(case.scores, 1) if score == max(read)]
    return Choice(best[0]) if len(best) == 1 else Choice(None, TIE)


def is_right(case: Rerank) -> bool:
    """Whether what was chosen is right."""
    return chosen(case).number in case.right


def of_reranks(cases: Sequence[Rerank]) -> Estimates:
    """Of one reranker's replies or scores."""
    right = [is_right(case) for case in cases]
    among = [bool(case.right) for case in cases]
    results = {
        "rerank.right": share_of(right),
        "rerank.unread": share_of([chosen(case).number is None for case in cases]),
        "rerank.answer_among": share_of(among),
        "rerank.right_where_among": share_of(right, counts=among),
    }
    if all(case.scores is None for case in cases):
        published = [read_published(case.reply) in case.right for case in cases]
        results["rerank.published_right"] = share_of(published)
    if all(case.nearest_first for case in cases):
        results["rerank.nearest_right"] = share_of([1 in case.right for case in cases])
    return results
