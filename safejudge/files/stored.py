"""Records of earlier runs, to be read: a file of lines, or the Parquet parts of `judge --ray`.

Takes a path; tells by content what lies there, packed as zstd or not; gives what made the records,
and each record with the place it stands at. Records are read when they are asked for, as often as
they are. Nothing is written, and a line that a run is still writing is left out.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from safejudge.errors import InputError, OutputError
from safejudge.files.packed import LineReader
from safejudge.files.part_rows import record_of
from safejudge.files.records import BESIDE, COMPARED, FORM, SHORT, form_of
from safejudge.text import cut, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.types import JSON

PARTS = "part-*.parquet"
"""What the files of a folder of records are called."""

_PARQUET = b"PAR1"
_BATCH = 64
"""Rows of a part that are read at a time: a trace takes 10 kB and more."""


class StoredRecord(NamedTuple):
    """One record, where it stands, and what its name means."""

    where: str
    """The file and the line or row, for messages."""
    content: JSON
    folder: str | None
    """The folder that its name is meant from; None: not recorded."""


class Stored(Protocol):
    """Records of one run, or of several that judged alike."""

    path: Path
    """The file, or the folder."""
    head: JSON
    """What made them, as `records.header` writes it; less of older files, and of a pipe."""

    def __iter__(self) -> Iterator[StoredRecord]:
        """Read every record, in the order in which they were written."""


def open_stored(path: Path) -> Stored:
    """Tell what a path holds, and read what made it. Raises `InputError` for no records."""
    try:
        if path.is_dir():
            return _open_folder(path)
        with path.open("rb") as file:
            begin = file.read(len(_PARQUET))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not begin:
        raise InputError(f"{path}: is empty; name a file that judge --out wrote")
    return _parts(path, [path]) if begin == _PARQUET else Lines(path)


def holds_parts(folder: Path) -> bool:
    """Whether a folder is one of Parquet parts, by the names in it."""
    return any(folder.glob(PARTS))


def _open_folder(folder: Path) -> Stored:
    if holds_parts(folder):
        return _parts(folder, sorted(folder.glob(PARTS)))
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.zst")])
    near = next(filter(_begins_records, files), None)
    advice = f"do you mean {near}?" if near else "name records, a file or a folder of Parquet parts"
    raise InputError(f"{folder}: holds neither a run of eval nor parts of judge --ray; {advice}")


def _begins_records(file: Path) -> bool:
    try:
        return bool(Lines(file).head)
    except (InputError, OSError):
        return False


# --- lines ----------------------------------------------------------------------------------------


class Lines:
    """A file of lines: that of `judge --out`, or what `judge` wrote into a pipe."""

    def __init__(self, path: Path) -> None:
        """Read the first line, which says what made the others. Raises `InputError`."""
        self.path = path
        first = next(self._objects(), None)
        if first is None:
            raise InputError(f"{path}: holds no whole line yet; wait for the run, or name another")
        self.head = self._head_of(first[1])
        self._piped = "image" in first[1]

    def __iter__(self) -> Iterator[StoredRecord]:
        made = _compared(self.head)
        for number, content in self._objects():
            where = f"{self.path}:{number}"
            if "image" not in content and number == 1:
                continue
            if "safejudge" in content:
                raise InputError(
                    f"{where}: here begin the records of another run; split the file there"
                )
            if self._piped and _compared(content) != made:
                raise InputError(f"{where}: another judge made this record; keep those of one")
            yield StoredRecord(where, content, self.head.get("folder"))

    def _head_of(self, first: JSON) -> JSON:
        if isinstance(first.get("provenance"), dict) and ("safejudge" in first or "image" in first):
            return {name: value for name, value in first.items() if name != "image"}
        if "image" in first:
            raise InputError(
                f"{self.path}:1: a record, but no line before it says what made it; put the first "
                "line of the file that judge --out wrote before these"
            )
        raise self._foreign(1)

    def _objects(self) -> Iterator[tuple[int, JSON]]:
        """Yield number and content of every line; of the last only if it is whole."""
        for number, raw in enumerate(LineReader(self.path), start=1):
            try:
                content = json.loads(raw)
            except (ValueError, RecursionError) as error:
                if raw.endswith(b"\n") or number == 1:
                    raise self._foreign(number) from error
                return
            if not isinstance(content, dict):
                raise self._foreign(number)
            yield number, content

    def _foreign(self, line: int) -> InputError:
        return InputError(
            f"{self.path}:{line}: is no record of safejudge; name a file that judge --out wrote, "
            "a folder that judge --ray wrote, or one that eval wrote"
        )


# --- parts ----------------------------------------------------------------------------------------


def _parts(path: Path, files: Sequence[Path]) -> Stored:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: F401, PLC0415
    except ImportError as error:
        raise InputError(
            f"{path}: to read Parquet takes pyarrow ({error}): pip install 'safejudge[eval]'"
        ) from error
    return PartFiles(path, files)


class PartFiles:
    """Parquet parts, which one run wrote, or several that judged alike."""

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        """Read what made each part. Raises `InputError`, also where they were made differently."""
        self.path = path
        self._files = [(file, self._head_of(file)) for file in files]
        first, last = self._files[0], self._files[-1]
        for file, head in self._files:
            if _compared(head) != _compared(first[1]):
                raise InputError(
                    f"{file}: was made by another judge than {first[0].name}; put the parts of "
                    "each into a folder of its own"
                )
        self.head = last[1]  # whoever goes on with a run says anew what came in
        if dates := [head["date"] for _, head in self._files if "date" in head]:
            self.head = self.head | {"date": min(dates)}

    def __iter__(self) -> Iterator[StoredRecord]:
        for file, head in self._files:
            for row, content in enumerate(self._rows(file)):
                yield StoredRecord(f"{file}#{row}", content, head.get("folder"))

    def _head_of(self, file: Path) -> JSON:
        from pyarrow import parquet  # noqa: PLC0415

        from safejudge.files.parquet import HEAD  # noqa: PLC0415

        with _reading(file), parquet.ParquetFile(file) as part:
            text = (part.schema_arrow.metadata or {}).get(HEAD)
            head = None if text is None else json.loads(text)
        if not isinstance(head, dict) or not isinstance(head.get("provenance"), dict):
            raise InputError(
                f"{file}: holds no records of safejudge; name a folder that judge --ray wrote"
            )
        return head

    @staticmethod
    def _rows(file: Path) -> Iterator[JSON]:
        from pyarrow import parquet  # noqa: PLC0415

        with _reading(file), parquet.ParquetFile(file) as part:
            for batch in part.iter_batches(batch_size=_BATCH):
                yield from map(record_of, batch.to_pylist())


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn what Parquet's reader raises into an `InputError`."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{file}: cannot be read as Parquet ({cut(one_line(str(error)))}); restore it, or "
            "remove it and judge --ray --resume judges its images again"
        ) from error


# --- what made them -------------------------------------------------------------------------------


def _compared(head: JSON) -> JSON:
    made = head["provenance"] if isinstance(head.get("provenance"), dict) else {}
    return {name: made.get(name) for name in (*COMPARED, *BESIDE)} | {FORM: form_of(head)}


def need_full(stored: Stored, purpose: str) -> None:
    """Raise `InputError` for short records, which do not hold what was answered."""
    if form_of(stored.head) == SHORT:
        raise InputError(
            f"{stored.path}: was written with --record short, so it holds no answers to {purpose}; "
            "judge again with --record full"
        )


def unreadable(record: StoredRecord, error: Exception) -> OutputError:
    """Say that a record has another form than this version writes."""
    return OutputError(
        f"{record.where}: is not as this version of safejudge writes records ({error}), so no page "
        "can show it; judge the image again"
    )
