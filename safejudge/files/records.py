"""Result files: one JSON object per line, first what made them, then one record per image.

Takes results; gives lines, and a file that a run can be killed over and go on with. What is
appended is on disk before `append` returns; a line torn by a kill is cut off when the file is
opened again. A run that goes on says which records still stand (`standing`); the others are taken
out before anything is added.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from safejudge.errors import OutputError
from safejudge.files.atomic import (
    Lock,
    check_file,
    is_at,
    is_replaceable_while_open,
    replacing,
    writing,
)
from safejudge.types import JSON, Failure, Provenance, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import FileIO

    from safejudge.files.standing import Stands
    from safejudge.types import Intake

COMPARED = ("constitution", "prompts", "policy", "model", "revision", "encoder", "detector")
"""What must be equal for a run to be continued; versions of libraries may move on."""

_BEGIN = b'{"safejudge": '
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_ASCII = re.compile(r"[^ -~]")


# --- lines ----------------------------------------------------------------------------------------


def image_name(path: str) -> str:
    r"""Write a path as text; bytes of a name that are no UTF-8 become `\udc80` and the like."""
    return path.encode("utf-8", "backslashreplace").decode()


def record(path: str, result: Result, provenance: Provenance | None = None) -> JSON:
    """Make the record of one image: the judgment with its whole trace, or the failure.

    `provenance` is for lines that no header stands before.
    """
    content: JSON = {"image": image_name(path)}
    if isinstance(result, Failure):
        error = {"reason": result.reason, "message": result.message}
        content |= {"id": result.id, "error": error}
    else:
        content |= result.model_dump(mode="json", exclude={"image", "provenance"})
    if provenance is not None:
        content["provenance"] = provenance.model_dump(include=set(COMPARED))
    return content


def header(  # noqa: PLR0913 - what a head holds
    version: str,
    provenance: Provenance,
    captions: str | None,
    *,
    folder: str | None = None,
    intake: Intake | None = None,
    judged_by: JSON | None = None,
) -> JSON:
    """Make the first record of a file; `captions` is the digest of the prompt file, if any.

    `folder` is where the run was begun, from which names are meant; `intake` what came in;
    `judged_by` is what a page of the records needs: `constitution` and `policy`, in full.
    """
    head: JSON = {
        "safejudge": version,
        "provenance": provenance.model_dump(mode="json"),
        "captions": captions,
    }
    if folder is not None:
        head["folder"] = image_name(folder)
    if intake is not None:
        head["intake"] = intake.model_dump(mode="json")
    if judged_by is not None:
        head |= {"date": today()} | judged_by
    return head


def today() -> str:
    """The day, in UTC: 2026-11-29."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def to_line(record: JSON) -> str:
    """Write one record as one line of JSON, newline included.

    Characters that could steer a terminal or split a line are escaped, other scripts are not.
    Raises `ValueError` for NaN and infinity, which no record holds.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    valid = _SURROGATE.sub("\ufffd", text)
    return _NOT_ASCII.sub(_escaped, valid) + "\n"


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    return sign if sign.isprintable() else json.dumps(sign)[1:-1]


def _lines(path: Path) -> Iterator[tuple[int, JSON, int]]:
    """Yield number, content and end (in bytes) of every whole line."""
    end = 0
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if not raw.endswith(b"\n"):
                return
            end += len(raw)
            try:
                content = json.loads(raw)
            except (ValueError, RecursionError):
                content = None
            if not isinstance(content, dict):
                raise OutputError(
                    f"{path}:{number}: is no record of safejudge; restore the file or name another"
                )
            yield number, content, end


def read_records(path: Path) -> dict[str, JSON]:
    """Every record of a file by its image; the header is none. Raises `OutputError`."""
    return {line["image"]: line for _, line, _ in _lines(path) if "image" in line}


# --- counting -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What a list of records comes to."""

    labels: Counter[str] = field(default_factory=Counter)
    """Images per label: safe, unsafe, undecided; `failed` for those that were not judged."""
    probes: int = 0
    """Questions, over all images."""
    reasoning_calls: int = 0
    """Replies, over all images."""
    detector_calls: int = 0
    """Searches of the detector, over all images."""
    frames: Counter[str] = field(default_factory=Counter)
    """Of animations: `looked_at` and `of`, as in `types.Frames`, and `cut`, how many of them were
    not looked at whole."""

    captions: Counter[str] = field(default_factory=Counter)
    """Captions by how they were shown: `whole`, `cut`, `hidden` for those that were too long."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rules by outcome, over all images, where the records that were counted hold them."""

    def add(self, record: JSON) -> None:
        """Count one record."""
        self.labels[record.get("label", "failed")] += 1
        usage = record.get("usage", {})
        self.probes += usage.get("probes", 0)
        self.reasoning_calls += usage.get("reasoning_calls", 0)
        self.detector_calls += usage.get("detector_calls", 0)
        if frames := record.get("frames"):
            self.frames.update(frames, animations=1, cut=frames["looked_at"] < frames["of"])
        use = record.get("caption")
        if isinstance(use, dict):  # records of an eval have a text there
            whole = use["shown"] == use["tokens"]
            self.captions["whole" if whole else "cut" if use["shown"] else "hidden"] += 1
        if isinstance(rules := record.get("rules"), dict):
            self.rules.update(rule["outcome"] for rule in rules.values())


def missing(images: Sequence[str], recorded: Counter[str]) -> list[int]:
    """Return the places of the images without a record; a path listed twice needs two."""
    unmatched = recorded.copy()
    indices = []
    for index, image in enumerate(images):
        name = image_name(image)
        if unmatched[name] > 0:
            unmatched[name] -= 1
        else:
            indices.append(index)
    return indices


# --- files ----------------------------------------------------------------------------------------


def check_output(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise `OutputError` where it is clear before any work that `path` cannot be written."""
    exists = check_file(path, "name one, or pipe the standard output")
    if exists and not resume and not overwrite:
        raise _exists(path)


def _exists(path: Path) -> OutputError:
    return OutputError(
        f"{path}: exists already; --resume judges what is missing in it, --overwrite starts anew"
    )


class RecordFile:
    """A result file that is being written; nobody else may write to it meanwhile."""

    def __init__(
        self,
        path: Path,
        head: JSON,
        *,
        resume: bool,
        overwrite: bool,
        standing: Stands | None = None,
    ) -> None:
        """Open a new file, or continue one (`resume`), or begin it again (`overwrite`).

        `standing` says which records of a continued file count; None: all. Raises `OutputError` for
        a file that exists without either, that another run is writing, or that was made with
        anything else than `head` says.
        """
        self.path = path
        self.recorded: Counter[str] = Counter()
        """Records that stand, by key: where `standing` says nothing else, by name."""
        self.others = 0
        """Records of images that are none of this run's."""
        self.tally = Tally()
        self.standing = standing
        """What says which records stand."""
        self._stream, self._lock = self._opened("ab" if resume or overwrite else "xb")
        try:
            kept = self._kept(head) if resume else _Kept()
            if "date" in kept.head:
                head = head | {"date": kept.head["date"]}
            if kept.old or kept.renamed or (kept.end and kept.head != head):
                self._replace(head, kept)
            else:
                self._stream.truncate(kept.end)
            if kept.end == 0:
                self.append([head])
        except BaseException:
            self._close()
            raise

    def append(self, records: Iterable[JSON]) -> None:
        """Write records and wait until the disk has them."""
        data = memoryview("".join(map(to_line, records)).encode())
        stays = "; what was written stays, and the same command with --resume goes on from there"
        with writing(self.path, stays):
            while data:
                data = data[self._stream.write(data) :]
            os.fsync(self._stream.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _opened(self, mode: Literal["ab", "xb"]) -> tuple[FileIO, Lock]:
        """Open and lock the file that is at the path, even if another run has just replaced it."""
        while True:
            try:
                stream = self.path.open(mode, buffering=0)
            except FileExistsError as error:
                raise _exists(self.path) from error
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error
            try:
                lock = Lock.of_file(self.path, stream)
            except BaseException:
                stream.close()
                raise
            if is_at(self.path, stream):
                return stream, lock
            lock.close()
            stream.close()

    def _close(self) -> None:
        self._lock.close()
        self._stream.close()

    def _kept(self, head: JSON) -> _Kept:
        """Count what is there and stands."""
        kept = _Kept()
        for number, line, line_end in _lines(self.path):
            if number == 1:
                compare(self.path, line, head)
                kept.head = line
            elif not isinstance(line.get("image"), str) or not line.keys() & {"label", "error"}:
                raise OutputError(f"{self.path}:{number}: is no record of safejudge")
            elif (key := self._counted(line, kept.head)) is None:
                kept.old.append(number)
            elif self.standing is not None and self.standing.here(line["image"]) != key:
                kept.renamed[number] = key
            kept.end = line_end
        if kept.end == 0:
            with self.path.open("rb") as stream:
                torn = stream.read(len(_BEGIN))
            if not _BEGIN.startswith(torn):
                raise _foreign(self.path)
        return kept

    def _counted(self, line: JSON, head: JSON) -> str | None:
        """Count a record and return its key; None if it no longer stands, or stands there twice."""
        key: str = line["image"]
        place = "stands"
        if self.standing is not None:
            try:
                key, place = self.standing.place(line, head.get("folder"))
            except OutputError as error:
                raise OutputError(f"{self.path}: {error}") from error
            if place == "of":
                self.others += 1
                return key
            if place == "old" or (self.standing.unique and self.recorded[key]):
                return None
        self.recorded[key] += 1
        self.tally.add(line)
        return key

    def _replace(self, head: JSON, kept: _Kept) -> None:
        """Put a file in place that has this head, and all records but the old ones.

        What was named from another folder is named in full, since the head names this one.
        """
        old = frozenset(kept.old)
        with writing(self.path), replacing(self.path, durable=True) as new:
            with self.path.open("rb") as stream, new.open("wb") as copy:
                copy.write(to_line(head).encode())
                for number, line in enumerate(stream, start=1):
                    if number in kept.renamed:
                        copy.write(
                            to_line(json.loads(line) | {"image": kept.renamed[number]}).encode()
                        )
                    elif number > 1 and number not in old and line.endswith(b"\n"):
                        copy.write(line)
            if not is_replaceable_while_open():  # there the lock is on another file
                self._stream.close()
        if self._stream.closed:
            self._stream = self.path.open("ab", buffering=0)
            return
        earlier = (self._lock, self._stream)
        self._stream, self._lock = self._opened("ab")
        for closing in earlier:
            closing.close()


@dataclass(slots=True)
class _Kept:
    """What a file holds that is continued."""

    head: JSON = field(default_factory=dict)
    end: int = 0
    """Where its last whole line ends, in bytes."""
    old: list[int] = field(default_factory=list)
    """Numbers of the lines that no longer stand."""
    renamed: dict[int, str] = field(default_factory=dict)
    """By the number of its line, what a record is called from now on."""


def _foreign(path: Path) -> OutputError:
    return OutputError(
        f"{path}: was not written by safejudge with --out, so it cannot be continued; "
        "name another file"
    )


def compare(path: Path, earlier: JSON, head: JSON) -> None:
    """Raise `OutputError` naming everything in which two headers differ."""
    provenance: Any = earlier.get("provenance")
    if "safejudge" not in earlier or not isinstance(provenance, dict):
        raise _foreign(path)
    old = {key: provenance.get(key) for key in COMPARED} | {"captions": earlier.get("captions")}
    new = {key: head["provenance"][key] for key in COMPARED} | {"captions": head["captions"]}
    differing = [key for key in new if old[key] != new[key]]
    if differing:
        names = " and ".join(_DESCRIPTIONS[key] for key in differing)
        changes = (
            f"{_DESCRIPTIONS[key]}: {_described(old[key])}, now {_described(new[key])}"
            for key in differing
        )
        raise OutputError(
            f"{path}: was made with another {names} ({'; '.join(changes)}). Use the same again, or "
            "write to another file."
        )


_DESCRIPTIONS = {
    "constitution": "constitution",
    "prompts": "wording of the questions (prompts)",
    "policy": "policy",
    "model": "model",
    "revision": "model revision",
    "encoder": "encoder",
    "detector": "detector",
    "captions": "prompt file (captions) or data",
}


def _described(value: object) -> str:
    if isinstance(value, dict):  # a model beside the judge
        return f"{value.get('uri')} {_described(value.get('revision'))}"
    text = str(value) if value is not None else "none"
    return f"{text[:12]}..." if re.fullmatch("[0-9a-f]{64}", text) else text
