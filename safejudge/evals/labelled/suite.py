"""Your own images, labelled safe or unsafe or by rule, judged by a constitution.

Name: labelled
Data: your images, and a file of labels (`labels.py` says what may stand in it)
Licence: yours
Paper: none

The folder of a run holds all that its tables are made from: constitution, labels, and one record
per image; `data.json` says what lies beside them. `report` makes the tables anew and asks no model.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.labelled.labels import find_labels, label_rows, read_labels
from safejudge.evals.labelled.places import placed, unlabelled
from safejudge.evals.labelled.tables import score
from safejudge.evals.pictures import load_pictures
from safejudge.evals.suite import Suite, check_args
from safejudge.files import records
from safejudge.files.standing import Standing
from safejudge.images.listing import digest_of
from safejudge.judge import Judge
from safejudge.types import Failure, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.types import JSON, Result

CONSTITUTION, LABELS = "constitution.yaml", "labels.jsonl"


def judge(run: Run) -> JSON:
    """Judge the labelled images of a folder that have no record yet."""
    constitution = run.constitution
    if run.data is None or constitution is None:
        raise InputError("name the images with --data DIR, and the rules with --constitution")
    check_args(run.args, taker="labelled")
    if run.splits:
        raise InputError(f"--split {run.splits[0]}: labelled images have no parts")
    folder = Path(run.data)
    file = find_labels(folder) if run.labels is None else run.labels
    labels = placed(label_rows(file, [rule.id for rule in constitution.rules]), folder)
    beside = unlabelled(folder, labels, run.ignore, file).json()
    chosen = [labels[row] for row in harness.sampled([""] * len(labels), run)]
    by_rules = Judge(constitution, run.models, run.policy)
    _record(by_rules, folder, chosen, run)
    run.write_json(harness.DATA, beside | {"beyond_limit": len(labels) - len(chosen)})
    return {"data": run.data, "provenance": by_rules.provenance.model_dump(mode="json")}


def _record(judge: Judge, folder: Path, labels: Sequence[Label], run: Run) -> None:
    source = hashlib.sha256(os.fsencode(folder)).hexdigest()

    def judged(images: list[str]) -> Iterable[JSON]:
        results = _judged(judge, [os.fspath(folder / image) for image in images], run)
        return map(records.record, images, results)

    standing = None
    if run.change is None:  # what was changed is known by its pixels, not by its file
        wanted = {label.image: folder / label.image for label in labels}
        standing = Standing(wanted, lambda name, _: name, lambda name: digest_of(wanted[name]))
    with harness.record_file(run, judge.provenance, source, standing) as file:
        run.write(CONSTITUTION, dump_constitution(judge.constitution))
        run.write(LABELS, "".join(f"{label.model_dump_json()}\n" for label in labels))
        harness.record(run, file, [label.image for label in labels], str, judged)


def _judged(judge: Judge, paths: Sequence[str], run: Run) -> list[Result]:
    if run.change is None:
        return judge(paths)
    pictures = load_pictures(paths, run)
    readable = [picture.pixels for picture in pictures if isinstance(picture, Picture)]
    results = iter(judge(readable))
    return [picture if isinstance(picture, Failure) else next(results) for picture in pictures]


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    harness.need(out, CONSTITUTION, LABELS, harness.RECORDS)
    constitution = load_constitution(out / CONSTITUTION)
    labels = read_labels(out / LABELS, [rule.id for rule in constitution.rules])
    return score(constitution, labels, harness.recorded(out), harness.data_of(out))


SUITE = Suite(
    "your own images, labelled safe or unsafe or by rule",
    judge=judge,
    report=report,
    constitution=True,
    panel=True,
)
