"""Pictures under policies, judged live by any engine.

Data are Parquet files with the pictures in them, as PolicyShiftBench and SafeEditBench come, or
lines of JSON that name pictures beside them. What is long in a row, the picture, is read when it is
asked about. A record a row holds what is true of it beside what was said in each reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import ImageError, InputError
from safejudge.evals import harness, recorded
from safejudge.evals.answers.pictures import Pictures
from safejudge.evals.pictures import load_pictures
from safejudge.evals.policyshift import prompts
from safejudge.evals.policyshift.records import Item, Judged, item_of
from safejudge.evals.policyshift.replies import Said, read_reply
from safejudge.evals.policyshift.score import score
from safejudge.evals.suite import Coverage
from safejudge.files import records
from safejudge.method.questions import read_answer
from safejudge.text import clean, storable
from safejudge.types import YES_NO, AnswerProbs, Failure, NoReply, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from safejudge.evals.prompts import Reading
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

    Source = str | Path | bytes

_IMAGE = "image"
_POLICY = ("question", "policy", "policy_description")
"""Where the words of a policy stand; the first that is there: a bundle before a part of it."""
_MAX_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Sample:
    """One row that can be asked about."""

    item: Item
    policy: str
    source: Callable[[], Source]
    """Finds the picture. Raises `ImageError`."""


@dataclass(frozen=True, slots=True)
class Data:
    """The rows of a file or folder, and what of them is not asked."""

    samples: tuple[Sample, ...]
    left_out: dict[str, int]
    unread: tuple[str, ...]


def gather(path: Path) -> Data:
    """Read the rows of a file, or of all files below a folder. Raises `InputError` for none."""
    samples: dict[str, Sample] = {}
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    folder = Pictures(path if path.is_dir() else path.parent)
    for name, file in recorded.data_files(path):
        if file.suffix.lower() == recorded.PARQUET:
            rows, problems = _table(file, name)
        else:
            lines = recorded.read_file(file, name)
            rows = [(row, _named(row, folder)) for row in lines.records]
            problems = lines.problems
        unread += [f"{name}: {problem}" for problem in problems]
        for row, source in rows:
            sample = _sample(row, source)
            if isinstance(sample, str):
                left_out[sample] += 1
            elif sample.item.key in samples:
                left_out["row about a picture and policy that were there before"] += 1
            else:
                samples[sample.item.key] = sample
    if not samples:
        why = "; ".join([*unread, *left_out]) or "there is no .parquet, .json or .jsonl"
        raise InputError(f"{path}: holds no picture under a policy ({clean(why)})")
    return Data(tuple(samples.values()), dict(left_out), tuple(unread))


def _sample(row: JSON, source: Callable[[], Source]) -> Sample | str:
    item = item_of(row)
    policy = next((p for n in _POLICY if (p := recorded.word(row.get(n)))), "")
    if isinstance(item, str):
        return item
    return Sample(item, policy, source) if policy else "line without the words of a policy"


def _named(row: JSON, folder: Pictures) -> Callable[[], Source]:
    name = next((n for key in ("image_path", _IMAGE) if (n := recorded.word(row.get(key)))), "")
    return lambda: folder.find(name)


def _table(file: Path, name: str) -> tuple[list[tuple[JSON, Callable[[], Source]]], Sequence[str]]:
    """The rows of a Parquet file without their pictures, and what reads each of these."""
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"{file}: reading it needs pyarrow; pip install 'safejudge[eval]'"
        ) from error
    rows: list[tuple[JSON, Callable[[], Source]]] = []
    try:
        with parquet.ParquetFile(file) as table:
            columns = [name for name in table.schema_arrow.names if name != _IMAGE]
            for group in range(table.num_row_groups):
                part = table.read_row_group(group, columns=columns).to_pylist()
                for place, row in enumerate(part):
                    found = row | {_IMAGE: row.get("image_path") or f"{name} {group}-{place}"}
                    rows.append((found, _stored(file, group, place)))
    except (OSError, ValueError, ArrowException) as error:
        return [], (f"is no Parquet that can be read: {error}",)
    return rows, ()


def _stored(file: Path, group: int, place: int) -> Callable[[], Source]:
    def read() -> bytes:
        value = _images(file, group)[place].as_py()
        content: Any = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise ImageError("missing", f"{file.name}: the row holds no picture")
        return content

    return read


@lru_cache(maxsize=1)
def _images(file: Path, group: int) -> Any:
    """The pictures of one group of rows, as they are stored; rows are asked about in order."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415

    try:
        with parquet.ParquetFile(file) as table:
            return table.read_row_group(group, columns=[_IMAGE])[_IMAGE]
    except (OSError, ValueError, KeyError, ArrowException) as error:
        raise ImageError("unreadable", f"{file.name}: the pictures cannot be read") from error


# --- judging --------------------------------------------------------------------------------------


def judge_rows(run: Run, data: Data, readings: Sequence[Reading]) -> JSON:
    """Judge every row that has no record yet; what made the answers."""
    parts = [sample.item.section for sample in data.samples]
    samples = [data.samples[row] for row in harness.sampled(parts, run)]
    if not samples:
        raise InputError(f"--split {', '.join(run.splits)}: no row of this data is that")
    run.models.engine.check_statements(
        list(dict.fromkeys(prompts.violates(sample.policy).question for sample in samples))
    )
    made_by = harness.provenance(run, list(readings), prompts.digest(), engine_alone=True)
    known = [(repr(sample.item), sample.policy) for sample in data.samples]
    description: JSON = {"left_out": data.left_out, "unread": list(data.unread)}

    def judged(window: list[Sample]) -> list[JSON]:
        return _judged(window, readings, run)

    with harness.record_file(run, made_by, harness.digest("policyshift", known)) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, samples, lambda sample: sample.item.key, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(samples: Sequence[Sample], readings: Sequence[Reading], run: Run) -> list[JSON]:
    shown = [_shown(sample, run) for sample in samples]
    asked: list[dict[Reading, Probe | Reasoning]] = [
        {} if isinstance(picture, str) else {r: _request(s, picture, r) for r in readings}
        for s, picture in zip(samples, shown, strict=True)
    ]
    requests = list(dict.fromkeys(request for of_one in asked for request in of_one.values()))
    replies = dict(zip(requests, run.models.answer(requests) if requests else [], strict=True))
    return [
        _record(s, picture, {r: _said(replies[q], run.policy) for r, q in of_one.items()})
        for s, picture, of_one in zip(samples, shown, asked, strict=True)
    ]


def _shown(sample: Sample, run: Run) -> Picture | str:
    try:
        source = sample.source()
    except ImageError as error:
        return str(error)
    (picture,) = load_pictures([source], run)
    return picture.message if isinstance(picture, Failure) else picture


def _request(sample: Sample, picture: Picture, reading: Reading) -> Probe | Reasoning:
    if reading == "weighted":
        return prompts.violates(sample.policy).probe((picture,), YES_NO)
    return prompts.written(sample.policy).written((picture,), _MAX_TOKENS)


def _said(reply: Any, policy: Policy) -> JSON:
    """What one reply says; a probability of exactly 1/2 says nothing."""
    if not isinstance(reply, AnswerProbs):
        said = read_reply(str(reply))
        problem = reply.problem if isinstance(reply, NoReply) else None
        return {"unsafe": said.unsafe, "kinds": list(said.kinds), "why": said.why,
                "text": storable(str(reply)), "problem": problem}  # fmt: skip
    read, problem = read_answer("full", reply)
    if problem is not None or read.score is None or read.label_mass < policy.minimum_label_mass:
        why = "no reply" if problem is not None else "little label mass"
        return {"unsafe": None, "why": why, "problem": problem}
    unsafe = None if read.score == 0.5 else read.score > 0.5
    return {"unsafe": unsafe, "why": "" if unsafe is not None else "undecided",
            "score": read.score, "mass": read.label_mass}  # fmt: skip


def _record(sample: Sample, shown: Picture | str, said: dict[Reading, JSON]) -> JSON:
    item = sample.item
    record: JSON = {
        "image": records.image_name(item.key), "label": item.section,
        "item": [item.image, item.section, item.policy, item.unsafe, item.tier, list(item.kinds)],
    }  # fmt: skip
    if isinstance(shown, str):
        return record | {"error": {"reason": "missing", "message": shown}}
    silent = any(entry.get("problem") for entry in said.values())
    return record | {"digests": [shown.digest], "said": said, "unread": silent}


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge_rows` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    about, model = harness.data_of(out), str(harness.provenance_of(out).get("model", ""))
    judged = [row for row in rows if "error" not in row]
    readings = dict.fromkeys(reading for row in judged for reading in row["said"])
    judges = [
        Judged(f"{model}, {reading}", harness.RECORDS,
               tuple((_item(row), _entry(row["said"][reading])) for row in judged), {})
        for reading in readings
    ]  # fmt: skip
    result = score(judges, tuple(about.get("unread", ())))
    left_out: dict[str, int] = about.get("left_out", {})
    lost = [f"{row['image']}: not judged ({row['error']['message']})." for row in rows
            if "error" in row]  # fmt: skip
    lost += [f"Left out, {n} times: {reason}." for reason, n in left_out.items()]
    return replace(
        result,
        findings=(*lost, *result.findings),
        coverage=Coverage(len(judged), len(rows) - len(judged), sum(left_out.values())),
    )


def _item(row: JSON) -> Item:
    image, section, policy, unsafe, tier, kinds = row["item"]
    return Item(image, section, policy, unsafe, tier, tuple(kinds))


def _entry(entry: JSON) -> Said:
    kinds = tuple(entry.get("kinds", ()))
    return Said(entry["unsafe"], kinds, entry["why"], score=entry.get("score"))
