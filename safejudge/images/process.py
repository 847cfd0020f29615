"""Other people's files are read in a process that the kernel holds to a share of time and memory.

Takes a job for that process (`worker`) and what is to be made of its answer; gives that. It is
started once and kept. A job that takes more than its share ends the process, and becomes an
`ImageError`. Thread-safe, and safe to fork.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from safejudge.errors import ImageError
from safejudge.images.child import START, Answer, EndedError, Job, Process, Watch
from safejudge.images.ordinary import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

T = TypeVar("T")

PATIENCE = 10.0
"""On a busy machine a second of a processor takes longer; so many times as long is waited."""
_KEPT = 4
"""Idle processes that are kept."""


class Processes:
    """As many as threads need at a time."""

    def __init__(self, command: Sequence[str] | None = None, patience: float = PATIENCE) -> None:
        """Start none yet; `command` is what a process runs, `patience` as `PATIENCE`."""
        self._command = command
        self._patience = patience
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._lock = threading.Lock()
        self._broken: str | None = None

    def run(self, job: Job, read: Callable[[Answer], T], stop: Event | None = None) -> T:
        """Have a job done and make something of the answer; give it up when `stop` is set.

        Raises `ImageError`. A `ValueError`, `KeyError` or `TypeError` of `read` stands for an
        answer that makes no sense.
        """
        process = self._taken(job.name, stop)
        try:
            watch = Watch(time.monotonic() + self._patience * job.seconds, stop)
            result = read(process.ask(job, watch))
        except ImageError:
            self._put_back(process)
            raise
        except (EndedError, OSError, ValueError, KeyError, TypeError) as error:
            self._end(process)
            raise _refusal(error, job) from error
        except MemoryError as error:  # here, not there
            self._end(process)
            raise ImageError(
                "too_many_pixels", f"{job.name}: needs more memory than there is; scale it down"
            ) from error
        except BaseException:
            self._end(process)
            raise
        self._put_back(process)
        return result

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def forget(self) -> None:
        """Begin anew in a forked child: the processes are the parent's."""
        self._lock = threading.Lock()
        every = [*self._idle, *self._busy]
        self._idle, self._busy = [], set()
        for process in every:
            process.forget()

    def _taken(self, name: str, stop: Event | None) -> Process:
        while self._idle:
            with self._lock:
                process = self._idle.pop() if self._idle else None
                if process is not None:
                    self._busy.add(process)
            if process is not None and process.lives:
                return process
            if process is not None:
                self._end(process)
        if self._broken is not None:
            raise _none(name, self._broken)
        return self._started(name, stop)

    def _started(self, name: str, stop: Event | None) -> Process:
        try:
            process = Process(self._command or _command())
        except (OSError, ValueError) as error:
            raise _none(name, str(error)) from error
        with self._lock:
            self._busy.add(process)
        try:
            process.await_start(START, stop)
        except (EndedError, OSError, ValueError) as error:
            self._end(process)
            if not isinstance(error, EndedError) or error.reason != "too_slow":
                self._broken = str(error)  # the next one would fare alike
            raise _none(name, str(error)) from error
        except BaseException:
            self._end(process)
            raise
        return process

    def _put_back(self, process: Process) -> None:
        with self._lock:
            self._busy.discard(process)
            if len(self._idle) < _KEPT and not process.spent:
                self._idle.append(process)
                return
        process.close()

    def _end(self, process: Process) -> None:
        with self._lock:
            self._busy.discard(process)
        process.close()


def _command() -> Sequence[str]:
    if not sys.executable:
        raise OSError("this Python does not know its own program")
    return (sys.executable, "-P", "-m", "safejudge.images.worker")


def _refusal(error: Exception, job: Job) -> ImageError:
    if not isinstance(error, EndedError):
        return ImageError("unreadable", f"{job.name}: what reads it answered nonsense ({error})")
    if error.reason == "too_slow":
        seconds = f"more than {job.seconds} s of a processor"
        return ImageError("too_slow", f"{job.name}: {error}, {seconds}; save it again")
    return ImageError(error.reason, f"{job.name}: {error}; save or download it again")


def _none(name: str, problem: str) -> ImageError:
    return ImageError(
        "no_decoder",
        f"{name}: is read in a process of its own, and none can be started ({problem}); let this "
        f"program start {sys.executable or 'Python'}, or hand over an ordinary PNG or JPEG of at "
        f"most {MAX_PIXELS} pixels",
    )


POOL = Processes()
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
atexit.register(POOL.close)
