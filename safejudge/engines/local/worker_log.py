"""What vLLM's own processes log of their errors, kept in a file, so that it can be told.

vLLM says of a process that died only that it did; the cause stands in that process's log, pages
above. Its loggers are set up by a file that an environment variable names; where a person has
named one, it stays as it is, and no cause is known.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from safejudge.text import cut

_LEVEL, _CONFIG = "VLLM_LOGGING_LEVEL", "VLLM_LOGGING_CONFIG_PATH"
_READ = 2**16
"""Bytes at the end of the log that are looked through."""
_RAISED = re.compile(
    r"^(?:\w+\.)*(?P<error>\w*(?:Error|Exception|Interrupt|Exit)\b.*)$", re.MULTILINE
)
_EMPTY = ("EngineDeadError", "root cause")
"""What the others say of the one that died: nothing, or to look above."""


@cache
def keep_worker_log() -> Path | None:
    """Have vLLM log its errors to a file as well; before it is imported, once for a process.

    Returns the file; None where vLLM's loggers are set up already.
    """
    os.environ.setdefault(_LEVEL, "ERROR")  # it tells its whole start otherwise
    if "vllm" in sys.modules or _CONFIG in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="safejudge-vllm-"))
    owner = os.getpid()
    atexit.register(_remove, folder, owner)
    log, settings = folder / "errors.log", folder / "logging.json"
    plain = "%(levelname)s %(asctime)s [%(name)s] %(message)s"
    handlers = {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
        "file": {
            "class": "logging.FileHandler",
            "formatter": "plain",
            "filename": str(log),
            "encoding": "utf-8",
            "level": "ERROR",
            "delay": True,
        },
    }
    logger = {"handlers": list(handlers), "level": os.environ[_LEVEL], "propagate": False}
    settings.write_text(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"plain": {"format": plain}},
                "handlers": handlers,
                "loggers": {"vllm": logger},
            }
        )
    )
    os.environ[_CONFIG] = str(settings)
    return log


def _remove(folder: Path, owner: int) -> None:
    """Not in a forked child: the file is its parent's."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def last_error(log: Path | None) -> str:
    """Return the last exception in a log; empty where there is none."""
    try:
        with (log or Path()).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    raised = [match["error"] for match in _RAISED.finditer(text)]
    telling = (one for one in reversed(raised) if not any(empty in one for empty in _EMPTY))
    return next((cut(one.strip()) for one in telling), "")
