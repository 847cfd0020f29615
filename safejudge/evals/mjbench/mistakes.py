"""Wrong answers of a live run of MJ-Bench: which there are, which a page shows, and their pictures.

Takes records; asks no model. Data comes in Parquet files as often as in folders, so a small copy of
every picture that was judged wrongly is kept beside the records. It is named by the digest of its
pixels alone: no name of the data ever becomes a path.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safejudge.evals.stats.preference import Answer, Pair, decide
from safejudge.files.atomic import replacing, writing
from safejudge.show.figures import Mistake
from safejudge.show.page.thumbnail import small_jpeg

if TYPE_CHECKING:
    from safejudge.types import JSON, Picture

FOLDER = "pictures"
"""Where small pictures lie in a run's folder."""
MISTAKES = 12
"""Mistakes that are shown."""
_DIGEST = re.compile("[0-9a-f]{64}")
_LETTERS = 240
"""Of a caption or a reply."""
_WORDS = {
    Answer.FIRST: "the first picture",
    Answer.SECOND: "the second picture",
    Answer.TIE: "a tie",
    Answer.REFUSED: "refused",
    Answer.UNPARSED: "not understood",
}


class _Error(NamedTuple):
    """One answer that is contrary to the label."""

    protocol: tuple[str, str]
    """Judge and name."""
    record: JSON
    answer: JSON
    pair: Pair
    """In the order shown."""
    margin: float
    """How far it lies on the wrong side; what has no number comes last."""


def pair_of(record: JSON, answer: JSON) -> Pair:
    """Read one answer of a record as recorded outputs have it, in the order that was shown."""
    pair = Pair(
        subset=record["subset"] or "all pairs",
        label=Answer(record["label"]),
        choice=None,
        caption=record["caption"],
        images=(record["pictures"][0], record["pictures"][1]),
    )
    if answer["order"] == "10":
        pair = pair.swapped()
    choice, ratings = answer.get("choice"), answer.get("ratings")
    if choice is None and ratings is None:
        choice = Answer.REFUSED if answer.get("refused") else Answer.UNPARSED
    return replace(
        pair,
        choice=None if choice is None else Answer(choice),
        ratings=None if ratings is None else (ratings[0], ratings[1]),
    )


# --- pictures -----------------------------------------------------------------------------------


def keep(out: Path, pictures: Iterable[Picture]) -> None:
    """Write a small copy of each picture that has none yet. Raises `OutputError`."""
    folder = out / FOLDER
    with writing(folder):
        for picture in pictures:
            path = folder / f"{picture.digest}.jpg"
            if not path.exists():
                folder.mkdir(exist_ok=True)
                with replacing(path) as new:
                    new.write_bytes(small_jpeg(picture.pixels))


def is_mistaken(record: JSON) -> bool:
    """Whether any protocol got a sample wrong."""
    return next(_errors(record), None) is not None


# --- mistakes -----------------------------------------------------------------------------------


def mistakes(records: Iterable[JSON]) -> tuple[Mistake, ...]:
    """Wrong choices: the worst of each protocol and perspective first, no sample twice."""
    queues: dict[tuple[str, tuple[str, str]], list[_Error]] = defaultdict(list)
    for record in records:
        for error in _errors(record):
            queues[record["perspective"], error.protocol].append(error)
    for queue in queues.values():
        queue.sort(key=lambda error: -error.margin)
        queue.reverse()  # taken from the end: the largest margin, then the first in the data
    chosen: dict[str, Mistake] = {}
    counts: Counter[object] = Counter()
    while len(chosen) < MISTAKES and (waiting := [key for key, queue in queues.items() if queue]):
        perspective, protocol = min(waiting, key=lambda key: counts[key[0]] + counts[key[1]])
        error = queues[perspective, protocol].pop()
        if error.record["image"] not in chosen:
            chosen[error.record["image"]] = _mistake(error)
            counts.update((perspective, protocol))
    return tuple(chosen.values())


def _errors(record: JSON) -> Iterator[_Error]:
    """Every answer that chose the worse picture; none of bias, a tie, or what was not answered."""
    if record["label"] not in {Answer.FIRST, Answer.SECOND}:
        return
    for name, entry in record["said"].items():
        for answer in entry["answers"]:
            pair = pair_of(record, answer)
            (decision,) = decide([pair])
            if decision in {Answer.FIRST, Answer.SECOND} and decision != pair.label:
                margin = _margin(answer, int(decision))
                yield _Error((entry["judge"], name), record, answer, pair, margin)


def _margin(answer: JSON, chosen: int) -> float:
    if (p := answer.get("p_first")) is not None:
        return float(1 - p if chosen else p)
    if (ratings := answer.get("ratings")) is not None:
        return float(ratings[chosen] - ratings[1 - chosen])
    return -math.inf


def _mistake(error: _Error) -> Mistake:
    record = error.record
    digests = record.get("digests", ())
    valid = len(digests) == 2 and all(_DIGEST.fullmatch(str(digest)) for digest in digests)
    part = ", ".join(filter(None, (record["perspective"], record["subset"])))
    caption = f" Asked for: {_cut(record['caption'])}" if record["caption"] else ""
    order = _order_note(error.answer)
    return Mistake(
        title=record["image"],
        images=tuple(f"{digest}.jpg" for digest in digests) if valid else (),
        answer=f"{_words(error.pair, error.answer)}, by {error.protocol[1]}{order}",
        target=_WORDS[Answer(record["label"])],
        reason=f"{part}.{caption}",
        trace=tuple(_lines(record)),
    )


def _lines(record: JSON) -> Iterator[str]:
    """What each protocol said, about the pictures in the order in which the page has them."""
    several = len({entry["judge"] for entry in record["said"].values()}) > 1
    for name, entry in record["said"].items():
        judge = f"{entry['judge']}, " if several else ""
        for answer in entry["answers"]:
            replies = " / ".join(map(str, answer.get("replies", ())))
            quote = f": {_cut(replies)}" if replies else ""
            words = _words(pair_of(record, answer), answer)
            yield f"{judge}{name}{_order_note(answer)}: {words}{quote}"


def _order_note(answer: JSON) -> str:
    return ", shown the other way round" if answer["order"] == "10" else ""


def _words(pair: Pair, answer: JSON) -> str:
    """What was said, with its numbers, first picture first."""
    turned = answer["order"] == "10"
    (decision,) = decide([pair.swapped() if turned else pair])
    if (p := answer.get("p_first")) is not None:
        return f"{_WORDS[decision]} (probability of the first {1 - p if turned else p:.2f})"
    if (ratings := answer.get("ratings")) is not None:
        first, second = reversed(ratings) if turned else ratings
        return f"{_WORDS[decision]} (rated {first:.3g} and {second:.3g})"
    return _WORDS[decision]


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
