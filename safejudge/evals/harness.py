"""What every live run of a suite does, written once: sample, resume, record, say what made it.

Takes the samples of a suite and a function that judges some of them; gives a file of records that a
run can be stopped over and go on with. Knows nothing of what is judged.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from safejudge.engines.models import reference
from safejudge.errors import InputError
from safejudge.evals.stats.intervals import grouped
from safejudge.files import records
from safejudge.files.recordfile import RecordFile, check_output
from safejudge.files.standing import Answered
from safejudge.types import Provenance

if TYPE_CHECKING:
    from safejudge.evals.suite import Run
    from safejudge.files.standing import Stands
    from safejudge.types import JSON

T = TypeVar("T")

RECORDS = "records.jsonl"
"""What was said of each sample, after a line that says what said it."""
DATA = "data.json"
"""What a run knows of its data beside its records, such as what was left out."""


# --- sample -------------------------------------------------------------------------------------


def sampled(parts: Iterable[str], run: Run, *, nested: bool = False) -> list[int]:
    """Row numbers of the samples that a run is about, of every part alike (see `draw`).

    `parts` says of each row which part of the data it is in; those that the run does not name are
    left out. Raises `InputError` for a limit below 1.
    """
    rows: list[int] = []
    for part, members in grouped(parts).items():
        if not run.splits or part in run.splits:
            rows += draw(members, run.limit, run.seed, nested=nested)
    return sorted(rows)


def draw(
    rows: Sequence[T], limit: int | None, seed: int | None, *, nested: bool = False
) -> Sequence[T]:
    """The first `limit` rows, or so many drawn with a seed; all of them without a limit.

    `nested`: what a smaller limit draws is in what a larger one draws, so a run can go on with
    more. Raises `InputError` for a limit below 1.
    """
    check_limit(limit)
    if limit is None:
        return rows
    if seed is not None:
        size = len(rows) if nested else min(limit, len(rows))
        rows = random.Random(seed).sample(rows, size)  # noqa: S311
    return rows[:limit]


def check_limit(limit: int | None) -> None:
    """Raise `InputError` for a limit below 1."""
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}: give 1 or more, or leave it out to judge everything")


# --- what made the records ----------------------------------------------------------------------


def digest(*parts: object) -> str:
    """Sha256 (hex) of what JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def provenance(
    run: Run, protocols: Sequence[str], prompts: str, *, engine_alone: bool = False
) -> Provenance:
    """What the answers of some protocols come from; `prompts` is the digest of what they ask.

    `engine_alone`: no rules are asked, and neither encoder nor detector has a say.
    """
    card = run.models.engine.card
    rules = None if engine_alone else run.constitution
    return Provenance(
        constitution="" if rules is None else rules.digest(),
        prompts=prompts,
        policy=digest(run.policy.digest(), protocols),
        model=card.uri,
        revision=card.revision,
        encoder=None if engine_alone else reference(run.models.encoder),
        detector=None if engine_alone else reference(run.models.detector),
        versions=dict(run.models.versions()),
    )


# --- record -------------------------------------------------------------------------------------


def check_records(run: Run) -> None:
    """Raise `OutputError` where the run's records cannot be written, before any work."""
    check_output(run.out / RECORDS, resume=run.resume, overwrite=run.overwrite)


def record_file(
    run: Run, provenance: Provenance, source: str, standing: Stands | None = None
) -> RecordFile:
    """Open the run's records: new ones, or those that it goes on with.

    `source` is the digest of the data: what is recorded of one is nothing of another, though its
    samples have the same names. `standing` says which records still stand; None: those in which
    everything was answered. Raises `OutputError` where the file is another run's.
    """
    header = records.header(metadata.version("safejudge"), provenance, source)
    return RecordFile(
        run.out / RECORDS,
        header,
        resume=run.resume,
        overwrite=run.overwrite,
        standing=standing or Answered(),
    )


def record(  # noqa: PLR0913 - what a run is made of
    run: Run,
    file: RecordFile,
    samples: Iterable[T],
    name_of: Callable[[T], str],
    judge: Callable[[list[T]], Iterable[JSON]],
    *,
    changed: Callable[[T], bool] | None = None,
) -> None:
    """Judge every sample that has no record yet, some together, and append their records.

    `name_of` a sample is what its record has as `image`; one that comes twice needs two records.
    `changed` says of a sample with a record whether it is another by now; then its new record
    counts in place of the old. `judge` makes the records of a window of samples, in order. How much
    work there is is told where the samples are counted; others are read while they are asked for.
    """
    waiting: Iterable[T] = _unrecorded(samples, name_of, file.recorded, changed)
    tick = run.progress(len(samples) if isinstance(samples, Sequence) else 0)
    if isinstance(samples, Sequence):
        waiting = list(waiting)
        tick(len(samples) - len(waiting))
    waiting = iter(waiting)
    while window := list(islice(waiting, run.window)):
        file.append(judge(window))
        tick(len(window))


def _unrecorded(
    samples: Iterable[T],
    name_of: Callable[[T], str],
    recorded: Counter[str],
    changed: Callable[[T], bool] | None,
) -> Iterator[T]:
    left = recorded.copy()
    for sample in samples:
        name = records.image_name(name_of(sample))
        known = left[name] > 0
        left[name] -= known
        if not known or (changed is not None and changed(sample)):
            yield sample


# --- read again ---------------------------------------------------------------------------------


def need(out: Path, *names: str) -> None:
    """Raise `InputError` unless a folder holds the files of a run."""
    if missing := [name for name in names if not (out / name).is_file()]:
        raise InputError(f"{out}: has no {', '.join(missing)}; name a folder that eval wrote")


def recorded(out: Path) -> dict[str, JSON]:
    """Every record of a folder, by the name of its sample. Raises `InputError`."""
    need(out, RECORDS)
    return records.read_records(out / RECORDS)


def provenance_of(out: Path) -> JSON:
    """What the head of a folder's records says made them; nothing where there is none."""
    try:
        with (out / RECORDS).open(encoding="utf-8") as lines:
            head = json.loads(next(lines, ""))
    except (OSError, ValueError):
        return {}
    provenance = head.get("provenance") if isinstance(head, dict) else None
    return provenance if isinstance(provenance, dict) else {}


def data_of(out: Path) -> JSON:
    """What a run said of its data; nothing where it was stopped before."""
    try:
        description = json.loads((out / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}
