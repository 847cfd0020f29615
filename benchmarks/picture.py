"""The picture in the README: the demo's scenes, and how the shipped judge judged them.

`python benchmarks/picture.py`
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from measure import RESULTS
from PIL import Image, ImageDraw, ImageFont

from safejudge import Judge
from safejudge.sketch.scenes import FACTS, write_scenes
from safejudge.types import Failure

CELL, TEXT, COLUMNS = 192, 84, 6
COLOURS = {"safe": (22, 110, 50), "unsafe": (176, 26, 26), "undecided": (150, 100, 0)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder), 12, seed=7)
        lines = (Path(folder) / FACTS).read_text(encoding="utf-8").splitlines()
        truths = [json.loads(line) for line in lines]
        paths = [str(Path(folder) / truth["image"]) for truth in truths]
        results = Judge.load("sketch", "hf:sketch", cache=None)(paths)
        rows = -(-len(paths) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * (CELL + 8), rows * (CELL + TEXT + 8)), "white")
        pen = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(13)
        for number, (path, result, truth) in enumerate(zip(paths, results, truths, strict=True)):
            assert not isinstance(result, Failure)  # noqa: S101
            x, y = (number % COLUMNS) * (CELL + 8) + 4, (number // COLUMNS) * (CELL + TEXT + 8) + 4
            scene = Image.open(path).resize((CELL, CELL), Image.Resampling.NEAREST)
            sheet.paste(scene, (x, y))
            truly = set(truth["violations"])
            words = [r if r in truly else f"{r} (wrongly)" for r in result.violations]
            words += [f"{r} (missed)" for r in sorted(truly - set(result.violations))]
            pen.text((x, y + CELL + 2), result.label, fill=COLOURS[result.label], font=font)
            for line, word in enumerate(words[:4], start=1):
                right = word in truly
                tint = (60, 60, 60) if right else (170, 60, 160)
                pen.text((x, y + CELL + 2 + 16 * line), word, fill=tint, font=font)
    sheet.save(RESULTS / "scenes.png", optimize=True)


if __name__ == "__main__":
    main()
