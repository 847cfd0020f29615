"""Folders that parts of records are written to: of this machine, or of a store.

Takes names and bytes; a part is there whole or not at all, and once: nobody else's takes its place.
On the disk a lock keeps other runs out. A store has none, so there a new part is only written where
nothing has its name, and a second run meets that as an error.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from safejudge.errors import OutputError
from safejudge.files import remote
from safejudge.files.atomic import Lock, check_parent, replacing, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Where = Path | str
    """A path, or the address of a folder in a store."""

_STAYS = "; the parts before it stay, and the same command with --resume goes on from there"
_WRITABLE = ("s3", "gs")


class Folder(Protocol):
    """Where parts are."""

    def names(self) -> list[str]:
        """Return what is there, in order; hidden files are not told."""

    def lock(self) -> None:
        """Keep other runs out, where that can be done. Raises `OutputError`."""

    def read(self, name: str) -> bytes:
        """Return a part. Raises `OSError`, `StoreError`."""

    def create(self, name: str, data: bytes) -> None:
        """Write a new part. Raises `OutputError`, `StoreError`."""

    def replace(self, name: str, data: bytes) -> None:
        """Put another part in the place of one. Raises the same."""

    def remove(self, name: str) -> None:
        """Remove a part. Raises the same."""

    def close(self) -> None:
        """Let other runs in."""


def opened(where: Where) -> Folder:
    """Open a folder, and make it where it is not. Raises `OutputError`, `StoreError`."""
    return _Stored(where) if isinstance(where, str) else _OnDisk(where)


def holds_records(folder: object) -> OutputError:
    """Say that a folder is not empty."""
    return OutputError(
        f"{folder}: holds records already; --resume judges what is missing in it, "
        "--overwrite starts anew"
    )


class _OnDisk:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: Lock | None = None
        check_parent(path)
        if os.path.lexists(path) and not path.is_dir():
            raise OutputError(f"{path}: is no folder; records go into one, as Parquet files")
        with writing(path):
            path.mkdir(exist_ok=True)

    def names(self) -> list[str]:
        with writing(self._path):
            entries = sorted(path.name for path in self._path.iterdir())
        return [name for name in entries if not name.startswith(".")]

    def lock(self) -> None:
        with writing(self._path):
            self._lock = Lock.of_folder(self._path)

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def create(self, name: str, data: bytes) -> None:
        with self._writing(name), replacing(self._path / name, durable=True) as new:
            new.write_bytes(data)

    def replace(self, name: str, data: bytes) -> None:
        self.create(name, data)

    def remove(self, name: str) -> None:
        with self._writing(name):
            (self._path / name).unlink(missing_ok=True)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        with writing(self._path / name, _STAYS):
            yield


class _Stored:
    def __init__(self, address: str) -> None:
        remote.check_address(address)
        scheme = address.partition("://")[0]
        if scheme not in _WRITABLE:
            raise OutputError(f"{address}: is only read here; write to s3://, gs:// or a folder")
        self._address = address.rstrip("/")

    def names(self) -> list[str]:
        found = remote.look(self._address)
        if found.what == "missing":
            return []
        if found.what != "folder":
            raise OutputError(f"{self._address}: is no folder; records go into one, as Parquet")
        start = f"{self._address}/"
        return [file.address.removeprefix(start) for file in found.files]

    def lock(self) -> None:
        """There is none: see `create`."""

    def read(self, name: str) -> bytes:
        return remote.read_whole(self._of(name))

    def create(self, name: str, data: bytes) -> None:
        with self._writing(name):
            try:
                remote.write(self._of(name), data, new=True)
            except FileExistsError as error:
                if (
                    remote.read_whole(self._of(name)) != data
                ):  # else it was written, and tried again
                    raise OutputError(
                        f"{self._of(name)}: another run is writing to it; let it end, and go on "
                        "with --resume"
                    ) from error

    def replace(self, name: str, data: bytes) -> None:
        with self._writing(name):
            remote.write(self._of(name), data, new=False)

    def remove(self, name: str) -> None:
        with self._writing(name):
            remote.remove(self._of(name))

    def close(self) -> None:
        """Nothing is open."""

    def _of(self, name: str) -> str:
        return f"{self._address}/{name}"

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        with writing(self._of(name), _STAYS):
            yield
