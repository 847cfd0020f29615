"""Outputs: checked before any work, written by one run at a time, whole or not at all.

A lock is one of the operating system on an open file (`flock`, on Windows `LockFileEx`), so it ends
with its process, even with one that was killed, and no file that is left over keeps anybody out.
Where a lock leaves readers alone, which is everywhere but on Windows, a file of results is locked
itself and nothing lies beside it. On Windows, and for a folder, the lock is on a hidden file
(`.NAME.lock` beside the file, `.lock` in the folder), which goes when the run ends; after a kill it
stays, and does no harm. On a file system without locks, two runs on one output are their caller's
care.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from filelock import lock_descriptor, unlock_descriptor

from safejudge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

_WINDOWS = os.name == "nt"


# --- checks ---------------------------------------------------------------------------------------


_STORE = re.compile(r"([a-zA-Z][a-zA-Z0-9]+):/+(.*)", re.DOTALL)
"""An address, of which a `Path` folds the slashes."""


def store_address(path: Path) -> tuple[str, str] | None:
    """Return the address that was typed for `path`, and what copies it; None for a path."""
    typed = _STORE.fullmatch(str(path))
    if typed is None or path.parent.is_dir():
        return None
    command = "aws s3 cp --recursive" if typed[1] == "s3" else "the tool of the store"
    return f"{typed[1]}://{typed[2]}", command


def check_parent(path: Path) -> None:
    """Raise `OutputError` where there is no folder for `path`, as in a store.

    A record has to be on the disk before the next is made, and a store neither appends nor locks.
    """
    if (stored := store_address(path)) is not None:
        address, command = stored
        raise OutputError(
            f"{address}: lies in a store, where only judge --out writes; write to a "
            f"folder of this machine, and copy it afterwards ({command})"
        )
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")


def check_file(path: Path, advice: str = "name another") -> bool:
    """Return whether `path` exists already; raise `OutputError` where no file can be written.

    `advice` is what to do where something else than a file is there.
    """
    check_parent(path)
    if not os.path.lexists(path):
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"{path}: the folder {path.parent} cannot be written to; {advice}")
        return False
    if not path.is_file():
        raise OutputError(f"{path}: is no regular file; {advice}")
    return True


# --- writing --------------------------------------------------------------------------------------


@contextmanager
def writing(path: Path | str, consequence: str = "") -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` that names `path`, and perhaps what follows."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}){consequence}") from error


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield the path of a new file, which takes the place of `path` when the block has written it.

    After an error or a kill, what was at `path` is still there, whole; a kill may leave the hidden
    new file beside it. The block may make a file or a link. `durable`: the disk has the contents
    before the name, so that the same holds when the machine stops.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)  # of a killed process with our number; it may be a link to others'
    try:
        yield new
        if durable:
            with new.open("rb+") as stream:
                os.fsync(stream.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


# --- locks ----------------------------------------------------------------------------------------


class Lock:
    """Keeps other runs from writing to an output, until it is closed or its process ends."""

    def __init__(self, stream: IO[Any], hidden: Path | None = None) -> None:
        """Own the lock on an open file; with `hidden`, its path, the file as well."""
        self._stream, self._hidden = stream, hidden

    @classmethod
    def of_file(cls, path: Path, stream: IO[Any]) -> Self:
        """Lock the file that `stream` has open for writing; it ends with the stream at the latest.

        Raises `OutputError` where another run has it, and `OSError`.
        """
        if _WINDOWS:
            return cls._of_hidden(path.with_name(f".{path.name}.lock"), path)
        _acquire(stream, path)
        return cls(stream)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Lock a folder. Raises `OutputError` where another run has it, and `OSError`."""
        return cls._of_hidden(folder / ".lock", folder)

    @classmethod
    def _of_hidden(cls, hidden: Path, output: Path) -> Self:
        while True:
            stream = hidden.open("ab")
            try:
                _acquire(stream, output)
                if is_at(hidden, stream):
                    return cls(stream, hidden)
            except BaseException:
                stream.close()
                raise
            stream.close()  # the run before has just removed this one

    def close(self) -> None:
        """Let others write. Closing twice is fine."""
        if self._stream.closed:
            return
        if self._hidden is None:
            _release(self._stream)
        elif _WINDOWS:  # no open file can be removed there, and no other run's locked one
            self._stream.close()
            with suppress(OSError):
                self._hidden.unlink()
        else:
            with suppress(OSError):
                self._hidden.unlink()  # before anybody else can have the lock
            _release(self._stream)
            self._stream.close()


def _acquire(stream: IO[Any], output: Path) -> None:
    try:
        locked = lock_descriptor(stream.fileno(), blocking=False)
    except OSError:
        return  # a file system without locks
    if not locked:
        raise OutputError(f"{output}: another run is writing to it")


def _release(stream: IO[Any]) -> None:
    """Release the lock for processes too that were forked meanwhile and have the file open."""
    with suppress(OSError):  # a file system without locks
        unlock_descriptor(stream.fileno())


def is_replaceable_while_open() -> bool:
    """Whether another file can take the place of one that is open; on Windows it cannot."""
    return not _WINDOWS


def is_at(path: Path, stream: IO[Any]) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
