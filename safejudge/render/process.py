"""One page, one process group: started, watched, ended with everything that it started.

Takes a job and gives the messages that come until the page is done or its time is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.images.child import START, environment
from safejudge.render.messages import Reader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from safejudge.types import JSON

_PICTURE = 2**27
"""Bytes of one picture, as the browser packs it."""
_COMMAND = (sys.executable, "-P", "-m", "safejudge.render.worker")


class Silence(Exception):  # noqa: N818 - an end, and no error of ours
    """Nothing came any more within the time: `begun` says whether the browser was there."""

    def __init__(self, *, begun: bool) -> None:
        self.begun = begun
        super().__init__("the time is over")


@dataclass(slots=True)
class _Deadline:
    """When it is over; later, once the browser is there."""

    until: float


def messages(job: JSON, seconds: float) -> Generator[tuple[JSON, bytes]]:
    """Run a job; yield its messages, of which the last is `end` or `failed`.

    Ends early where the process does. Raises `Silence` `seconds` after the browser was there, or
    when none comes. Whatever happens, nothing that was started is left.
    """
    with tempfile.TemporaryDirectory(prefix="safejudge-page-", ignore_cleanup_errors=True) as own:
        process = _started(job, own)
        browser: int | None = None
        deadline = _Deadline(time.monotonic() + START)
        try:
            for message, picture in _watched(process, deadline):
                if "ready" in message:
                    browser = int(message["ready"]["pid"])
                    deadline.until = time.monotonic() + seconds
                yield message, picture
                if "end" in message or "failed" in message:
                    return
        except TimeoutError:
            raise Silence(begun=browser is not None) from None
        finally:
            _end(process, browser)


def _started(job: JSON, own: str) -> subprocess.Popen[bytes]:
    """Start the process as the head of a group; files that it leaves go to the folder `own`."""
    file = Path(own) / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    return subprocess.Popen(
        (*_COMMAND, str(file)),
        stdin=subprocess.PIPE,  # closes when this process is gone, whatever ends it
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=own,
        env=environment() | {"HOME": own, "TMPDIR": own, "XDG_RUNTIME_DIR": own},
        start_new_session=True,
        bufsize=0,
    )


def _watched(process: subprocess.Popen[bytes], deadline: _Deadline) -> Iterator[tuple[JSON, bytes]]:
    """Yield messages until the stream ends. Raises `TimeoutError` at the deadline."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    pipe = process.stdout.fileno()
    reader = Reader(_PICTURE)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline.until - time.monotonic()
            if left <= 0 or not selector.select(left):  # also where something always comes
                raise TimeoutError
            piece = os.read(pipe, 2**20)
            if not piece:
                return
            yield from reader.feed(piece)


def _end(process: subprocess.Popen[bytes], browser: int | None) -> None:
    """Kill both groups: the browser is the head of one of its own."""
    for group in (browser, process.pid):
        if group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
