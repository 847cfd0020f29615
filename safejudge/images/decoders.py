"""Files are decoded in bounded time and memory, whatever is in them.

Takes the bytes of a file; gives what `decoding` makes of them. What is certain to be cheap
(`ordinary`) is decoded here. Everything else goes to another process (`worker`), which is started
once and kept: a file that takes more than its share ends that process, and becomes an `ImageError`.
Thread-safe, and safe to fork.
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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safejudge.errors import ImageError
from safejudge.images import decoding
from safejudge.images.ordinary import MAX_PIXELS, is_ordinary
from safejudge.images.sampling import KEEP_FACTOR
from safejudge.types import Frames, ImageInput, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from safejudge.policy import Policy
    from safejudge.types import JSON

SECONDS, PIXELS_PER_SECOND = 10, 4_000_000
"""Seconds of a processor that a file may take: so many, and one for so many of
`Policy.max_pixels`; 20 by default."""
MEMORY, BYTES_PER_PIXEL = 2**30, 32
"""Bytes of addresses that the process may have: so many, and so many for each of
`Policy.max_pixels`; 2.2 GiB by default."""
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
_OWN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Threads that nobody uses would take addresses."""


def decode(data: bytes, name: str, policy: Policy, stop: Event | None = None) -> ImageInput:
    """Decode a file. Raises `ImageError`; also when `stop` is set meanwhile."""
    if is_ordinary(data):
        return decoding.decode(data, name, policy)
    return POOL.decode(data, name, policy, stop)


class EndedError(Exception):
    """The process is no more, or said what makes no sense. `reason` as in an `ImageError`."""

    def __init__(self, reason: str, problem: str) -> None:
        self.reason = reason
        super().__init__(problem)


# --- one process ----------------------------------------------------------------------------------


class Decoder:
    """A process that decodes one file at a time."""

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
        self._requests = _widened(self._process.stdin.fileno())
        self._answers = _widened(self._process.stdout.fileno())

    def await_start(self, seconds: float, stop: Event | None) -> None:
        """Wait until it is ready. Raises `EndedError`."""
        watch = _Watch(time.monotonic() + seconds, stop)
        if self._header(watch) != {"ready": True}:
            raise EndedError("no_decoder", "it did not start as it should")

    @property
    def lives(self) -> bool:
        """Whether it has not ended meanwhile."""
        return self._process.poll() is None

    def decode(self, request: JSON, body: bytes, watch: _Watch) -> ImageInput:
        """Have a file decoded. Raises `EndedError`, and `ImageError` where it is refused."""
        text = json.dumps(request).encode()
        self._send([len(text).to_bytes(8, "big") + text, body], watch)
        header = self._header(watch)
        if "reason" in header:
            raise ImageError(header["reason"], header["message"])
        if sum(map(_size, header["pictures"])) > request["keep"]:
            raise ValueError("too much")
        frames = header["frames"]
        return ImageInput(
            header["id"],
            request["name"],
            tuple(self._picture(picture, watch) for picture in header["pictures"]),
            None if frames is None else Frames.model_validate(frames),
        )

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

    def _picture(self, about: JSON, watch: _Watch) -> Picture:
        pixels = np.empty(about["shape"], np.uint8)
        self._receive(pixels.reshape(-1).data, watch)
        pixels.setflags(write=False)
        return Picture(pixels, about["digest"], about["frame"], about["background"])

    def _header(self, watch: _Watch) -> JSON:
        size = bytearray(8)
        self._receive(memoryview(size), watch)
        length = int.from_bytes(size, "big")
        if length > _HEADER:
            raise ValueError("too much")
        text = bytearray(length)
        self._receive(memoryview(text), watch)
        header: JSON = json.loads(text)
        return header

    def _send(self, parts: Sequence[bytes], watch: _Watch) -> None:
        for part in parts:
            left = memoryview(part)
            while left:
                try:
                    left = left[os.write(self._requests, left[:_PIPE]) :]
                except BlockingIOError:
                    watch.wait(self._requests, selectors.EVENT_WRITE)
                except BrokenPipeError:
                    raise self._ended() from None

    def _receive(self, into: memoryview, watch: _Watch) -> None:
        while into:
            try:
                count = os.readv(self._answers, [into])
            except BlockingIOError:
                watch.wait(self._answers, selectors.EVENT_READ)
                continue
            if not count:
                raise self._ended()
            into = into[count:]

    def _ended(self) -> EndedError:
        """Say how it came to its end."""
        try:
            code = self._process.wait(START)
        except subprocess.TimeoutExpired:
            return EndedError("unreadable", "its decoder fell silent")
        if code == -_SIGXCPU:
            return EndedError("too_slow", "takes too long to decode")
        return EndedError("unreadable", f"its decoder died of it (exit code {code})")


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


def _size(about: JSON) -> int:
    height, width, _ = about["shape"]
    return int(height) * int(width)


class _Watch:
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
                    raise EndedError("too_slow", "takes too long to decode")


# --- all of them ----------------------------------------------------------------------------------


class Decoders:
    """The processes that decode; as many as threads need at a time."""

    def __init__(self, command: Sequence[str] | None = None, patience: float = PATIENCE) -> None:
        """Start none yet; `command` is what a process runs, `patience` as `PATIENCE`."""
        self._command = command
        self._patience = patience
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._lock = threading.Lock()
        self._broken: str | None = None

    def decode(self, data: bytes, name: str, policy: Policy, stop: Event | None) -> ImageInput:
        """Have a file decoded. Raises `ImageError`."""
        seconds = SECONDS + policy.max_pixels // PIXELS_PER_SECOND
        request = {
            "name": name,
            "policy": policy.model_dump(),
            "size": len(data),
            "keep": KEEP_FACTOR * policy.max_pixels,
            "seconds": seconds,
            "memory": MEMORY + BYTES_PER_PIXEL * policy.max_pixels,
        }
        decoder = self._taken(name, stop)
        try:
            image = decoder.decode(request, data, _Watch(self._deadline(seconds), stop))
        except ImageError:
            self._put_back(decoder)
            raise
        except (EndedError, OSError, ValueError, KeyError, TypeError) as error:
            self._end(decoder)
            raise _refusal(error, name, seconds) from error
        except BaseException:
            self._end(decoder)
            raise
        self._put_back(decoder)
        return image

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()

    def forget(self) -> None:
        """Begin anew in a forked child: the processes are the parent's."""
        self._lock = threading.Lock()
        every = [*self._idle, *self._busy]
        self._idle, self._busy = [], set()
        for decoder in every:
            decoder.forget()

    def _deadline(self, seconds: float) -> float:
        return time.monotonic() + self._patience * seconds

    def _taken(self, name: str, stop: Event | None) -> Decoder:
        while self._idle:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
                if decoder is not None:
                    self._busy.add(decoder)
            if decoder is not None and decoder.lives:
                return decoder
            if decoder is not None:
                self._end(decoder)
        if self._broken is not None:
            raise _none(name, self._broken)
        return self._started(name, stop)

    def _started(self, name: str, stop: Event | None) -> Decoder:
        try:
            decoder = Decoder(self._command or _command())
        except (OSError, ValueError) as error:
            raise _none(name, str(error)) from error
        with self._lock:
            self._busy.add(decoder)
        try:
            decoder.await_start(START, stop)
        except (EndedError, OSError, ValueError) as error:
            self._end(decoder)
            if stop is None or not stop.is_set():
                self._broken = str(error)  # the next one would fare alike, and waiting is dear
            raise _none(name, str(error)) from error
        except BaseException:
            self._end(decoder)
            raise
        return decoder

    def _put_back(self, decoder: Decoder) -> None:
        with self._lock:
            self._busy.discard(decoder)
            if len(self._idle) < _KEPT:
                self._idle.append(decoder)
                return
        decoder.close()

    def _end(self, decoder: Decoder) -> None:
        with self._lock:
            self._busy.discard(decoder)
        decoder.close()


def _command() -> Sequence[str]:
    if not sys.executable:
        raise OSError("this Python does not know its own program")
    return (sys.executable, "-P", "-m", "safejudge.images.worker")


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *(str(Path(path).absolute()) for path in sys.path)]
    return passed_on | _OWN | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _refusal(error: Exception, name: str, seconds: int) -> ImageError:
    if not isinstance(error, EndedError):
        return ImageError("unreadable", f"{name}: its decoder answered nonsense ({error})")
    if error.reason == "too_slow":
        return ImageError("too_slow", f"{name}: {error}, more than {seconds} s; save it again")
    return ImageError(error.reason, f"{name}: {error}; save or download it again")


def _none(name: str, problem: str) -> ImageError:
    return ImageError(
        "no_decoder",
        f"{name}: is decoded in a process of its own, and none can be started ({problem}); let "
        f"this program start {sys.executable or 'Python'}, or hand over an ordinary PNG or JPEG "
        f"of at most {MAX_PIXELS} pixels",
    )


POOL = Decoders()
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
atexit.register(POOL.close)
