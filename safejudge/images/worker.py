"""The process that `process` starts: it does one job after the other.

Takes requests on its standard input, each a header and perhaps the bytes of a file; answers on what
was its standard output with a header, and perhaps pixels or bytes. It may take so much time and
memory as the request says, and the kernel holds it to that. It ends with the process that started
it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from safejudge.errors import ImageError
from safejudge.images.decoding import decode
from safejudge.images.tables import Tables
from safejudge.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _typeshed import ReadableBuffer

    from safejudge.types import JSON

READY = {"ready": True}
"""What it says first."""


def main(lifeline: int) -> None:
    """Answer until nobody asks any more; `lifeline` is a pipe whose other end the parent holds."""
    _end_with(lifeline)
    with contextlib.suppress(ImportError):  # a Pillow without AVIF
        from PIL import AvifImagePlugin  # noqa: PLC0415 - it may not be there

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the time of all threads counts
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers, Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what a library prints is no answer
        _write(answers, READY, [])
        while size := requests.read(8):
            header = json.loads(requests.read(int.from_bytes(size, "big")))
            body = requests.read(header["size"])
            _limit(header["seconds"], header["memory"])
            _answer(answers, header, body)


def _answer(answers: BinaryIO, request: JSON, body: bytes) -> None:
    try:
        header, parts = _JOBS[request["job"]](request, body)
    except ImageError as error:
        spent = isinstance(error.__cause__, MemoryError)
        header, parts = {"reason": error.reason, "message": str(error), "spent": spent}, []
    except MemoryError:
        message = f"{request['name']}: needs too much memory; make it smaller"
        header, parts = {"reason": "too_many_pixels", "message": message, "spent": True}, []
    _write(answers, header, parts)


def _write(answers: BinaryIO, header: JSON, parts: Sequence[ReadableBuffer]) -> None:
    text = json.dumps(header).encode()
    answers.write(len(text).to_bytes(8, "big") + text)
    answers.writelines(parts)
    answers.flush()


# --- jobs -----------------------------------------------------------------------------------------


def _decode(request: JSON, body: bytes) -> tuple[JSON, list[ReadableBuffer]]:
    image = decode(body, request["name"], Policy.model_validate(request["policy"]))
    header: JSON = {
        "id": image.id,
        "frames": None if image.frames is None else image.frames.model_dump(),
        "pictures": [
            {
                "shape": picture.pixels.shape,
                "digest": picture.digest,
                "frame": picture.frame,
                "background": picture.background,
                "label": picture.label,
            }
            for picture in image.pictures
        ],
    }
    return header, [picture.pixels.data for picture in image.pictures]


_TABLES = Tables()


def _describe(request: JSON, _: bytes) -> tuple[JSON, list[ReadableBuffer]]:
    return _TABLES.describe(request["path"], request["name"]), []


def _cell(request: JSON, _: bytes) -> tuple[JSON, list[ReadableBuffer]]:
    cell = _TABLES.cell(
        request["path"], request["name"], request["group"], request["row"], request["limit"]
    )
    data = cell.content if isinstance(cell.content, bytes) else None
    path = cell.content if isinstance(cell.content, str) else None
    header = {"bytes": None if data is None else len(data), "path": path, "caption": cell.caption}
    return header, [] if data is None else [data]


_JOBS: Mapping[str, Callable[[JSON, bytes], tuple[JSON, Sequence[ReadableBuffer]]]] = {
    "decode": _decode,
    "describe": _describe,
    "cell": _cell,
}


# --- limits ---------------------------------------------------------------------------------------


def _limit(seconds: int, memory: int) -> None:
    """Let the kernel end this process, or refuse it memory, where the next file takes too much."""
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(time.process_time()) + 1 + seconds),
        (resource.RLIMIT_AS, memory),
    ):
        _, most = resource.getrlimit(name)
        capped = value if most == resource.RLIM_INFINITY else min(value, most)
        with contextlib.suppress(OSError, ValueError):  # macOS knows no limit of addresses
            resource.setrlimit(name, (capped, most))


def _end_with(lifeline: int) -> None:
    """Have the kernel end this process as soon as nobody holds the other end of a pipe.

    Whatever it is doing then: it may be deep in a decoder. Its standard input ends, too, but that
    is only looked at between two files.
    """
    with contextlib.suppress(OSError):  # macOS does so for sockets only
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO, which ends a process
    if select.select([lifeline], [], [], 0)[0]:  # too late for a signal
        sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
