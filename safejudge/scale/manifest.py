"""The list of a run's images, on the disk: memory does not grow with their number.

Takes what a search for images meets (`Manifest.listing`); gives windows of entries, in order, and
says which of them have a record. It is an SQLite file without a name, which goes with the process.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sqlite3
from typing import TYPE_CHECKING, Self

from safejudge.files.remote import RemoteFile
from safejudge.files.standing import Standing
from safejudge.images.listed import Listing
from safejudge.images.listing import digest_of, key_of
from safejudge.images.shards import PARQUET, Apart, entries_of, read
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.images.entries import Entry
    from safejudge.images.pairs import Prompt

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE images (
    number INTEGER PRIMARY KEY, key TEXT UNIQUE, entry BLOB,
    recorded INTEGER DEFAULT 0, judged INTEGER DEFAULT 0
);
CREATE TABLE seen (key TEXT PRIMARY KEY, whole BLOB) WITHOUT ROWID;
CREATE TABLE names (name BLOB);
BEGIN;
"""
_BATCH = 1000
"""Rows that are read at a time."""


class Manifest:
    """The images of one run; `in` asks by key."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # without a name: on the disk
        self._base.executescript(_TABLES)
        self._apart = Apart(self.__contains__)
        self._limit = 2**62
        self.shards: set[str] = set()
        """Parquet files that hold images."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    # --- what is in it ---

    def listing(self, ignore: Sequence[str]) -> Listing:
        """Return a listing that writes what it meets here, shards opened."""
        return _Written(self, ignore)

    def add(self, entry: Entry) -> None:
        """Add an image; one that shares its name with another, however spelled, is numbered."""
        name, key = self._apart.named(entry.name)
        packed = pickle.dumps(entry._replace(name=name))
        self._base.execute("INSERT INTO images (key, entry) VALUES (?, ?)", (key, packed))
        if entry.position is not None and entry.path.endswith(PARQUET):
            self.shards.add(entry.path)

    def caption(self, prompts: Iterable[Prompt | None]) -> None:
        """Give each image its caption, in order."""
        for number, prompt in enumerate(prompts, start=1):
            if prompt is not None:
                (packed,) = self._row("SELECT entry FROM images WHERE number = ?", number)
                entry = pickle.loads(packed)._replace(caption=prompt)  # noqa: S301 - packed here
                changed = (pickle.dumps(entry), number)
                self._base.execute("UPDATE images SET entry = ? WHERE number = ?", changed)

    def limit(self, count: int | None) -> None:
        """Leave only the first so many images; None: all."""
        if count is not None:
            self._limit = count

    def __len__(self) -> int:
        return int(self._row("SELECT count(*) FROM images WHERE number <= ?", self._limit)[0])

    def __contains__(self, key: object) -> bool:
        sql = "SELECT 1 FROM images WHERE key = ? AND number <= ?"
        return bool(self._row(sql, key, self._limit))

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._rows(recorded=True))

    def names(self) -> list[str]:
        """Return the names of all images, which are then in memory."""
        return [_unpacked(packed).name for _, packed in self._rows(recorded=True)]

    def windows(self, size: int) -> Iterator[list[bytes]]:
        """Yield packed entries without a record, so many at a time; none as one empty window."""
        window: list[bytes] = []
        empty = True
        for _, packed in self._rows(recorded=False):
            window.append(packed)
            if len(window) == size:
                yield window
                window, empty = [], False
        if window or empty:
            yield window

    # --- records ---

    @property
    def recorded(self) -> Recorded:
        """How many records of earlier runs stand, by key."""
        return Recorded(self._base)

    def standing(self, limit: int) -> Standing:
        """Say how records of earlier runs stand: by their name and by what is there now.

        An entry is read when its record is met; of more than `limit` bytes nothing stands.
        """

        def id_of(key: str) -> str | None:
            (packed,) = self._row("SELECT entry FROM images WHERE key = ?", key)
            content, _ = read(_unpacked(packed), limit, captions=False)
            if isinstance(content, str | RemoteFile):
                return digest_of(content)
            return None if isinstance(content, Failure) else hashlib.sha256(content).hexdigest()

        return Standing(self, key_of, id_of)

    def judge(self, name: str) -> bool:
        """Note that an image was judged; False if it was before, or is none of this run's."""
        sql = "UPDATE images SET judged = 1 WHERE key = ? AND judged = 0 AND recorded = 0"
        return self._base.execute(sql, (key_of(name),)).rowcount > 0

    def waiting(self) -> int:
        """How many images have no record."""
        sql = "SELECT count(*) FROM images WHERE judged = 0 AND recorded = 0 AND number <= ?"
        return int(self._row(sql, self._limit)[0])

    def first_waiting(self) -> str:
        """Return the name of the first image without a record."""
        sql = (
            "SELECT entry FROM images WHERE judged = 0 AND recorded = 0 AND number <= ? "
            "ORDER BY number LIMIT 1"
        )
        return _unpacked(self._row(sql, self._limit)[0]).name

    # --- for the search ---

    def first_seen(self, key: str, whole: str) -> str | None:
        """Return the whole path that has a key already, else keep this one for it."""
        row = self._row("SELECT whole FROM seen WHERE key = ?", key)
        if row:
            return os.fsdecode(row[0])
        self._base.execute("INSERT INTO seen VALUES (?, ?)", (key, os.fsencode(whole)))
        return None

    def in_order(self, names: Iterable[str]) -> Iterator[str]:
        """Sort names on the disk."""
        self._base.execute("DELETE FROM names")
        rows = ((os.fsencode(name),) for name in names)
        self._base.executemany("INSERT INTO names VALUES (?)", rows)
        sorted_ = self._base.execute("SELECT name FROM names ORDER BY name")
        while batch := sorted_.fetchmany(_BATCH):
            yield from (os.fsdecode(name) for (name,) in batch)

    def _row(self, sql: str, *values: object) -> tuple[bytes, ...]:
        return self._base.execute(sql, values).fetchone() or ()

    def _rows(self, *, recorded: bool) -> Iterator[tuple[str, bytes]]:
        """Yield key and packed entry, in order; `recorded`: also where there is a record."""
        sql = (
            "SELECT number, key, entry FROM images WHERE number > ? AND number <= ? "
            "AND (recorded = 0 OR ?) ORDER BY number LIMIT ?"
        )
        number = 0
        while rows := self._base.execute(sql, (number, self._limit, recorded, _BATCH)).fetchall():
            number = rows[-1][0]
            yield from ((key, packed) for _, key, packed in rows)


class Recorded:
    """How many records stand for an image of a manifest, by its key."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __getitem__(self, key: str) -> int:
        found = self._base.execute("SELECT recorded FROM images WHERE key = ?", (key,)).fetchone()
        return 0 if found is None else int(found[0])

    def __setitem__(self, key: str, count: int) -> None:
        self._base.execute("UPDATE images SET recorded = ? WHERE key = ?", (count, key))


class _Written(Listing):
    """A listing whose images are in a manifest."""

    def __init__(self, manifest: Manifest, ignore: Sequence[str]) -> None:
        super().__init__()
        self._manifest, self._ignore = manifest, ignore

    def take(self, path: str, stored: RemoteFile | None) -> None:
        self.taken += 1
        for entry in entries_of(path, stored, self, self._ignore):
            self._manifest.add(entry)

    def first_seen(self, key: str, whole: str) -> str | None:
        return self._manifest.first_seen(key, whole)

    def in_order(self, names: Iterable[str]) -> Iterable[str]:
        return self._manifest.in_order(names)


def _unpacked(packed: bytes) -> Entry:
    entry: Entry = pickle.loads(packed)  # noqa: S301 - packed here
    return entry
