"""MLLM-as-a-Judge (arXiv 2402.04788): its records and judges' answers to them, as files have them.

Which file holds what is told by its fields, never by its name. People's answers and a judge's may
lie in different files: they are brought together by the item's id, where everything else that
both say of the item is equal.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals import recorded
from safejudge.evals.replies import read_choice, read_ranking, read_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.types import JSON

Kind = Literal["score", "pair", "batch"]
"""One answer scored from 1 to 5; the better of two, or C for a tie; a ranking of several."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One item of the benchmark, as far as a record tells."""

    kind: Kind
    """Which of the three tasks."""
    key: str
    """Which item of that task."""
    image: str = ""
    """File name of the picture, without its folder."""
    task: str = ""
    """The data set that the picture comes from."""
    authors: tuple[str, ...] = ()
    """Who wrote the answers, in the order shown."""
    answers: tuple[str, ...] = ()
    """What they wrote; empty where a record leaves it out."""
    human: str = ""
    """What people said: "4", "B", "CDAB"; empty where a record does not tell."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one judge said to one item."""

    asked: Asked
    """The item, with what people said."""
    judge: str
    """Its name."""
    file: str
    """Where it stood."""
    said: str | None
    """As in `Asked.human`; None where it could not be read."""
    logprobs: tuple[float | None, ...] | None = None
    """Of the tokens "1" to "5", None for one that was not returned; None where none are kept."""
    letters: tuple[float, ...] | None = None
    """How probable A, B and C were for a pair, adding up to 1; None where nothing tells."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    asked: tuple[Asked, ...]
    """Every item once, with people's answer where one was found."""
    outputs: tuple[Output, ...]
    """Every answer of a judge to an item that people answered."""
    left_out: dict[str, int]
    """Why records were left out, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    asked: list[Asked] = []
    outputs: list[Output] = []
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        strange = 0
        for record in lines.records:
            item = item_of(record)
            if item is None:
                strange += 1
                continue
            asked.append(item)
            outputs += _outputs(record, item, lines.file)
        if strange:
            unread.append(
                f"{lines.file}: {strange} of {len(lines.records)} records are neither a score, a "
                "pair nor a batch"
            )
    index: dict[tuple[Kind, str], list[Asked]] = {}
    for item in asked:
        index.setdefault((item.kind, item.key), []).append(item)
    joined = {item: _joined(item, index[item.kind, item.key]) for item in asked}
    full = [dataclasses.replace(one, asked=joined[one.asked]) for one in outputs]
    known = [one for one in full if one.asked.human]
    left_out = {"people's answer is missing or unreadable": len(full) - len(known)}
    items = tuple(dict.fromkeys(joined.values()))
    return Recorded(items, tuple(known), {k: n for k, n in left_out.items() if n}, tuple(unread))


def _joined(item: Asked, others: Sequence[Asked]) -> Asked:
    """Fill what a record does not tell from others of the same item, where they are of one mind."""
    mine = _told(item)
    # Files number their items anew, and blown-up answers keep the number of the plain ones:
    # whatever both records tell has to be equal.
    same = [
        theirs
        for theirs in dict.fromkeys(map(_told, others))
        if all(a == b or not a or not b for a, b in zip(mine, theirs, strict=True))
    ]
    found = {}
    for place, name in enumerate(_TOLD):
        values = {theirs[place] for theirs in same if theirs[place]}
        if not mine[place] and len(values) == 1:
            found[name] = values.pop()
    return dataclasses.replace(item, **found) if found else item


_TOLD = ("image", "task", "authors", "answers", "human")
_told: Callable[[Asked], tuple[Any, ...]] = operator.attrgetter(*_TOLD)


# --- one record ---------------------------------------------------------------------------------


def item_of(record: JSON) -> Asked | None:
    """The item that a record is about; None if it is none of this benchmark."""
    image = PurePosixPath(recorded.word(record.get("image_path"))).name
    task = recorded.word(record.get("original_dataset") or record.get("orig_dataset"))
    human = record.get("human", record.get("human_answer", record.get("gt_score")))
    number = recorded.word(record.get("id"))
    if "sample_id" in record:  # counts the scores from 0, as `score_id` does
        key = recorded.word(record["sample_id"])
        item = Asked("score", key, image, task, human=read_score(human) or "")
    elif "answer1" in record and "answer2" in record and "answer0" not in record:
        sides = [record["answer1"], record["answer2"]]
        key = recorded.word(record.get("pair_id"))
        item = Asked("pair", key, image, task, *_written(sides), read_choice(human) or "")
        item = item if key else dataclasses.replace(item, key="/".join([number, *item.authors]))
    elif isinstance(answers := record.get("answers"), list):
        ranking = read_ranking(human, len(answers)) or ""
        item = Asked("batch", number or image, image, task, *_written(answers), ranking)
    elif "answer" in record and ("human" in record or "score_id" in record or "result" in record):
        author = recorded.word(record.get("name"))
        key = recorded.word(record.get("score_id")) or (f"{number}/{author}" if number else "")
        written = _written([{"name": author, "answer": record["answer"]}])
        item = Asked("score", key, image, task, *written, read_score(human) or "")
    else:
        return None
    return item if item.key else None


def _written(sides: Sequence[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Authors and texts; nothing where a record leaves one of them out."""
    told = [side if isinstance(side, dict) else {} for side in sides]
    authors = tuple(recorded.word(side.get("name")) for side in told)
    answers = tuple(recorded.word(side.get("answer")) for side in told)
    return authors if all(authors) else (), answers if all(answers) else ()


def _outputs(record: JSON, item: Asked, file: str) -> Iterator[Output]:
    """What judges said in one record: in a column beside people's score, or in a part of its own.

    A part tells what its authors read from the judge, the judge's own words, or both.
    """
    if "parsed_score" in record:
        said = read_score(record["parsed_score"])
        yield Output(item, _file_judge(file), file, said, _logprobs(record))
    parts = [record.get("result"), record.get("evaluator")]
    told = [part for one in parts for part in (one if isinstance(one, list) else [one])]
    for part in told:
        if not isinstance(part, dict):
            continue
        heard = [part[name] for name in ("judge", "judge_evaluator") if name in part]
        words = [
            part[name] for name in ("judge_tail", "analysis") if isinstance(part.get(name), str)
        ]
        if heard or words:  # an evaluator without either is only named
            readings = [_said(item, one) for one in (*heard, *words)]
            said = next((one for one in readings if one is not None), None)
            yield Output(item, recorded.word(part.get("name")) or _file_judge(file), file, said)


def _file_judge(file: str) -> str:
    """A judge that no record names goes by its file; `score_NAME` and `NAME` are one judge."""
    path = PurePosixPath(file).with_suffix("")
    return path.with_name(path.name.removeprefix("score_") or path.name).as_posix()


def _logprobs(record: JSON) -> tuple[float | None, ...] | None:
    for level_1 in (name for name in record if name.endswith("lp1")):
        return recorded.logprobs(record, [f"{level_1[:-1]}{level}" for level in range(1, 6)])
    return None


# --- what a judge wrote -> what it says ---------------------------------------------------------


def _said(item: Asked, text: Any) -> str | None:
    if item.kind == "batch":
        return read_ranking(text, max(len(item.authors), len(item.answers)) or 4)
    return read_score(text) if item.kind == "score" else read_choice(text)
