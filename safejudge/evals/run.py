"""A run of the suite `labelled`: a judge over a folder of labelled images, recorded as it goes.

The folder that comes out holds all that its tables are made from: constitution, labels, and one
record per image. A run that was stopped goes on; `report` makes the tables anew and asks no model.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge import records
from safejudge.constitution import dump_constitution, load_constitution
from safejudge.errors import InputError, OutputError
from safejudge.evals.labelled import scored
from safejudge.evals.labels import find_labels, read_labels
from safejudge.judge import Judge

if TYPE_CHECKING:
    from safejudge.evals.labels import Label
    from safejudge.evals.outputs import Scored
    from safejudge.evals.suite import Run
    from safejudge.types import JSON

CONSTITUTION, LABELS, RECORDS = "constitution.yaml", "labels.jsonl", "records.jsonl"


def judge(told: Run) -> JSON:
    """Judge the labelled images of a folder, for `safejudge eval`."""
    constitution = told.constitution
    if told.data is None or constitution is None:
        raise InputError("name the images with --data DIR, and the rules with --constitution")
    if told.args:
        raise InputError(f"--suite-arg {next(iter(told.args))}: labelled takes none")
    if told.splits:
        raise InputError(f"--split {told.splits[0]}: labelled images have no parts")
    folder = Path(told.data)
    file = find_labels(folder) if told.labels is None else told.labels
    labels = read_labels(file, [rule.id for rule in constitution.rules])
    if told.limit is not None and told.limit < len(labels):
        places = list(range(len(labels)))
        if told.seed is not None:
            places = random.Random(told.seed).sample(places, told.limit)  # noqa: S311
        labels = [labels[place] for place in sorted(places[: told.limit])]
    by = Judge(constitution, told.models, told.policy)
    again = {"resume": told.resume, "overwrite": told.overwrite}
    tick = told.progress(len(labels))
    run(by, folder, labels, told.out, window=told.window, tick=tick, **again)
    return {"data": told.data, "provenance": by.provenance.model_dump(mode="json")}


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
