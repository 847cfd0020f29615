"""What a forked child must not inherit: locks that threads of its parent hold.

A data loader with workers, and a server that forks for its requests, take a judge along. Of the
parent's threads none goes with them, so a lock that one of them held would never be opened again.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from types import TracebackType


class ProcessLock:
    """A lock for the threads of one process; a forked child finds it open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Forget who held it."""
        self._lock = threading.Lock()


_LOCKS: WeakSet[ProcessLock] = WeakSet()


def _renew_all() -> None:
    for lock in list(_LOCKS):
        lock.renew()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_renew_all)


class Home:
    """The process that something was opened in."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def left(self) -> bool:
        """Whether this is a forked child of it."""
        return os.getpid() != self._process
