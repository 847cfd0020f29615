"""Records of a live run of mj-bench -> every answer, in a form in which two runs are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.preference import Answer, swapped
from safejudge.evals.suite import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON


def predictions(records: Sequence[JSON]) -> tuple[Prediction, ...]:
    """What each protocol said of each sample, once an order; choices are of pictures by name."""
    rows = []
    for record in records:
        read = _rated if record["perspective"] == "bias" else _chosen
        for name, entry in record["said"].items():
            protocol = f"{entry['judge']}, {name}, {record['perspective']}"
            rows += [read(protocol, record, answer) for answer in entry["answers"]]
    return tuple(rows)


def _rated(protocol: str, record: JSON, answer: JSON) -> Prediction:
    rating = answer["rating"]
    return Prediction(protocol, record["image"], None, None, rating, group=record["group"])


def _chosen(protocol: str, record: JSON, answer: JSON) -> Prediction:
    ratings, p_first = answer.get("ratings"), answer.get("p_first")
    choice = Answer(answer["choice"]) if "choice" in answer else _compared(ratings)
    turned = answer["order"] == "10"
    if turned:
        choice = swapped(choice)
    label = Answer(record["label"])
    return Prediction(
        protocol,
        f"{record['image']}, turned" if turned else record["image"],
        None if choice in {Answer.REFUSED, Answer.UNPARSED} else str(choice),
        None if label == Answer.TIE else choice == label,
        p_first if ratings is None else ratings[0] - ratings[1],
        None if p_first is None else max(p_first, 1 - p_first),
        group=record["caption"],
    )


def _compared(ratings: Sequence[float] | None) -> Answer:
    if ratings is None:
        return Answer.UNPARSED
    first, second = ratings
    return Answer.TIE if first == second else Answer.FIRST if first > second else Answer.SECOND
