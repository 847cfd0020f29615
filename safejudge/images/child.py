"""A process that reads other people's files, seen from the one that started it.

Takes jobs for `worker`; gives its answers, or says how it came to its end. Whoever waits for it
waits until a deadline, or until somebody says stop. All of them together: `process`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from safejudge.types import JSON

START = 60.0
"""Seconds in which the process has to be there."""
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
                env=environment(),
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


def environment() -> dict[str, str]:
    """What a process that reads other people's files gets to know of this one's surroundings."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *(str(Path(path).absolute()) for path in sys.path)]
    return passed_on | _OWN | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
