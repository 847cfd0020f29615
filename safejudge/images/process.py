"""Other people's files are read in a process that the kernel holds to a share of time and memory.

Takes a job for that process (`worker`) and what is to be made of its answer; gives that. It is
started once and kept. A job that takes more than its share ends the process, and becomes an
`ImageError`. Thread-safe, and safe to fork.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from safejudge.errors import ImageError
from safejudge.images.ordinary import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from safejudge.types import JSON

T = TypeVar("T")

PATIENCE = 10.0
"""On a busy machine a second of a processor takes longer; so many times as long is waited."""
START = 60.0
"""Seconds in which the process has to be there."""
_KEPT = 4
"""Idle processes that are kept."""
_TICK = 0.05
"""Seconds between two looks at the clock, and whether to stop."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR")
"""Variables that the process may need; keys and passwords stay here."""
_OWN = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Threads that nobody uses, and memory that is kept for later, would take addresses."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to do."""

    name: str
    """Of the file, for messages."""
    header: JSON
    """What `worker` is told."""
    seconds: int
    """Of a processor, that it may take."""
    memory: int
    """Bytes of addresses that the process may have meanwhile."""
    body: bytes = b""
    """The file, where it is not read there."""


class EndedError(Exception):
    """The process is no more. `reason` as in an `ImageError`."""

    def __init__(self, reason: str, problem: str) -> None:
        self.reason = reason
        super().__init__(problem)


# --- one process ----------------------------------------------------------------------------------


class Process:
    """One process, which does one job at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it; `command` is followed by the number of a pipe that lives as long as we do."""
        end, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, str(end)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries write what they think of broken files
                pass_fds=(end,),
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us
                bufsize=0,
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(end)
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101 - the same
        self.spent = False
        """Whether it is not to be given another job: its memory may be in pieces."""
        self._requests = _widened(self._process.stdin.fileno())
        self._answers = _widened(self._process.stdout.fileno())

    def await_start(self, seconds: float, stop: Event | None) -> None:
        """Wait until it is ready. Raises `EndedError`."""
        watch = Watch(time.monotonic() + seconds, stop)
        if self._header(watch) != {"ready": True}:
            raise EndedError("no_decoder", "it did not start as it should")

    @property
    def lives(self) -> bool:
        """Whether it has not ended meanwhile."""
        return self._process.poll() is None

    def ask(self, job: Job, watch: Watch) -> Answer:
        """Have a job done. Raises `EndedError`, and `ImageError` where the file is refused."""
        request = {**job.header, "name": job.name, "size": len(job.body)}
        request |= {"seconds": job.seconds, "memory": job.memory}
        text = json.dumps(request).encode()
        self._send([len(text).to_bytes(8, "big") + text, job.body], watch)
        header = self._header(watch)
        self.spent = bool(header.get("spent"))
        if "reason" in header:
            raise ImageError(header["reason"], header["message"])
        return Answer(header, self, watch)

    def receive(self, into: memoryview, watch: Watch) -> None:
        """Fill a buffer with what it sends. Raises `EndedError`."""
        while into:
            try:
                count = os.readv(self._answers, [into])
            except BlockingIOError:
                watch.wait(self._answers, selectors.EVENT_READ)
                continue
            if not count:
                raise self._ended()
            into = into[count:]

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Let go of it; in a forked child it is the parent's."""
        self._process.returncode = self._process.returncode or 0  # nobody is to wait for it
        os.close(self._lifeline)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _header(self, watch: Watch) -> JSON:
        size = bytearray(8)
        self.receive(memoryview(size), watch)
        length = int.from_bytes(size, "big")
        if length > _HEADER:
            raise ValueError("too much")
        text = bytearray(length)
        self.receive(memoryview(text), watch)
        header: JSON = json.loads(text)
        return header

    def _send(self, parts: Sequence[bytes], watch: Watch) -> None:
        for part in parts:
            left = memoryview(part)
            while left:
                try:
                    left = left[os.write(self._requests, left[:_PIPE]) :]
                except BlockingIOError:
                    watch.wait(self._requests, selectors.EVENT_WRITE)
                except BrokenPipeError:
                    raise self._ended() from None

    def _ended(self) -> EndedError:
        """Say how it came to its end."""
        try:
            code = self._process.wait(START)
        except subprocess.TimeoutExpired:
            return EndedError("unreadable", "what reads it fell silent")
        if code == -_SIGXCPU:
            return EndedError("too_slow", "takes too long to read")
        return EndedError("unreadable", f"what reads it died of it (exit code {code})")


_SIGXCPU = 24
_HEADER = 2**24
"""Bytes that the description of an image has at most."""
_PIPE = 2**20
"""Bytes that a pipe is asked to hold; the more, the fewer turns a large picture takes."""


def _widened(pipe: int) -> int:
    """Make a pipe that does not block, and holds much where the system allows it."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    return pipe


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process says to a job."""

    header: JSON
    """In words; bytes may follow."""
    _process: Process
    _watch: Watch

    def fill(self, into: memoryview) -> None:
        """Fill a buffer with the bytes that come next."""
        self._process.receive(into, self._watch)


class Watch:
    """How long is waited for a process: until a deadline, or until somebody says stop."""

    def __init__(self, deadline: float, stop: Event | None) -> None:
        self._deadline, self._stop = deadline, stop

    def wait(self, pipe: int, event: int) -> None:
        """Wait until a pipe can be read or written. Raises `EndedError`."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            while not selector.select(_TICK):
                if self._stop is not None and self._stop.is_set():
                    raise EndedError("too_slow", "was given up, since the run was stopped")
                if time.monotonic() > self._deadline:
                    raise EndedError("too_slow", "takes too long to read")


# --- all of them ----------------------------------------------------------------------------------


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


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *(str(Path(path).absolute()) for path in sys.path)]
    return passed_on | _OWN | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


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
