"""Standard output and standard error of the process, so that neither ends it with a traceback.

Output that cannot be written (a full disk) is an `OutputError`; a closed pipe stays a
`BrokenPipeError`, which has an exit code of its own. Notes that cannot be written are lost, and the
run goes on. Nothing else is ever opened under the numbers of these two: what a library prints would
end up in it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from safejudge.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer


def prepare() -> None:
    """Replace `sys.stdout` and `sys.stderr` by ones that fail in the ways named above."""
    _open_what_is_closed()
    sys.stdout = _prepared(sys.stdout, 1, _Output)
    sys.stderr = _prepared(sys.stderr, 2, _Notes)


def _open_what_is_closed() -> None:
    """Open the standard descriptors that whoever started this process has closed."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _prepared(stream: TextIO | None, number: int, raw: type[io.FileIO]) -> TextIO:
    if stream is not None and stream.isatty():
        # A terminal has its own encoding; what goes into a pipe or a file is UTF-8 everywhere.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw(number, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=raw is _Notes,
    )


class _Output(io.FileIO):
    """What is read by others. It fails once: the interpreter flushes it again at its end."""

    _failed = False

    def write(self, content: Buffer, /) -> int:
        """Write, or raise `OutputError`."""
        if self._failed:
            return memoryview(content).nbytes
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._failed = True
            raise OutputError(
                f"standard output: cannot be written ({error.strerror}); make room, or send it "
                "elsewhere"
            ) from error


class _Notes(io.FileIO):
    """What is said beside the results."""

    def write(self, content: Buffer, /) -> int:
        """Write, if that can be done."""
        try:
            return super().write(content)
        except OSError:
            return memoryview(content).nbytes
