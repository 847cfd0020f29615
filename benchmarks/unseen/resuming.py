"""Runs that go on, after what they were about has changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.judge_server import Server
from benchmarks.unseen.tries import RULES, SKETCH, marked, png, tried

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.unseen.tries import Run, Scenes


@tried("--resume", "a file is replaced by an unsafe one", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "a.png").write_bytes(scenes.safe_png)
    run("judge", "a.png", *SKETCH, "--out", "r.jsonl")
    (folder / "a.png").write_bytes(scenes.unsafe_png)
    return run("judge", "a.png", *SKETCH, "--out", "r.jsonl", "--resume")


@tried("--resume", "a broken file is mended, and unsafe", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "a.png").write_bytes(scenes.unsafe_png[:50])
    run("judge", "a.png", *SKETCH, "--out", "r.jsonl")
    (folder / "a.png").write_bytes(scenes.unsafe_png)
    return run("judge", "a.png", *SKETCH, "--out", "r.jsonl", "--resume")


@tried("--resume", "a missing file comes, and is unsafe", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    run("judge", "a.png", *SKETCH, "--out", "r.jsonl")
    (folder / "a.png").write_bytes(scenes.unsafe_png)
    return run("judge", "a.png", *SKETCH, "--out", "r.jsonl", "--resume")


@tried("--resume", "another folder with a file of the same name", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    for site, data in (("one", scenes.safe_png), ("two", scenes.unsafe_png)):
        (folder / site / "in").mkdir(parents=True)
        (folder / site / "in/a.png").write_bytes(data)
    run("judge", "in", *SKETCH, "--out", "../r.jsonl", inside="one")
    return run("judge", "in", *SKETCH, "--out", "../r.jsonl", "--resume", inside="two")


@tried("--resume", "one file under three spellings", "0: 1 image.*; 1 records")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "a.png").write_bytes(scenes.safe_png)
    run("judge", "a.png", *SKETCH, "--out", "r.jsonl")
    run("judge", "./a.png", *SKETCH, "--out", "r.jsonl", "--resume")
    said = run("judge", str(folder / "a.png"), *SKETCH, "--out", "r.jsonl", "--resume")
    lines = (folder / "r.jsonl").read_text().splitlines()
    return f"{said}; {sum('image' in json.loads(line) for line in lines)} records"


@tried("--resume", "pictures that a server refused are asked about again", "[01]: 12 images")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "rules.yaml").write_text(RULES)
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(png(marked(scenes.unsafe, number)))
    said, port = "", 0
    for mode, resume in (("fails", ()), ("", ("--resume",))):
        with Server(mode, port) as address:
            port = int(address.split(":")[2].partition("/")[0])
            engine = f"server:{address}#tiny"
            said = run("judge", "*.png", "--constitution", "rules.yaml", "--engine", engine,
                       "--out", "r.jsonl", *resume)  # fmt: skip
    return said


@tried("--resume", "the caption has changed", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "a.png").write_bytes(scenes.unsafe_png)
    said = ""
    for caption, resume in (("a room", ()), ("a knife on a table", ("--resume",))):
        (folder / "p.jsonl").write_text(json.dumps({"image": "a.png", "prompt": caption}))
        said = run("judge", "a.png", *SKETCH, "--prompts", "p.jsonl", "--out", "r.jsonl", *resume)
    return said


@tried("--resume", "eval: a picture of the data is replaced", ".*'a.png': 'unsafe'")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "in").mkdir()
    (folder / "in/labels.csv").write_text("image,label\na.png,safe\n")
    said = ""
    for data, resume in ((scenes.safe_png, ()), (scenes.unsafe_png, ("--resume",))):
        (folder / "in/a.png").write_bytes(data)
        said = run("eval", "labelled", "--data", "in", *SKETCH, "--out", "run", *resume)
    found = {
        record["image"]: record.get("label")
        for record in map(json.loads, (folder / "run/records.jsonl").read_text().splitlines())
        if "image" in record
    }
    return f"{said}; records: {found}"


@tried("--resume", "--ray: a file is replaced by an unsafe one", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "in").mkdir()
    said = ""
    for data, resume in ((scenes.safe_png, ()), (scenes.unsafe_png, ("--resume",))):
        (folder / "in/a.png").write_bytes(data)
        said = run("judge", "in", *SKETCH, "--ray", "--out", "r", *resume)
    return said
