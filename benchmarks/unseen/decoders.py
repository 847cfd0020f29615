"""Pictures made to keep a decoder busy."""
# ruff: noqa: ARG001 - every try has the same arguments

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.unseen.tries import SKETCH, tried

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.unseen.tries import Run, Scenes


@tried("decoders", "JPEG with 1,000 scans", "[24]")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    stream = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    (folder / "a.jpg").write_bytes(data[:-2] + data[last:-2] * 1000 + data[-2:])
    return run("judge", "a.jpg", *SKETCH)


@tried("decoders", "GIF of a few hundred bytes, 8 x 20 Mpx", "[24]")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    frames = [Image.new("P", (5000, 4000), i) for i in range(8)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    return run("judge", "a.gif", *SKETCH)
