"""MLLM-as-a-Judge (arXiv 2402.04788): its records and judges' answers to them, as files have them.

Which file holds what is told by its fields, never by its name. People's answers and a judge's may
lie in different files: they are brought together by the sample's id, where everything else that
both say of the sample is equal.
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
class Sample:
    """One sample of the benchmark, as far as a record tells."""

    kind: Kind
    """Which of the three tasks."""
    key: str
    """Which sample of that task."""
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
    """What one judge said to one sample."""

    sample: Sample
    """With what people said."""
    judge: str
    """Its name."""
    file: str
    """Where it stood."""
    answer: str | None
    """As in `Sample.human`; None where it could not be read."""
    logprobs: tuple[float | None, ...] | None = None
    """Of the tokens "1" to "5", None for one that was not returned; None where none are kept."""
    letters: tuple[float, ...] | None = None
    """How probable A, B and C were for a pair, adding up to 1; None where nothing tells."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    samples: tuple[Sample, ...]
    """Every sample once, with people's answer where one was found."""
    outputs: tuple[Output, ...]
    """Every answer of a judge to a sample that people answered."""
    left_out: dict[str, int]
    """Why records were left out, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    samples: list[Sample] = []
    outputs: list[Output] = []
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        foreign = 0
        for record in lines.records:
            sample = sample_of(record)
            if sample is None:
                foreign += 1
                continue
            samples.append(sample)
            outputs += _outputs(record, sample, lines.file)
        if foreign:
            unread.append(
                f"{lines.file}: {foreign} of {len(lines.records)} records are neither a score, a "
                "pair nor a batch"
            )
    index: dict[tuple[Kind, str], list[Sample]] = {}
    for sample in samples:
        index.setdefault((sample.kind, sample.key), []).append(sample)
    joined = {sample: _joined(sample, index[sample.kind, sample.key]) for sample in samples}
    full = [dataclasses.replace(output, sample=joined[output.sample]) for output in outputs]
    answered = tuple(output for output in full if output.sample.human)
    left_out = {"people's answer is missing or unreadable": len(full) - len(answered)}
    left_out = {reason: n for reason, n in left_out.items() if n}
    return Recorded(tuple(dict.fromkeys(joined.values())), answered, left_out, tuple(unread))


def _joined(sample: Sample, namesakes: Sequence[Sample]) -> Sample:
    """Fill what a record does not tell from others of the same sample, where they agree."""
    mine = _facts(sample)
    # Files number their samples anew, and blown-up answers keep the number of the plain ones:
    # whatever both records tell has to be equal.
    same = [
        theirs
        for theirs in dict.fromkeys(map(_facts, namesakes))
        if all(a == b or not a or not b for a, b in zip(mine, theirs, strict=True))
    ]
    filled = {}
    for column, name in enumerate(_FACTS):
        values = {theirs[column] for theirs in same if theirs[column]}
        if not mine[column] and len(values) == 1:
            filled[name] = values.pop()
    return dataclasses.replace(sample, **filled) if filled else sample


_FACTS = ("image", "task", "authors", "answers", "human")
_facts: Callable[[Sample], tuple[Any, ...]] = operator.attrgetter(*_FACTS)


# --- one record ---------------------------------------------------------------------------------


def sample_of(record: JSON) -> Sample | None:
    """The sample that a record is about; None if it is none of this benchmark."""
    image = PurePosixPath(recorded.word(record.get("image_path"))).name
    task = recorded.word(record.get("original_dataset") or record.get("orig_dataset"))
    human = record.get("human", record.get("human_answer", record.get("gt_score")))
    number = recorded.word(record.get("id"))
    if "sample_id" in record:  # counts the scores from 0, as `score_id` does
        key = recorded.word(record["sample_id"])
        sample = Sample("score", key, image, task, human=read_score(human) or "")
    elif "answer1" in record and "answer2" in record and "answer0" not in record:
        sides = [record["answer1"], record["answer2"]]
        key = recorded.word(record.get("pair_id"))
        sample = Sample("pair", key, image, task, *_written(sides), read_choice(human) or "")
        if not key:
            sample = dataclasses.replace(sample, key="/".join([number, *sample.authors]))
    elif isinstance(answers := record.get("answers"), list):
        order = read_ranking(human, len(answers)) or ""
        sample = Sample("batch", number or image, image, task, *_written(answers), order)
    elif "answer" in record and ("human" in record or "score_id" in record or "result" in record):
        author = recorded.word(record.get("name"))
        key = recorded.word(record.get("score_id")) or (f"{number}/{author}" if number else "")
        written = _written([{"name": author, "answer": record["answer"]}])
        sample = Sample("score", key, image, task, *written, read_score(human) or "")
    else:
        return None
    return sample if sample.key else None


def _written(sides: Sequence[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Authors and texts; nothing where a record leaves one of them out."""
    entries = [side if isinstance(side, dict) else {} for side in sides]
    authors = tuple(recorded.word(entry.get("name")) for entry in entries)
    answers = tuple(recorded.word(entry.get("answer")) for entry in entries)
    return authors if all(authors) else (), answers if all(answers) else ()


def _outputs(record: JSON, sample: Sample, file: str) -> Iterator[Output]:
    """What judges said in one record: in a column beside people's score, or in a part of its own.

    A part tells what its authors read from the judge, the judge's own words, or both.
    """
    if "parsed_score" in record:
        score = read_score(record["parsed_score"])
        yield Output(sample, _file_judge(file), file, score, _logprobs(record))
    fields = [record.get("result"), record.get("evaluator")]
    parts = [part for field in fields for part in (field if isinstance(field, list) else [field])]
    for part in parts:
        if not isinstance(part, dict):
            continue
        parsed = [part[name] for name in ("judge", "judge_evaluator") if name in part]
        texts = [
            part[name] for name in ("judge_tail", "analysis") if isinstance(part.get(name), str)
        ]
        if parsed or texts:  # an evaluator without either is only named
            readings = (_read(sample, text) for text in (*parsed, *texts))
            answer = next((reading for reading in readings if reading is not None), None)
            name = recorded.word(part.get("name")) or _file_judge(file)
            yield Output(sample, name, file, answer)


def _file_judge(file: str) -> str:
    """A judge that no record names goes by its file; `score_NAME` and `NAME` are one judge."""
    path = PurePosixPath(file).with_suffix("")
    return path.with_name(path.name.removeprefix("score_") or path.name).as_posix()


def _logprobs(record: JSON) -> tuple[float | None, ...] | None:
    for level_1 in (name for name in record if name.endswith("lp1")):
        return recorded.logprobs(record, [f"{level_1[:-1]}{level}" for level in range(1, 6)])
    return None


def _read(sample: Sample, text: Any) -> str | None:
    if sample.kind == "batch":
        return read_ranking(text, max(len(sample.authors), len(sample.answers)) or 4)
    return read_score(text) if sample.kind == "score" else read_choice(text)
