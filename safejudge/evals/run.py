"""A run of the suite `labelled`: a judge over a folder of labelled images, recorded as it goes.

The folder that comes out holds all that its tables are made from: constitution, labels, and one
record per image. A run that was stopped goes on; `report` makes the tables anew and asks no model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge import records
from safejudge.constitution import dump_constitution, load_constitution
from safejudge.errors import InputError, OutputError
from safejudge.evals.labelled import scored
from safejudge.evals.labels import read_labels

if TYPE_CHECKING:
    from safejudge.evals.labels import Label
    from safejudge.evals.outputs import Scored
    from safejudge.judge import Judge

CONSTITUTION, LABELS, RECORDS = "constitution.yaml", "labels.jsonl", "records.jsonl"


def run(  # noqa: PLR0913 - what is judged, where it goes, and how
    judge: Judge,
    folder: Path,
    labels: Sequence[Label],
    out: Path,
    *,
    window: int,
    resume: bool = False,
    overwrite: bool = False,
    tick: Callable[[int], None] = lambda _: None,
) -> None:
    """Judge every labelled image of a folder, and record it in `out`.

    `tick` is told how many images were done. Raises `OutputError` where the folder holds another
    run, and `EngineCallError` where the engine fails; what was recorded stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    head = records.header(metadata.version("safejudge"), judge.provenance, None)
    place = out / RECORDS
    with records.RecordFile(place, head, resume=resume, overwrite=overwrite) as file:
        _write(out / CONSTITUTION, dump_constitution(judge.constitution))
        _write(out / LABELS, "".join(f"{label.model_dump_json()}\n" for label in labels))
        names = [label.image for label in labels]
        todo = [names[number] for number in records.missing(names, file.recorded)]
        tick(len(names) - len(todo))
        for start in range(0, len(todo), window):
            some = todo[start : start + window]
            results = judge([os.fspath(folder / name) for name in some])
            file.append(map(records.record, some, results))
            tick(len(some))


def report(out: Path) -> Scored:
    """Make the tables of a folder that `run` wrote. Raises `InputError`."""
    missing = [name for name in (CONSTITUTION, LABELS, RECORDS) if not (out / name).is_file()]
    if missing:
        raise InputError(f"{out}: has no {', '.join(missing)}; name a folder that eval wrote")
    constitution = load_constitution(out / CONSTITUTION)
    labels = read_labels(out / LABELS, [rule.id for rule in constitution.rules])
    return scored(constitution, labels, records.read_records(out / RECORDS))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
