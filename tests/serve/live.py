"""`safejudge serve` as a process of its own, as users start it, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

SKETCH = ("--constitution", "sketch", "--engine", "hf:sketch")
IMAGES = 4
"""Images that a request to the fixture `server` may have."""
PER_CLIENT = 6
"""Images that one client of the fixture `service` may have there at a time."""


class Live:
    """One server. `with Live(*SKETCH, ...) as server:` starts it and ends it by SIGTERM."""

    def __init__(self, *options: str, cache: Path, log: Path | None = None) -> None:
        access = "none" if log is None else str(log)
        command = [
            sys.executable, "-m", "safejudge", "serve", "--port", "0", "--access-log", access,
            *options,
        ]  # fmt: skip
        kept = {**os.environ, "SAFEJUDGE_CACHE": str(cache)}
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=kept)
        self.said: list[str] = []
        """What it has written on standard error."""
        self.port = self._told_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # A pipe that nobody empties would stop the server one day.
        self._reader = threading.Thread(target=self.said.extend, args=(self._process.stderr,))
        self._reader.start()

    def _told_port(self) -> int:
        """Wait for the line that says where it listens."""
        for line in self._process.stderr:
            self.said.append(line)
            told = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if told:
                return int(told[1])
        raise RuntimeError(f"the server ended at the start: {''.join(self.said)}")

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, wait, and return its exit code."""
        if self._process.poll() is None:
            self.send(number)
        code = self._process.wait()
        self._reader.join()
        self._process.stderr.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
