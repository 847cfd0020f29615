"""Records of a live run of mj-bench -> every answer, in a form in which two runs are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.preference import Answer, other
from safejudge.evals.suite import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON


def every_answer(found: Sequence[JSON]) -> tuple[Prediction, ...]:
    """What each way said of each item, once for each order; choices are of the pictures by name."""
    made = []
    for record in found:
        for name, way in record["said"].items():
            head = f"{way['judge']}, {name}, {record['perspective']}"
            rated = record["perspective"] == "bias"
            made += [
                _rated(head, record, answer) if rated else _chosen(head, record, answer)
                for answer in way["answers"]
            ]
    return tuple(made)


def _rated(way: str, record: JSON, answer: JSON) -> Prediction:
    return Prediction(way, record["image"], None, None, answer["rating"], group=record["group"])


def _chosen(way: str, record: JSON, answer: JSON) -> Prediction:
    ratings, p_first = answer.get("ratings"), answer.get("p_first")
    choice = Answer(answer["choice"]) if "choice" in answer else _compared(ratings)
    turned = answer["order"] == "10"
    if turned:
        choice = other(choice)
    label = Answer(record["label"])
    score = p_first if ratings is None else ratings[0] - ratings[1]
    there = choice not in {Answer.REFUSED, Answer.UNPARSED}
    return Prediction(
        way,
        f"{record['image']}, turned" if turned else record["image"],
        str(choice) if there else None,
        None if label == Answer.TIE else choice == label,
        score,
        None if p_first is None else max(p_first, 1 - p_first),
        group=record["caption"],
    )


def _compared(ratings: Sequence[float] | None) -> Answer:
    if ratings is None:
        return Answer.UNPARSED
    first, second = ratings
    return Answer.TIE if first == second else Answer.FIRST if first > second else Answer.SECOND
