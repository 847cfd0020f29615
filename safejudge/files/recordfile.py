"""A file of records that is being written, and that a run can be killed over and go on with.

Takes records; what is appended is on disk before `append` returns. A line, or a packed frame, torn
by a kill is cut off when the file is opened again. A file called `.zst` is packed (`packed`). A run
that goes on says which records still stand (`standing`); the others are taken out before anything
is added.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from safejudge.errors import OutputError
from safejudge.files.atomic import (
    Lock,
    check_file,
    is_at,
    is_replaceable_while_open,
    replacing,
    writing,
)
from safejudge.files.packed import (
    LineReader,
    Packer,
    check_packed_as_named,
    is_packed_name,
    need_zstd,
)
from safejudge.files.records import compare, foreign, lines, to_line
from safejudge.files.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from pathlib import Path

    from safejudge.files.standing import Stands
    from safejudge.types import JSON

_BEGIN = b'{"safejudge": '
TOGETHER, SECONDS = 64, 10.0
"""Of records that are added one by one so many make a frame of a packed file, or those of so many
seconds: each alone they would take two to three times as much."""


def check_output(path: Path, *, resume: bool | None = None, overwrite: bool) -> None:
    """Raise `OutputError` where it is clear before any work that `path` cannot be written.

    `resume` None: the command writes a whole file, and cannot go on with one.
    """
    exists = check_file(path, "name one, or pipe the standard output")
    if is_packed_name(path):
        need_zstd(path)
    if exists and not overwrite:
        if resume is None:
            raise OutputError(f"{path}: exists already; --overwrite starts anew, or name another")
        if not resume:
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
        self._packer = Packer(path) if is_packed_name(path) else None
        self._waiting: list[JSON] = []
        self._written = time.monotonic()
        self._end = 0
        """Bytes of the file that stand."""
        self._stream, self._lock = self._opened("ab" if resume or overwrite else "xb")
        try:
            kept = self._kept(head) if resume else _Kept()
            if "date" in kept.head:
                head = head | {"date": kept.head["date"]}
            if kept.old or kept.renamed or kept.beyond or (kept.lines and kept.head != head):
                self._replace(head, kept)
            else:
                self._stream.truncate(kept.end)
            self._end = os.fstat(self._stream.fileno()).st_size
            if not kept.lines:
                self.append([head])
        except BaseException:
            self._close()
            raise

    def append(self, records: Iterable[JSON]) -> None:
        """Write records and wait until the disk has them."""
        self._end = self._appended(records)

    def _appended(self, records: Iterable[JSON]) -> int:
        """Write records after the last that stand; return where they end.

        What a call wrote that was interrupted is cut off first: nobody counts it as written.
        """
        lines = "".join(map(to_line, records)).encode()
        data = memoryview(lines if self._packer is None else self._packer.frame(lines))
        end = self._end + len(data)
        stays = "; what was written stays, and the same command with --resume goes on from there"
        with writing(self.path, stays):
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            while data:
                data = data[self._stream.write(data) :]
            os.fsync(self._stream.fileno())
        self._written = time.monotonic()
        return end

    def add(self, record: JSON) -> None:
        """Take one record: on disk before this returns; of a packed file, with those about it."""
        self._waiting.append(record)
        late = time.monotonic() - self._written > SECONDS
        if self._packer is None or len(self._waiting) >= TOGETHER or late:
            self.flush()

    @property
    def waiting(self) -> int:
        """Records that were added and are not on the disk yet."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what was added and waits, and wait until the disk has it."""
        if self._waiting:
            end = self._appended(self._waiting)
            self._end, self._waiting = end, []  # nothing is called between, so no signal parts them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
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
        check_packed_as_named(self.path)
        kept = _Kept()
        reader = LineReader(self.path)
        for number, line in lines(reader):
            kept.lines = number
            if number == 1:
                compare(self.path, line, head)
                kept.head = line
            elif (key := self._placed(number, line, kept.head)) is None:
                kept.old.append(number)
            elif self.standing is not None and self.standing.here(line["image"]) != key:
                kept.renamed[number] = key
        kept.end, kept.beyond = reader.end, reader.beyond
        if not kept.lines:
            self._check_torn_head()
        return kept

    def _check_torn_head(self) -> None:
        """Raise `OutputError` for a file without a whole line that may be somebody else's."""
        with self.path.open("rb") as stream:
            torn = stream.read(len(_BEGIN))
        if self._packer is not None and torn:
            raise OutputError(
                f"{self.path}: breaks off in its first line, so it holds no record; --overwrite "
                "starts anew"
            )
        if not _BEGIN.startswith(torn):
            raise foreign(self.path)

    def _placed(self, number: int, line: JSON, head: JSON) -> str | None:
        """Count the record in a line, as `_counted` does; raise `OutputError` if it is none."""
        try:
            if isinstance(line["image"], str) and line.keys() & {"label", "error"}:
                return self._counted(line, head)
        except (AttributeError, KeyError, TypeError, ValueError):  # what it holds is of other forms
            pass
        raise OutputError(
            f"{self.path}:{number}: is no record of safejudge; restore the file or name another"
        )

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
        with writing(self.path), replacing(self.path, durable=True) as new:
            with new.open("wb") as copy:
                lines = self._standing_lines(head, kept)
                copy.writelines(lines if self._packer is None else self._packer.frames(lines))
            if not is_replaceable_while_open():  # there the lock is on another file
                self._stream.close()
        if self._stream.closed:
            self._stream = self.path.open("ab", buffering=0)
            return
        earlier = (self._lock, self._stream)
        self._stream, self._lock = self._opened("ab")
        for closing in earlier:
            closing.close()

    def _standing_lines(self, head: JSON, kept: _Kept) -> Iterator[bytes]:
        """Yield the lines of a file that has this head, and all records but the old ones."""
        yield to_line(head).encode()
        old = frozenset(kept.old)
        for number, line in enumerate(LineReader(self.path), start=1):
            if number in kept.renamed:
                yield to_line(json.loads(line) | {"image": kept.renamed[number]}).encode()
            elif number > 1 and number not in old and line.endswith(b"\n"):
                yield line


@dataclass(slots=True)
class _Kept:
    """What a file holds that is continued."""

    head: JSON = field(default_factory=dict)
    lines: int = 0
    """Whole lines."""
    end: int = 0
    """Where it can be cut, in bytes; see `LineReader.end`."""
    beyond: int = 0
    """Whole lines that would be lost then."""
    old: list[int] = field(default_factory=list)
    """Numbers of the lines that no longer stand."""
    renamed: dict[int, str] = field(default_factory=dict)
    """By the number of its line, what a record is called from now on."""
