"""A run of the suite `labelled`: a judge over a folder of labelled images, recorded as it goes.

The folder that comes out holds all that its tables are made from: constitution, labels, and one
record per image. A run that was stopped goes on; `report` makes the tables anew and asks no model.
"""

from __future__ import annotations

import hashlib
import os
import random
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.errors import InputError
from safejudge.evals.labelled.labels import find_labels, read_labels
from safejudge.evals.labelled.tables import scored
from safejudge.evals.pictures import load_pictures
from safejudge.files import records
from safejudge.judge import Judge
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON, Result

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
    _run(by, folder, labels, told)
    return {"data": told.data, "provenance": by.provenance.model_dump(mode="json")}


def _run(judge: Judge, folder: Path, labels: Sequence[Label], told: Run) -> None:
    """Judge every labelled image of a folder that has no record yet."""
    # Another folder has images of the same names: what is recorded of one is nothing of the other.
    source = hashlib.sha256(os.fsencode(folder)).hexdigest()
    head = records.header(metadata.version("safejudge"), judge.provenance, source)
    place, tick = told.out / RECORDS, told.progress(len(labels))
    with records.RecordFile(place, head, resume=told.resume, overwrite=told.overwrite) as file:
        told.write(CONSTITUTION, dump_constitution(judge.constitution))
        told.write(LABELS, "".join(f"{label.model_dump_json()}\n" for label in labels))
        names = [label.image for label in labels]
        todo = [names[number] for number in records.missing(names, file.recorded)]
        tick(len(names) - len(todo))
        for start in range(0, len(todo), told.window):
            some = todo[start : start + told.window]
            results = _judged(judge, [os.fspath(folder / name) for name in some], told)
            file.append(map(records.record, some, results))
            tick(len(some))


def _judged(judge: Judge, paths: Sequence[str], told: Run) -> list[Result]:
    if told.change is None:
        return judge(paths)
    pictures = load_pictures(paths, told)
    there = [picture for picture in pictures if isinstance(picture, Picture)]
    results = iter(judge([picture.pixels for picture in there]))
    return [one if isinstance(one, Failure) else next(results) for one in pictures]


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `run` wrote. Raises `InputError`."""
    missing = [name for name in (CONSTITUTION, LABELS, RECORDS) if not (out / name).is_file()]
    if missing:
        raise InputError(f"{out}: has no {', '.join(missing)}; name a folder that eval wrote")
    constitution = load_constitution(out / CONSTITUTION)
    labels = read_labels(out / LABELS, [rule.id for rule in constitution.rules])
    return scored(constitution, labels, records.read_records(out / RECORDS))
