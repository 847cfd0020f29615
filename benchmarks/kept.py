"""Measurements of a long run, kept in a file, so that one that was stopped goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Kept:
    """What was measured, by name: in this run, and in one with the same file before."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there; None keeps nothing for another run."""
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path and path.exists() else []
        self._rows: dict[str, Any] = dict(map(json.loads, lines))

    def row(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return what is kept, or measure it, which gives anything that JSON holds, and keep it."""
        if name not in self._rows:
            self._rows[name] = measure()
            if self._path:
                with self._path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps([name, self._rows[name]]) + "\n")
        return self._rows[name]
