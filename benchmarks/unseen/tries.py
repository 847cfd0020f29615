"""What every try has: drawn scenes, a way to run the command line, and the list of all tries."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

SKETCH = ("--constitution", "sketch", "--engine", "hf:sketch")
"""The judge that is tried, where a try has none of its own."""
RULES = """name: one
rules:
  - id: open-blade
    category: weapons
    severity: high
    text: No dangerous knives.
    objective: A knife with its blade exposed is visible.
    condition: a knife with an exposed blade is visible
"""
"""One rule, for judges on servers."""


class Scenes(NamedTuple):
    """Two drawn scenes, as pixels and as PNG."""

    safe: Any
    unsafe: Any

    @property
    def safe_png(self) -> bytes:
        """The safe one."""
        return png(self.safe)

    @property
    def unsafe_png(self) -> bytes:
        """The unsafe one."""
        return png(self.unsafe)


Run: TypeAlias = Callable[..., str]
"""Runs `safejudge` with some arguments; returns the exit code and what was said."""
Try: TypeAlias = Callable[[Path, Scenes, Run], str]
"""Makes files in an empty folder, runs the command line there, returns the last outcome."""

TRIES: dict[str, dict[str, tuple[Try, str]]] = {}
"""All tries, by kind and by what is tried, each with what is right."""


def tried(kind: str, name: str, right: str) -> Callable[[Try], Try]:
    """Put a try among `TRIES`; `right` is a regular expression that a right outcome matches."""

    def add(function: Try) -> Try:
        TRIES.setdefault(kind, {})[name] = function, right
        return function

    return add


def png(pixels: Any) -> bytes:
    """Encode pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def marked(pixels: Any, number: int) -> Any:
    """Differ in one pixel, so that no frame is merged with another."""
    changed = np.array(pixels)
    changed[0, number] ^= 1
    return changed


def beside(folder: Path, scenes: Scenes, **files: bytes) -> Path:
    """Make a folder `in` that holds the safe scene, and files beside it."""
    inside = folder / "in"
    inside.mkdir()
    (inside / "safe.png").write_bytes(scenes.safe_png)
    for name, content in files.items():
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_bytes(content)
    return inside


def tar(*members: tuple[str, bytes]) -> bytes:
    """Pack members, each a name and its content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
