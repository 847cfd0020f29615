"""Folders that parts of records are written to: of this machine, or of a store.

Takes names and bytes; a part is there whole or not at all, and once: nobody else's takes its place.
On the disk a lock keeps other runs out. A store has none, so there a new part is only written where
nothing has its name, and a second run meets that as an error. At its end a run looks whether its
parts are still there, and no others.
"""

from __future__ import annotations

import os
import re
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
PART = re.compile(r"part-(\d+)\.parquet")
"""What a part is called."""


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

    def check_alone(self) -> None:
        """Raise `OutputError` where another run wrote or removed parts; also `StoreError`."""

    def close(self) -> None:
        """Let other runs in."""


def opened(where: Where) -> Folder:
    """Open a folder, and make it where it is not. Raises `OutputError`, `StoreError`."""
    return _Stored(where) if isinstance(where, str) else _OnDisk(where)


def parts_of(files: Folder, where: Where, *, known: bool) -> list[str]:
    """Return the names of the parts in a folder, in order.

    `known`: the user said what becomes of parts that are there. Raises `OutputError` where they are
    not, for anything that is no part, and as `names` does.
    """
    names = files.names()
    if strange := [name for name in names if not PART.fullmatch(name)]:
        raise OutputError(
            f"{where}: holds something else ({strange[0]}); name a new or empty folder"
        )
    if names and not known:
        raise holds_records(where)
    return names


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

    def check_alone(self) -> None:
        """The lock has seen to it."""

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
        self._sizes: dict[str, int | None] = {}
        """Bytes of what lay there, as this run changed it, by name."""

    def names(self) -> list[str]:
        self._sizes = self._there()
        return list(self._sizes)

    def _there(self) -> dict[str, int | None]:
        """Bytes of what lies there, by name, in order."""
        found = remote.look(self._address)
        if found.what == "file":
            raise OutputError(
                f"{self._address}: is a file, and records go into a folder, as Parquet; name "
                "another"
            )
        if found.what != "folder":  # a pattern would be none of ours
            return {}
        start = f"{self._address}/"
        return {file.address.removeprefix(start): file.size for file in found.files}

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
        self._sizes[name] = len(data)

    def replace(self, name: str, data: bytes) -> None:
        with self._writing(name):
            remote.write(self._of(name), data, new=False)
        self._sizes[name] = len(data)

    def remove(self, name: str) -> None:
        with self._writing(name):
            remote.remove(self._of(name))
        self._sizes.pop(name, None)

    def check_alone(self) -> None:
        there = self._there()
        changed = sorted(there.items() ^ self._sizes.items(), key=str)
        if changed:
            raise OutputError(
                f"{self._of(changed[0][0])}: another run wrote to this folder meanwhile, so "
                "records may be missing or there twice; let every run on it end, and judge once "
                "more with --resume, which mends both"
            )

    def close(self) -> None:
        """Nothing is open."""

    def _of(self, name: str) -> str:
        return f"{self._address}/{name}"

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        with writing(self._of(name), _STAYS):
            yield
