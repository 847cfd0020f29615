"""What retrievers, judges and rerankers left of queries and candidates. Four kinds of record.

- soft scores: {query_pos_scores, hard_negatives, hard_negatives_scores}, as UniME-V2 releases them;
- mining: {id, positive, delta, candidates: [{id, similarity, score}]};
- a matrix: {id, scores: a row a picture, image_of_caption: the picture of each column};
- a rerank: {id, candidates: how many, answer: the right one, or null where it is not among them,
  reply}, or `scores` of the candidates in place of a reply; as `safejudge rerank` writes both.

A score that is missing, NaN or out of its range is None. It is counted, and ranks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.evals import recorded

if TYPE_CHECKING:
    from safejudge.matching.soft_labels import Score
    from safejudge.types import JSON

WHAT = "soft scores, candidates to mine, matrix of scores or reranker's reply"
Scores = tuple["Score", ...]


@dataclass(frozen=True, slots=True)
class Soft:
    """A judge's scores of one query's positive and negatives."""

    query: str
    positive: Score
    negatives: Scores


@dataclass(frozen=True, slots=True)
class Mining:
    """The candidates of one query, from which negatives are to be mined."""

    query: str
    positive: Score
    delta: float
    names: tuple[str, ...]
    similarities: Scores
    scores: Scores


@dataclass(frozen=True, slots=True)
class Matrix:
    """Scores of every picture with every caption."""

    name: str
    scores: tuple[Scores, ...]
    """A row a picture."""
    owners: tuple[frozenset[int], ...]
    """The rows of each caption's pictures; none where nothing tells."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """One reply of a reranker."""

    query: str
    candidates: int
    answer: int | None
    """The right one, from 1; None where it is not among the candidates."""
    reply: str | None
    """None where there is none, or scores stand in its place."""
    scores: Scores | None = None
    right: frozenset[int] = frozenset()
    """All right ones, where several are; else the answer."""
    nearest_first: bool = False
    """Whether candidates are numbered by how near they are."""


Case = Soft | Mining | Matrix | Rerank


def case_of(record: JSON) -> Case | str | None:
    """Read one record; why it cannot be scored, or None if it is of no kind known here."""
    if {"query_pos_scores", "hard_negatives_scores"} <= record.keys():
        return _soft(record)
    if {"positive", "delta", "candidates"} <= record.keys():
        return _mining(record)
    if {"scores", "image_of_caption"} <= record.keys():
        return _matrix(record)
    if "candidates" in record and record.keys() & {"reply", "scores"}:
        return _rerank(record)
    return None


def share(value: Any) -> Score:
    """A score in [0, 1]; None for anything else."""
    number = recorded.number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _soft(record: JSON) -> Soft | str:
    negatives, scores = record.get("hard_negatives"), record["hard_negatives_scores"]
    if not isinstance(scores, list) or not scores:
        return "soft scores: no candidate"
    if isinstance(negatives, list) and len(negatives) != len(scores):
        return "soft scores: not as many scores as negatives"
    query = recorded.word(record.get("query_text")) or recorded.word(record.get("query_image"))
    return Soft(query, share(record["query_pos_scores"]), tuple(map(share, scores)))


def _mining(record: JSON) -> Mining | str:
    rows, delta = record["candidates"], recorded.number(record["delta"])
    if delta is None:
        return "mining: delta is no number"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return "mining: candidates are no list of {id, similarity, score}"
    names = [recorded.word(row.get("id")) for row in rows]
    if not all(names) or len(set(names)) < len(names):
        return "mining: a candidate without an id, or with another's"
    return Mining(
        recorded.word(record.get("id")),
        share(record["positive"]),
        delta,
        tuple(names),
        tuple(recorded.number(row.get("similarity")) for row in rows),
        tuple(share(row.get("score")) for row in rows),
    )


def _matrix(record: JSON) -> Matrix | str:
    rows, of = record["scores"], record["image_of_caption"]
    if not isinstance(rows, list) or not isinstance(of, list) or not rows or not of:
        return "matrix: no candidate"
    if not all(isinstance(row, list) and len(row) == len(of) for row in rows):
        return "matrix: a row that has not a score for each caption"
    numbers = [recorded.integer(value) for value in of]
    return Matrix(
        recorded.word(record.get("id")),
        tuple(tuple(recorded.number(value) for value in row) for row in rows),
        tuple(frozenset([n] if n is not None and 0 <= n < len(rows) else []) for n in numbers),
    )


def _rerank(record: JSON) -> Rerank | str:
    candidates, answer = recorded.integer(record["candidates"]), record.get("answer")
    number = recorded.integer(answer)
    if candidates is None or candidates < 0:
        return "rerank: candidates is no whole number"
    if answer is not None and (number is None or not 1 <= number <= candidates):
        return "rerank: the right answer is out of range"
    reply, scores, right = (record.get(name) for name in ("reply", "scores", "right"))
    if isinstance(scores, list) and len(scores) != candidates:
        return "rerank: not as many scores as candidates"
    numbers = {recorded.integer(n) for n in right} if isinstance(right, list) else {number}
    if not all(n is None or 1 <= n <= candidates for n in numbers):
        return "rerank: the right answer is out of range"
    return Rerank(
        recorded.word(record.get("id")),
        candidates,
        number,
        reply if isinstance(reply, str) else None,
        tuple(map(share, scores)) if isinstance(scores, list) else None,
        frozenset(n for n in numbers if n is not None),
        "nearest" in record,
    )
