"""Copies of shards that lie in stores: made to be listed, or kept while rows of them are read.

Takes files of a store; gives paths on this machine. What is kept is one shard, the latest: images
of one stand together.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from safejudge.errors import StoreError
from safejudge.files import remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.files.remote import RemoteFile


class Copies:
    """The copies of one process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._latest: RemoteFile | None = None
        self._copy: _Copy | None = None

    @contextmanager
    def made(self, file: RemoteFile) -> Iterator[Path]:
        """Copy a file, and remove the copy after the block. Raises as `remote.read`."""
        with tempfile.TemporaryDirectory(prefix="safejudge-") as folder:
            yield _copied(file, Path(folder))

    @contextmanager
    def kept(self, file: RemoteFile) -> Iterator[Path]:
        """Copy a file unless it is the one that is kept; nobody replaces it during the block."""
        with self._lock:
            if self._copy is None or self._latest != file:
                self.forget()
                self._copy = _Copy(file)
                self._latest = file
            yield self._copy.path

    def forget(self) -> None:
        """Remove the copy."""
        copy, self._copy, self._latest = self._copy, None, None
        if copy is not None:
            copy.remove()

    def leave(self) -> None:
        """Leave the copy to the parent, in a child that was forked."""
        self._lock = threading.RLock()
        if self._copy is not None:
            self._copy.leave()
        self._copy = self._latest = None


class _Copy:
    """A copy that is kept; on Linux it has no name, so that it goes however the process ends."""

    def __init__(self, file: RemoteFile) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="safejudge-")
        try:
            self.path = _copied(file, Path(self._folder.name))
            self._file = self.path.open("rb")
        except BaseException:
            self._folder.cleanup()
            raise
        nameless = Path(f"/proc/{os.getpid()}/fd/{self._file.fileno()}")
        if nameless.exists():
            self.path = nameless
            self._folder.cleanup()

    def remove(self) -> None:
        self._file.close()
        self._folder.cleanup()

    def leave(self) -> None:
        self._folder._finalizer.detach()  # type: ignore[attr-defined]  # noqa: SLF001
        self._file.close()


def _copied(file: RemoteFile, folder: Path) -> Path:
    free, size = shutil.disk_usage(folder).free, file.size or 0
    if size > free:
        raise StoreError(
            f"{file.address}: its copy takes {size} bytes, and {folder.parent} has {free}; set "
            "TMPDIR to a folder with more, or save smaller shards"
        )
    path = folder / _name(file)
    remote.copy(file.address, path)
    return path


def _name(file: RemoteFile) -> str:
    return f"shard{PurePath(file.address).suffix}"


COPIES = Copies()
"""Those of this process."""

if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=COPIES.leave)
