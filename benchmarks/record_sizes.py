"""What a record takes on disk: full and short; plain, as zstd, as Parquet -> record-sizes.*.

    python benchmarks/record_sizes.py [--images 320] [--seed 20261201]

Judges drawn scenes with `sketch`, once by the default policy and once with every question asked;
a run that was stopped goes on in `runs/record-sizes`. The records are then written once more in
each form, by what writes them in a run. The first line, which says what made them, is not counted
beside lines; in a Parquet part it is, as a run has it in each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from measure import record

from safejudge.files import parquet
from safejudge.files.packed import LEVEL, Packer
from safejudge.files.recordfile import TOGETHER, RecordFile
from safejudge.files.records import FORM, SHORT, to_line
from safejudge.files.short import shortened
from safejudge.files.stored import open_stored
from safejudge.show.markdown import table
from safejudge.sketch.scenes import write_scenes

if TYPE_CHECKING:
    from safejudge.types import JSON

RUN = Path("runs/record-sizes")
POLICIES = {"default": [], "every question asked": ["--exhaustive"]}
DAY = 5_000_000
"""Images a day of the reckoning."""
FRAMES, LEVELS = (1, 8, 32, 64, 256), (3, 9, 19)


def judged(count: int, seed: int, name: str) -> tuple[JSON, list[JSON]]:
    """Judge drawn scenes that have no record yet; return the head and all records, in full."""
    scenes = RUN / f"{count}-{seed}"
    if len([*scenes.glob("scene-*.png")]) != count:
        write_scenes(scenes, count, seed, overwrite=True)
    out = RUN / f"{count}-{seed}-{name.partition(' ')[0]}.jsonl"
    command = [
        sys.executable, "-m", "safejudge", "judge", str(scenes), "--constitution", "sketch",
        "--engine", "hf:sketch", "--out", str(out), "--resume", *POLICIES[name],
    ]  # fmt: skip
    done = subprocess.run(command, check=False)
    if done.returncode not in {0, 1, 4}:
        sys.exit(f"judge ended with {done.returncode}")
    stored = open_stored(out)
    return stored.head, [stored_record.content for stored_record in stored]


def as_lines(folder: Path, name: str, head: JSON, rows: Sequence[JSON]) -> float:
    """Bytes a record of a file that a run writes; its first line is not counted."""
    path = folder / name
    with RecordFile(path, head, resume=False, overwrite=True) as file:
        begun = path.stat().st_size
        for row in rows:
            file.add(row)
    return (path.stat().st_size - begun) / len(rows)


def as_parts(folder: Path, compression: str, head: JSON, rows: Sequence[JSON]) -> float:
    """Bytes a record of a Parquet part of all of them."""
    parquet.COMPRESSION = compression
    out = folder / f"parts-{compression}-{head.get(FORM)}"
    with parquet.Parts(out, resume=False, overwrite=False) as parts:
        parts.begin(head)
        parts.add(parquet.to_table(rows))
        parts.flush()
    return sum(part.stat().st_size for part in out.glob("*.parquet")) / len(rows)


def sizes(head: JSON, rows: Sequence[JSON]) -> dict[str, float]:
    """Bytes a record by form."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "plain": as_lines(folder, "r.jsonl", head, rows),
            ".zst": as_lines(folder, "r.jsonl.zst", head, rows),
            "Parquet, snappy": as_parts(folder, "snappy", head, rows),
            "Parquet, zstd": as_parts(folder, "zstd", head, rows),
        }


def frames(rows: Sequence[JSON]) -> list[JSON]:
    """Bytes and microseconds of a processor a record, by level and records in a frame."""
    lines = [to_line(row).encode() for row in rows]
    found: list[JSON] = []
    for level in LEVELS:
        packer = Packer(Path("x.zst"), level)
        for count in FRAMES:
            begun = time.process_time()
            size = sum(
                len(packer.frame(b"".join(lines[at : at + count])))
                for at in range(0, len(lines), count)
            )
            spent = (time.process_time() - begun) / len(lines) * 1e6
            found.append(
                {"level": level, "records": count, "bytes": size / len(lines), "us": spent}
            )
    return found


def in_tables(found: dict[str, dict[str, dict[str, float]]], packed: dict[str, list[JSON]]) -> str:
    rows = []
    for policy, forms in found.items():
        for form, by_kind in forms.items():
            for kind, size in by_kind.items():
                share = size / forms["full"]["plain"]
                cells = [f"{size:,.0f}", f"{share:.1%}", f"{size * DAY / 1e9:.2f}"]
                rows.append([policy, form, kind, *cells])
    text = table(
        ["policy", "record", "written as", "bytes an image", "of full, plain", "GB, five million"],
        rows,
    )
    text += (
        f"\n\nFrames of zstd, default policy, by level and records in a frame (a run takes level "
        f"{LEVEL} and {TOGETHER}, or those of ten seconds): bytes a record, and microseconds of a "
        "processor to pack it.\n\n"
    )
    columns = [f"{count} in a frame" for count in FRAMES]
    cell: Callable[[JSON], str] = lambda one: f"{one['bytes']:,.0f} ({one['us']:.0f} us)"  # noqa: E731
    lines = [
        [form, str(level), *(cell(one) for one in ones if one["level"] == level)]
        for form, ones in packed.items()
        for level in LEVELS
    ]
    return text + table(["record", "level", *columns], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--seed", type=int, default=20261201)
    options = parser.parse_args()
    RUN.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict[str, float]]] = {}
    packed: dict[str, list[JSON]] = {}
    for policy in POLICIES:
        head, rows = judged(options.images, options.seed, policy)
        short = [shortened(row) for row in rows]
        found[policy] = {
            "full": sizes(head, rows),
            "short": sizes(head | {FORM: SHORT}, short),
        }
        if policy == "default":
            packed = {"full": frames(rows), "short": frames(short)}
    record(
        "record-sizes",
        {"images": options.images, "seed": options.seed, "bytes": found, "frames": packed},
        f"{options.images} drawn scenes (seed {options.seed}), `sketch`, twelve rules.\n\n"
        + in_tables(found, packed),
    )


if __name__ == "__main__":
    main()
