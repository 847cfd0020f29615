"""Records as a folder of Parquet files, which together are one table for whatever reads Parquet.

Takes records; gives part-00000.parquet and so on, each whole or not there at all. The columns are
the fields of a record; `rules`, the trace, is JSON, since its form follows the constitution, and so
is `by_engine`, the part of `usage` that only several engines have; `looks` is another. What
made the records stands in each part as `safejudge` of the schema's metadata: the JSON that is the
first line of a file of records.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from safejudge.errors import OutputError
from safejudge.files import records
from safejudge.files.folders import PART, opened, parts_of
from safejudge.files.part_rows import record_of
from safejudge.files.short import shortened
from safejudge.files.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.files.folders import Where
    from safejudge.files.standing import Stands
    from safejudge.types import JSON

SCHEMA = pa.schema(
    {
        "image": pa.string(),
        "id": pa.string(),
        "label": pa.string(),
        "violations": pa.list_(pa.string()),
        "score": pa.float64(),
        "margin": pa.float64(),
        "rules": pa.string(),
        "by_engine": pa.string(),
        "looks": pa.int64(),
        "usage": pa.struct(
            {name: pa.int64() for name in ("probes", "reasoning_calls", "detector_calls")}
        ),
        "frames": pa.struct({"looked_at": pa.int64(), "of": pa.int64()}),
        "caption": pa.struct({"tokens": pa.int64(), "shown": pa.int64()}),
        "undecided_by": pa.list_(pa.string()),
        "unread": pa.list_(pa.string()),
        "decision": pa.struct({name: pa.string() for name in ("action", "why", "likely", "rules")}),
        "error": pa.struct({"reason": pa.string(), "message": pa.string()}),
    }
)
"""Those of a judgment are null where the image failed, and `error` where it did not; `decision`
is null where no thresholds were given, and its `rules` are JSON as well. `unread` is of short
records."""

RECORDS, SECONDS = 4096, 10.0
"""A part is written when so many records wait, or so long after the part before."""

_COUNTED = ("image", "id", "label", "usage", "frames", "caption", "error", "rules", "by_engine",
            "looks", "decision", "unread")  # fmt: skip
_TELLING = ("unreadable", "label_mass", "not_asked", "opinions", "finding")
COMPRESSION = "zstd"
"""Of every column; see benchmarks/record_sizes.py."""
HEAD = b"safejudge"
"""The key under which a part's schema says what made its records."""

_BROKEN = (OSError, ValueError, TypeError, AttributeError, KeyError, pa.ArrowException)
"""What comes of a part that is damaged, or whose rows hold something else."""


def to_table(rows: Sequence[JSON]) -> pa.Table:
    """Make a table of records; its texts are those that a file of lines would hold."""
    lines = [json.loads(records.to_line(row)) for row in rows]
    for line in lines:
        for holder in (line, line.get(records.DECISION)):
            if holder is not None and "rules" in holder:
                holder["rules"] = records.to_line(holder["rules"]).rstrip("\n")
        if looks := line.get("usage", {}).pop("looks", None):
            line["looks"] = looks
        if by_engine := line.get("usage", {}).pop("by_engine", None):
            line["by_engine"] = records.to_line(by_engine).rstrip("\n")
    return pa.Table.from_pylist(lines, schema=SCHEMA)


class Counts(Protocol):
    """What counts records by key."""

    def __getitem__(self, key: str, /) -> int: ...
    def __setitem__(self, key: str, count: int, /) -> None: ...


class Parts:
    """A folder of records that is being written; nobody else may write to it meanwhile."""

    def __init__(  # noqa: PLR0913 - what a folder is opened for, and how it is counted
        self,
        folder: Where,
        *,
        resume: bool,
        overwrite: bool,
        standing: Stands | None = None,
        recorded: Counts | None = None,
        short: bool = False,
    ) -> None:
        """Open a new or empty folder, or continue one (`resume`), or begin it again (`overwrite`).

        `standing` says which records of a continued folder count; None: all. `recorded` is where
        they are counted; None: in memory. `short`: what is added is counted whole and kept without
        its trace. Raises `OutputError` for a folder with parts without either, with anything else
        in it, or that another run is writing to.
        """
        self.folder = folder
        self.recorded: Counts = Counter() if recorded is None else recorded
        """Records that stand, by key: where `standing` says nothing else, by name."""
        self.others = 0
        """Records of images that are none of this run's."""
        self._standing = standing
        self.short = short
        """Whether what is added is kept without its trace."""
        self.tally = Tally()
        self._heads: set[str] = set()
        self._head = ""
        self._waiting: list[pa.Table] = []
        self._written = time.monotonic()
        self._standing_rows: dict[str, pa.Array] = {}
        """Of parts that hold more than what stands: which rows do."""
        self._files = opened(folder)
        old = parts_of(self._files, folder, known=resume or overwrite)
        self._files.lock()
        try:
            self._outdated, old = (old, []) if overwrite else ([], old)
            self._next = 1 + max(map(_number, old), default=-1)
            for name in old:
                self._read(name)
        except BaseException:
            self._files.close()
            raise

    def begin(self, head: JSON) -> None:
        """Say what makes the records, before the first is added; take out what no longer stands.

        Raises `OutputError` where records are continued that something else made; then nothing has
        changed.
        """
        for earlier in self._heads:
            records.compare(self.folder, json.loads(earlier), head)
        for name in self._outdated:
            self._files.remove(name)
        for name, kept in self._standing_rows.items():
            self._keep(name, kept)
        self._outdated, self._standing_rows = [], {}
        self._head = records.to_line(head).rstrip("\n")

    def add(self, table: pa.Table) -> None:
        """Count some records of `SCHEMA` and take them, as `put` does."""
        self._count(table)
        if self.short:
            table = to_table([shortened(record_of(row)) for row in table.to_pylist()])
        self.put(table)

    def put(self, table: pa.Table) -> None:
        """Take some records that are counted; they are kept after the next `flush` at the latest.

        Raises `OutputError` where they cannot be written.
        """
        self._waiting.append(table)
        late = time.monotonic() - self._written > SECONDS
        if late or sum(map(len, self._waiting)) >= RECORDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one part."""
        if not any(map(len, self._waiting)):
            return
        table = pa.concat_tables(self._waiting).replace_schema_metadata({HEAD: self._head})
        self._files.create(f"part-{self._next:05}.parquet", _packed(table))
        self._waiting = []
        self._next += 1
        self._written = time.monotonic()

    @property
    def waiting(self) -> int:
        """Records that were taken and are in no part yet."""
        return sum(map(len, self._waiting))

    def check_alone(self) -> None:
        """Raise `OutputError` where another run wrote here meanwhile, and `StoreError`."""
        self._files.check_alone()

    def close(self) -> None:
        """Let other runs in."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.check_alone()
        finally:
            self.close()

    @contextmanager
    def _reading(self, name: str) -> Iterator[str]:
        """Yield what messages call a part; turn what its damage raises into an `OutputError`."""
        path = f"{str(self.folder).rstrip('/')}/{name}"
        try:
            yield path
        except _BROKEN as error:
            raise OutputError(
                f"{path}: cannot be read ({error}); restore it, or remove it and "
                "--resume judges its images again"
            ) from error

    def _read(self, name: str) -> None:
        with self._reading(name) as path:
            data = self._files.read(name)
            with parquet.ParquetFile(pa.BufferReader(data)) as file:
                head = (file.schema_arrow.metadata or {}).get(HEAD)
                if head is None or not _is_ours(file.schema_arrow):
                    raise OutputError(
                        f"{path}: was not written by this version of safejudge, so it cannot be "
                        "continued; name another folder"
                    )
                self._heads.add(head.decode())
                columns = [column for column in _COUNTED if column in file.schema_arrow.names]
                rows = file.read(columns=columns).to_pylist()
            folder = json.loads(head).get("folder")
            kept = [self._counts(row, folder) for row in rows]
            if not all(kept):
                self._standing_rows[name] = pa.array(kept)

    def _counts(self, row: JSON, folder: str | None) -> bool:
        """Count a record; False for one that no longer stands, or stands there twice."""
        key, place = row["image"], "stands"
        record = _counted(row)
        if self._standing is not None:
            rules = record.get("rules", "")
            # Parsing every trace takes seconds a million; few hold what may have to be asked again.
            telling = any(f'"{t}"' in rules for t in _TELLING)
            record["rules"] = json.loads(rules) if telling else {}
            key, place = self._standing.place(record, folder)
            if place == "of":
                self.others += 1
                return True
            if place == "old" or (self._standing.unique and self.recorded[key]):
                return False
        self.recorded[key] += 1
        self.tally.add(record)
        return True

    def _keep(self, name: str, kept: pa.Array) -> None:
        """Leave only some records in a part, or no part where none is left."""
        if not kept.true_count:
            self._files.remove(name)
            return
        with self._reading(name):
            data = self._files.read(name)
            table = parquet.read_table(pa.BufferReader(data)).filter(kept)
        self._files.replace(name, _packed(table))

    def _count(self, table: pa.Table) -> None:
        for row in table.select(_COUNTED).to_pylist():
            record = _counted(row)
            if "rules" in record:
                record["rules"] = json.loads(record["rules"])
            self.tally.add(record)


def _counted(row: JSON) -> JSON:
    """What a tally counts of a row."""
    record = {name: value for name, value in row.items() if value is not None}
    if "looks" in record:
        record["usage"] = record["usage"] | {"looks": record.pop("looks")}
    if "by_engine" in record:
        record["usage"] = record["usage"] | {"by_engine": json.loads(record.pop("by_engine"))}
    return record


def _is_ours(schema: pa.Schema) -> bool:
    """Whether these columns are of a part; those of 0.1.0 have fewer."""
    known = all(name in SCHEMA.names for name in schema.names)
    return (
        known
        and all(field.equals(SCHEMA.field(field.name)) for field in schema)
        and ({"image", "label", "usage"} <= set(schema.names))
    )


def _packed(table: pa.Table) -> bytes:
    stream = pa.BufferOutputStream()
    parquet.write_table(table, stream, compression=COMPRESSION)
    return bytes(stream.getvalue().to_pybytes())


def _number(name: str) -> int:
    match: Any = PART.fullmatch(name)
    return int(match[1])
