"""A run of the suite `labelled`: a judge over a folder of labelled images, recorded as it goes.

The folder that comes out holds all that its tables are made from: constitution, labels, and one
record per image. A run that was stopped goes on; `report` makes the tables anew and asks no model.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.labelled.labels import find_labels, read_labels
from safejudge.evals.labelled.tables import scored
from safejudge.evals.pictures import load_pictures
from safejudge.files import records
from safejudge.judge import Judge
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON, Result

CONSTITUTION, LABELS = "constitution.yaml", "labels.jsonl"


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
    labels = [labels[row] for row in harness.sampled([""] * len(labels), told)]
    by = Judge(constitution, told.models, told.policy)
    _run(by, folder, labels, told)
    return {"data": told.data, "provenance": by.provenance.model_dump(mode="json")}


def _run(judge: Judge, folder: Path, labels: Sequence[Label], told: Run) -> None:
    """Judge every labelled image of a folder that has no record yet."""
    source = hashlib.sha256(os.fsencode(folder)).hexdigest()

    def judged(images: list[str]) -> Iterable[JSON]:
        results = _judged(judge, [os.fspath(folder / image) for image in images], told)
        return map(records.record, images, results)

    with harness.record_file(told, judge.provenance, source) as file:
        told.write(CONSTITUTION, dump_constitution(judge.constitution))
        told.write(LABELS, "".join(f"{label.model_dump_json()}\n" for label in labels))
        harness.record(told, file, [label.image for label in labels], str, judged)


def _judged(judge: Judge, paths: Sequence[str], told: Run) -> list[Result]:
    if told.change is None:
        return judge(paths)
    pictures = load_pictures(paths, told)
    there = [picture for picture in pictures if isinstance(picture, Picture)]
    results = iter(judge([picture.pixels for picture in there]))
    return [one if isinstance(one, Failure) else next(results) for one in pictures]


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `run` wrote. Raises `InputError`."""
    harness.need(out, CONSTITUTION, LABELS, harness.RECORDS)
    constitution = load_constitution(out / CONSTITUTION)
    labels = read_labels(out / LABELS, [rule.id for rule in constitution.rules])
    return scored(constitution, labels, harness.recorded(out))
