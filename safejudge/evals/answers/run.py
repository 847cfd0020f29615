"""A live run of a benchmark of answers beside a picture, recorded sample by sample.

One record per sample holds what every protocol said, or why its picture was not shown to anybody.
Tables are made from the records alone. The suites `mllm-as-a-judge` and `multimodal-rewardbench`
run on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import ImageError, InputError
from safejudge.evals import harness, recorded
from safejudge.evals.answers import protocols as answers
from safejudge.evals.answers.first import (
    SETTINGS,
    UNREAD,
    Firsts,
)
from safejudge.evals.answers.longer import padded
from safejudge.evals.answers.pictures import Pictures
from safejudge.evals.answers.prompts import digest
from safejudge.evals.answers.protocols import REASONS, Sample
from safejudge.evals.pictures import load_pictures, tell_missing
from safejudge.evals.suite import Coverage
from safejudge.files import records
from safejudge.files.standing import Answered
from safejudge.show.figures import Table
from safejudge.types import JSON, Failure, Picture

if TYPE_CHECKING:
    from safejudge.evals.answers.args import Args
    from safejudge.evals.answers.protocols import Protocol
    from safejudge.evals.recorded import Lines
    from safejudge.evals.suite import Run

    Protocols = Callable[[Sample], Sequence[Protocol]]
    """Those that judge a sample."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a folder holds of a benchmark."""

    samples: tuple[Sample, ...]
    """Every one that can be judged, in the order of the files."""
    left_out: Mapping[str, int]
    """Why records were left out, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, with the reason."""


# --- what is judged -----------------------------------------------------------------------------


def folder_of(run: Run, suite: str, content: str) -> Path:
    """The folder of the data, which holds this `content`. Raises `InputError`."""
    if run.data is None:
        raise InputError(f"{suite} needs its data: --data DIR with {content}, and the pictures")
    folder = Path(run.data)
    if not folder.is_dir():
        raise InputError(f"{run.data}: is no folder; name the one that holds {content}")
    return folder


def gather(
    folder: Path, sample_of: Callable[[JSON], Sample | str | None], kind: str, splits: Sequence[str]
) -> Data:
    """Read every record below a folder.

    `sample_of` makes a sample, or says why the record is left out; None for one that is no `kind`.
    A folder without a single sample is an `InputError`, and so is a split that none is in.
    """
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        rows = [sample_of(record) for record in lines.records]
        unread += _foreign(lines, rows.count(None), kind)
        left_out.update(row for row in rows if isinstance(row, str))
        samples += [row for row in rows if isinstance(row, Sample)]
    distinct = _distinct(samples)
    if len(distinct) < len(samples):
        left_out["stands twice, word by word"] += len(samples) - len(distinct)
    if not distinct:
        reasons = "".join(f"; {n} left out: {reason}" for reason, n in left_out.items())
        raise InputError(f"{folder}: holds no {kind} that can be judged{reasons}")
    parts = {sample.part for sample in distinct}
    if unknown := [name for name in splits if name not in parts]:
        raise InputError(f"--split {unknown[0]}: this data has {', '.join(sorted(parts))}")
    return Data(tuple(distinct), dict(left_out), tuple(unread))


def _foreign(lines: Lines, count: int, kind: str) -> list[str]:
    total = len(lines.records)
    return [f"{lines.file}: {count} of {total} records are no {kind}"] if count else []


def _distinct(samples: Sequence[Sample]) -> list[Sample]:
    """Every sample once, with a key of its own: files number their samples anew."""
    copies: Counter[str] = Counter()
    distinct: dict[str, Sample] = {}
    for sample in samples:
        words = json.dumps(_words(sample))
        if words in distinct:
            continue
        copies[sample.key] += 1
        number = f" ({copies[sample.key]})" if copies[sample.key] > 1 else ""
        facts = sample.facts | {"repeat": copies[sample.key] - 1}
        distinct[words] = replace(sample, key=f"{sample.key}{number}", facts=facts)
    return [*distinct.values()]


def _words(sample: Sample) -> list[Any]:
    return [sample.key, sample.image, sample.question, sample.answers, sample.target]


# --- judging ------------------------------------------------------------------------------------


def judge_samples(run: Run, suite: str, data: Data, protocols: Protocols, args: Args) -> JSON:
    """Judge every chosen sample that has no record yet; what made the answers.

    Raises `InputError` for votes of an engine that draws no replies.
    """
    if run.rewrite is not None:
        changed_samples = tuple(padded(sample, run.rewrite) for sample in data.samples)
        data = replace(data, samples=changed_samples)
    rows = harness.sampled([sample.part for sample in data.samples], run)
    samples = [data.samples[row] for row in rows]
    pictures = Pictures(Path(run.data or ""))
    _tell_missing(samples, pictures, run)
    names = sorted({protocol.name for sample in data.samples for protocol in protocols(sample)})
    asked = list(names)
    if "voted" in args.readings:
        args.vote.check(run.models.engine)
        asked.append(str(args.vote))
    first = any(SETTINGS[name].firsts for name in args.settings)
    provenance = harness.provenance(run, asked, digest(first=first), engine_alone=True)
    # Other words under the same keys are other data.
    source = harness.digest(suite, run.data, [_words(sample) for sample in data.samples])
    description = {"ways": names, "left_out": dict(data.left_out), "unread": list(data.unread)}

    with harness.record_file(run, provenance, source) as file:
        run.write_json(harness.DATA, description)
        firsts = Firsts(harness.recorded(run.out).values() if first else ())

        def judged(window: list[Sample]) -> list[JSON]:
            return _judged(window, pictures, protocols, firsts, run)

        known = file.standing.pictures if isinstance(file.standing, Answered) else {}

        def changed(sample: Sample) -> bool:
            (picture,) = _load([sample], pictures, run)
            now = picture.digest if isinstance(picture, Picture) else None
            return known.get(records.image_name(sample.key)) not in (None, [now])

        harness.record(run, file, samples, lambda sample: sample.key, judged, changed=changed)
    return description | {"data": run.data, "prompts": digest(first=first)}


def _tell_missing(samples: Sequence[Sample], pictures: Pictures, run: Run) -> None:
    names = dict.fromkeys(sample.image for sample in samples)
    problems = []
    for name in names:
        try:
            pictures.find(name)
        except ImageError as error:
            problems.append(str(error))
    tell_missing(len(problems), len(names), run.data or "", next(iter(problems), ""))


def _judged(
    samples: Sequence[Sample], pictures: Pictures, protocols: Protocols, firsts: Firsts, run: Run
) -> list[JSON]:
    """The record of each sample: what was said, or why its picture was not shown to anybody."""
    loaded = _load(samples, pictures, run)
    pairs = [
        (sample, picture)
        for sample, picture in zip(samples, loaded, strict=True)
        if isinstance(picture, Picture)
    ]
    replies = iter(answers.judge(run.models, protocols, pairs, firsts))
    rows = []
    for sample, picture in zip(samples, loaded, strict=True):
        record: JSON = {
            "image": records.image_name(sample.key), "picture": sample.image,
            "truth": sample.target, "about": sample.facts,
        }  # fmt: skip
        if isinstance(picture, Picture):
            said = {"digests": [picture.digest], "said": next(replies)}
            asked = {
                first: entry
                for protocol in protocols(sample)
                for first, entry in firsts.of(protocol.setting, sample.question, picture).items()
            }
            before = {"first": asked} if asked else {}
            rows.append(record | {"label": sample.target} | before | said)
        else:
            error = {"reason": picture.reason, "message": picture.message}
            rows.append(record | {"error": error})
    return rows


def _load(samples: Sequence[Sample], pictures: Pictures, run: Run) -> list[Picture | Failure]:
    """The picture of each sample, decoded once where several share it."""
    files: dict[str, Path | Failure] = {}
    for name in dict.fromkeys(sample.image for sample in samples):
        try:
            files[name] = pictures.find(name)
        except ImageError as error:
            files[name] = Failure(image=name, reason=error.reason, message=str(error))
    paths = list(dict.fromkeys(file for file in files.values() if isinstance(file, Path)))
    decoded = dict(zip(paths, load_pictures(paths, run), strict=True))
    sources = [files[sample.image] for sample in samples]
    return [decoded[source] if isinstance(source, Path) else source for source in sources]


# --- what was recorded --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """What `judge_samples` left in a folder."""

    model: str
    """The engine's URI."""
    records: tuple[JSON, ...]
    """Those of samples that were judged."""
    left_out: Mapping[str, int]
    """As in `Data`."""
    unread: tuple[str, ...]
    """As in `Data`."""
    findings: tuple[str, ...]
    """Samples that nobody was asked about, as sentences."""
    coverage: Coverage
    """How many those are."""


def read_run(out: Path) -> Judged:
    """Read a folder that `judge_samples` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    errors = [record["error"]["message"] for record in rows if "error" in record]
    lines = [
        f"{len(errors)} of {len(rows)} items were not asked about: their picture cannot be shown "
        f"(the first: {error})."
        for error in errors[:1]
    ]
    description = harness.data_of(out)
    return Judged(
        _model(out / harness.RECORDS),
        tuple(record for record in rows if "said" in record),
        description.get("left_out", {}),
        tuple(description.get("unread", ())),
        tuple(lines),
        Coverage(len(rows) - len(errors), len(errors)),
    )


def _model(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        try:
            return str(json.loads(next(lines, ""))["provenance"]["model"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: does not begin with what made it; judge again with --overwrite"
            ) from error


def unread_table(judged: Sequence[JSON]) -> list[Table]:
    """Why answers of the judge are none; nothing where all could be read."""
    reasons: dict[str, list[str]] = {}
    for record in judged:
        kind = record["about"].get("kind")
        for name, entries in record["said"].items():
            part = name if kind is None else f"{kind}: {name}"
            reasons.setdefault(part, []).extend(entry.get("why", "") for entry in entries)
            votes = [vote.get("why", "") for entry in entries for vote in entry.get("votes", ())]
            if votes:
                reasons.setdefault(f"{part}, samples", []).extend(votes)
    met = any(UNREAD in replies for replies in reasons.values())
    heads = [reason for reason in REASONS if reason != UNREAD or met]
    rows = tuple(
        (part, str(len(replies)), *(str(replies.count(reason)) for reason in heads))
        for part, replies in sorted(reasons.items())
        if any(replies)
    )
    note = "Counted by reply; each is no answer, neither a score nor a guess."
    if met:
        note += " Nothing before: the description, or the judge's own answer, is none."
    return [Table("What could not be read", ("", "replies", *heads), rows, note)] if rows else []
