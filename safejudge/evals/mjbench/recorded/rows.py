"""One row of MJ-Bench's recorded outputs -> a rating or a pair. Pure.

A stored value counts before what is read out of the text beside it. What is missing or not
understood stays so: `None`, `refused`, `unparsed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.names import printable
from safejudge.evals.replies import (
    FIVE,
    TEN,
    lenient_rating,
    number,
    refuses,
    stored_rating,
    strict_choice,
    strict_rating,
)
from safejudge.evals.stats.fairness import Rated, State
from safejudge.evals.stats.preference import Answer, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON


def columns(
    origin: names.Origin, rows: Sequence[JSON], lenient: bool
) -> Iterator[tuple[str, str, list[Rated]]]:
    """Every judge in a bias file, with its scale and rows; a row that was not asked has none."""
    judge_column = max(
        (k for row in rows for k in row if k not in names.BIAS_FIELDS and origin.names(k)),
        key=len,
        default=None,
    )
    if judge_column is not None:
        scale = origin.scale or "unknown"
        yield (
            printable(judge_column),
            scale,
            [_stored(row, judge_column, scale) for row in rows if judge_column in row],
        )
    for column in dict.fromkeys(k for row in rows for k in row):
        values = [row[column] for row in rows if column in row]
        if column not in {judge_column, *names.BIAS_FIELDS} and _are_scores(values):
            yield printable(column), names.SCORE, [
                _rated(row, number(row[column]), None) for row in rows if column in row
            ]  # fmt: skip
    answered = [row for row in rows if "score" in row or _text(row)]
    if answered:
        scale = origin.scale or "unknown"
        yield origin.judge, scale, [_read(row, scale, lenient) for row in answered]


def _are_scores(values: Sequence[Any]) -> bool:
    """Whether a column that no file name explains is a score model's: fractions, not counters."""
    return any(isinstance(v, float) for v in values) and all(
        v is None or (isinstance(v, float | int | str) and not isinstance(v, bool)) for v in values
    )


def _stored(row: JSON, column: str, scale: str) -> Rated:
    rating = stored_rating(row[column], _words(scale))
    return _rated(row, rating, "refused" if refuses(row.get("analysis")) else None)


def _read(row: JSON, scale: str, lenient: bool) -> Rated:
    """A stored rating, or else one that is read out of the text."""
    text = _text(row)
    rating = stored_rating(row.get("score"), _words(scale))
    if rating is not None:
        return _rated(row, rating, None)
    if lenient:
        if refuses(text):
            return _rated(row, None, "refused")
        return _rated(row, lenient_rating(text, words=scale.startswith("words")), None)
    rating = strict_rating(text, _words(scale))
    high = names.largest(scale)
    if rating is not None and (high is None or 0 <= rating <= high):
        return _rated(row, rating, None)
    return _rated(row, None, "refused" if refuses(text) else "unparsed")


def _rated(row: JSON, rating: float | None, state: State | None) -> Rated:
    state = state or ("unparsed" if rating is None else "rated")
    flags = frozenset(a for a in names.ATTRIBUTES if row.get(a) is True)
    attributes = names.attributes(name_in(row.get("demographic")))
    return Rated(name_in(row["occupation"]), rating, state, attributes, flags)


def pair_of(origin: names.Origin, row: JSON) -> Pair | None:
    """Read a pair; None without a label that says which image is better."""
    label = _label(row)
    if label is None:
        return None
    images = names.images_of(row)
    text = _text(row)
    words = _words(origin.scale or "")
    ratings = tuple(stored_rating(row.get(f"score_{i}"), words) for i in (0, 1))
    if text and None in ratings:
        ratings = tuple(strict_rating(text, words, i) for i in (0, 1))
    first, second = ratings
    return Pair(
        subset=names.subset_of(origin, row, images),
        label=label,
        choice=_choice(row, text),
        ratings=None if first is None or second is None else (first, second),
        caption=name_in(row.get("caption")),
        images=images,
    )


def has_answer(row: JSON) -> bool:
    """Whether a row holds anything that a judge said of two images."""
    return ("score_0" in row and "score_1" in row) or "vlm_pred" in row or bool(_text(row))


def _label(row: JSON) -> Answer | None:
    """`label` is the index of the better image; `label_0` says how much better the first is."""
    if "label" in row:
        by_value = {0.0: Answer.FIRST, 1.0: Answer.SECOND, 0.5: Answer.TIE}
        value = row["label"]
    else:
        by_value = {1.0: Answer.FIRST, 0.0: Answer.SECOND, 0.5: Answer.TIE}
        value = row.get("label_0")
    if isinstance(value, str) and value.strip().lower() == "tie":
        return Answer.TIE
    index = number(value)
    return None if index is None else by_value.get(index)


def _choice(row: JSON, text: str) -> Answer | None:
    """What the judge chose; None if it was only asked for ratings."""
    stored = row.get("vlm_pred")
    if number(row.get("pred")) == -1:  # how the closed judges' runs mark that there was no answer
        return Answer.REFUSED
    if (index := number(stored)) in {0.0, 1.0}:
        return Answer.SECOND if index else Answer.FIRST
    if isinstance(stored, str) and stored.strip().lower() == "tie":
        return Answer.TIE
    return _written_choice(text, stored) if text or "vlm_pred" in row else None


def _written_choice(text: str, stored: Any) -> Answer:
    """What a text chooses; an image only where nothing else was stored beside it."""
    choice = strict_choice(text)
    if choice == 0:
        return Answer.TIE
    if choice is not None and stored is None:
        return Answer.FIRST if choice == 1 else Answer.SECOND
    return Answer.REFUSED if refuses(text) else Answer.UNPARSED


# --- fields -------------------------------------------------------------------------------------


def _text(row: JSON) -> str:
    values = (row.get(k) for k in ("output", "vlm_output"))
    return next((v for v in values if isinstance(v, str)), "")


def name_in(value: Any) -> str:
    """A text as one printable line; empty for anything else."""
    return printable(value) if isinstance(value, str) else ""


def _words(scale: str) -> Mapping[str, int]:
    """The words of a scale; none where it is one of numbers, in which "good" is no rating."""
    if scale.startswith("1-"):
        return {}
    return TEN if scale.startswith("words 10") else FIVE
