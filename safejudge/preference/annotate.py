"""Annotate a file of prompts: records as they are made, then annotations, pairs and their pictures.

The folder that comes out stands by itself. `records.jsonl` is what a run goes on from;
`annotations.jsonl` has VisionPrefer's shape; `pairs.jsonl` is for DPO trainers, its pictures beside
it in `pictures/`, hard links where the file system has them. Pairs are made from records alone, so
another margin asks nothing again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import replacing, writing
from safejudge.files.recordfile import RecordFile
from safejudge.files.records import header, image_name, read_records, to_line
from safejudge.images.listing import digest_of
from safejudge.images.load import SUFFIXES
from safejudge.preference.pairs import MARGIN, Choice, Count, find_pairs, rows_of
from safejudge.preference.rubrics import SAFETY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from safejudge.files.standing import Place
    from safejudge.preference.annotator import Annotator
    from safejudge.preference.data import Row
    from safejudge.types import JSON

RECORDS, ANNOTATIONS, PAIRS, SUMMARY = (
    "records.jsonl", "annotations.jsonl", "pairs.jsonl", "summary.json",
)  # fmt: skip
PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Task:
    """Where from, where to, and how much at once."""

    data: Path
    """The file of prompts; the same prompts of another file have other pictures."""
    out: Path
    """The folder of results."""
    margin: float = MARGIN
    """Scores that differ by no more are a tie."""
    window: int = 8
    """Prompts whose pictures are judged and saved together."""
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What was annotated."""

    prompts: int
    images: int
    failures: int
    """Images that were not judged."""
    counts: Mapping[str, Mapping[str, int]]
    """By aspect: pairs, ties, and pairs of pictures of which one has no score."""
    reasons: Mapping[str, Mapping[str, int]]
    """By aspect, where reasons were asked for: reasons, replies that could not be read, and
    pictures that have no score to give a reason for."""


def annotate(
    annotator: Annotator,
    rows: Sequence[Row],
    task: Task,
    tick: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Annotate every row that has no record yet, and write the rest; `tick` hears of rows done.

    Raises `OutputError` where the folder holds another run, `StatementError` for an aspect that
    cannot be asked at all, and `EngineCallError` where the engine fails; what was recorded stays.
    """
    if not 0 <= task.margin < 1:
        raise InputError(f"margin is {task.margin:g}; scores lie in [0, 1], so give 0 to below 1")
    annotator.check(rows)
    try:
        task.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{task.out}: cannot be made ({error.strerror})") from error
    source = hashlib.sha256(os.fsencode(task.data.resolve())).hexdigest()
    head = header(metadata.version("safejudge"), annotator.provenance, source)
    path = task.out / RECORDS
    standing = _Standing({image_name(row.key): row for row in rows})
    with RecordFile(
        path, head, resume=task.resume, overwrite=task.overwrite, standing=standing
    ) as file:
        todo = [row for row in rows if not file.recorded[image_name(row.key)]]
        tick(len(rows) - len(todo))
        for start in range(0, len(todo), task.window):
            window = todo[start : start + task.window]
            file.append(annotator.annotate(window))
            tick(len(window))
        return _write(rows, read_records(path), annotator, task)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A record stands while the pictures of its prompt are what they were, failures included."""

    unique: ClassVar[bool] = True
    rows: Mapping[str, Row]

    def place(self, record: JSON, folder: str | None) -> tuple[str, Place]:
        """Place a record by its row's key, whatever `folder` the run was begun in."""
        del folder
        row = self.rows.get(record["image"])
        if row is None:
            return record["image"], "of"
        pairs = zip(row.images, record["images"], strict=True)
        same = all(image["id"] == digest_of(candidate.path) for candidate, image in pairs)
        return record["image"], "stands" if same else "old"

    def here(self, name: str) -> str:
        """Return the key of a row, which is its name."""
        return name


def _write(
    rows: Sequence[Row], records: Mapping[str, JSON], annotator: Annotator, task: Task
) -> Summary:
    """Write what the records of these rows come to."""
    aspects = annotator.aspects
    annotated = [(row, records[image_name(row.key)]) for row in rows]
    count = Count()
    keeper = _Keeper(task.out / PICTURES)
    with writing(task.out):
        annotations = "".join(to_line(_annotation(row, record)) for row, record in annotated)
        (task.out / ANNOTATIONS).write_text(annotations, encoding="utf-8")
        with (task.out / PAIRS).open("w", encoding="utf-8") as stream:
            for row, record in annotated:
                paths = {candidate.id: candidate.path for candidate in row.images}
                for choice in find_pairs(record["images"], aspects, task.margin, count):
                    stream.write(to_line(_pair(record, choice, keeper, paths)))
        images = [image for _, record in annotated for image in record["images"]]
        failures = sum("error" in image for image in images)
        reasons = _reasons(images, aspects) if annotator.reasons else {}
        summary = Summary(len(annotated), len(images), failures, rows_of(count), reasons)
        header = {
            "prompts": summary.prompts, "images": summary.images, "failures": failures,
            "margin": task.margin, "aspects": summary.counts,
            **({"reasons": reasons} if reasons else {}),
        }  # fmt: skip
        (task.out / SUMMARY).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    return summary


def _reasons(images: Sequence[JSON], aspects: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count what became of the reasons of every aspect of the pictures that were judged."""
    counts = {name: {"reasons": 0, "unread": 0, "unscored": 0} for name in aspects}
    for image in images:
        for name, entry in image.get("aspects", {}).items():
            unread = "unread" if "unread" in entry else "unscored"
            counts[name]["reasons" if entry.get("reason") else unread] += 1
    return counts


def _annotation(row: Row, record: JSON) -> JSON:
    images = [
        {**candidate.extra, **image}
        for candidate, image in zip(row.images, record["images"], strict=True)
    ]
    return {"prompt_id": record["prompt_id"], "prompt": record["prompt"], "images": images}


def _pair(record: JSON, choice: Choice, keeper: _Keeper, paths: Mapping[str, Path]) -> JSON:
    chosen, rejected = choice.chosen, choice.rejected
    return {
        "prompt": record["prompt"],
        "chosen": keeper.name(chosen, paths[chosen["image_id"]]),
        "rejected": keeper.name(rejected, paths[rejected["image_id"]]),
        "aspect": choice.aspect,
        "margin": choice.margin,
        "score_chosen": choice.score_chosen,
        "score_rejected": choice.score_rejected,
        "gated": choice.gated,
        "prompt_id": record["prompt_id"],
        "chosen_id": chosen["image_id"],
        "rejected_id": rejected["image_id"],
        **_reasons_of(choice),
    }


def _reasons_of(choice: Choice) -> JSON:
    """The texts on the two scores that were compared; nothing where one of them has none.

    A pair of `overall` compares a mean, which has no text of its own, unless safety alone decided.
    """
    aspect = SAFETY if choice.gated else choice.aspect
    sides = {"reason_chosen": choice.chosen, "reason_rejected": choice.rejected}
    texts = {name: image["aspects"].get(aspect, {}).get("reason") for name, image in sides.items()}
    return texts if all(texts.values()) else {}


class _Keeper:
    """Puts the pictures of pairs beside them, each once, named by its bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()

    def name(self, image: JSON, path: Path) -> str:
        """Return the picture's path from the pairs; it is there when this returns."""
        suffix = path.suffix.lower()
        name = f"{image['id']}{suffix if suffix in SUFFIXES else ''}"
        if name not in self._names:
            self._put(self._folder / name, path, image["id"])
            self._names.add(name)
        return f"{self._folder.name}/{name}"

    def _put(self, target: Path, path: Path, digest: str) -> None:
        if target.exists():
            return
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                raise OutputError(
                    f"{path}: has changed since it was annotated; --overwrite begins anew"
                )
        self._folder.mkdir(exist_ok=True)
        with replacing(target) as new:
            try:
                new.hardlink_to(path.resolve())
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(path, new)
