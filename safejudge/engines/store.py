"""Texts by key in one table of an SQLite file: where answers of models are kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAGE = 500
"""Keys per SELECT; SQLite allows 999 variables in its older versions."""

_PATIENCE = 30.0
"""Seconds that a writer waits for other processes."""

StoreError = sqlite3.Error, OSError
"""What is raised where the file cannot be used."""


class TextStore:
    """A table of texts; safe to share between threads and processes.

    Every access opens its own connection, and makes file and table where they are missing. At most
    `capacity` texts stay (None: all), those that were put there last. All methods raise
    `StoreError`.
    """

    def __init__(
        self, path: str | os.PathLike[str], table: str, capacity: int | None = None
    ) -> None:
        self.path = Path(path)
        self._table = table
        self._capacity = capacity

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the texts that are there, by key."""
        texts: dict[str, str] = {}
        with closing(self._open()) as db:
            for start in range(0, len(keys), _PAGE):
                page = keys[start : start + _PAGE]
                marks = ",".join("?" * len(page))
                select = f"SELECT key, value FROM {self._table} WHERE key IN ({marks})"  # noqa: S608 - a name of ours, and marks
                rows = db.execute(select, page).fetchall()
                # Whatever else may stand there, nobody here has written it.
                texts |= {key: value for key, value in rows if isinstance(value, str)}
        return texts

    def put(self, texts: Mapping[str, str]) -> None:
        """Keep texts, all or none of them; a text replaces another of the same key."""
        with closing(self._open()) as db, db:
            insert = f"INSERT OR REPLACE INTO {self._table} (key, value) VALUES (?, ?)"  # noqa: S608 - a name of ours
            db.executemany(insert, list(texts.items()))
            if self._capacity is not None:
                # SQLite numbers rows upward, and a text that is put anew gets a new number.
                oldest = f"(SELECT max(rowid) FROM {self._table}) - ?"  # noqa: S608 - the same
                delete = f"DELETE FROM {self._table} WHERE rowid <= {oldest}"  # noqa: S608 - the same
                db.execute(delete, (self._capacity,))

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=_PATIENCE)
        try:
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (key TEXT PRIMARY KEY, value TEXT)"
            )
        except BaseException:
            db.close()
            raise
        return db
