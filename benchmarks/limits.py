"""What the worst files cost: time and memory of each, and thousands of damaged pictures.

Makes the files (`bombs.py`) and has each read in a fresh process, as `judge` reads it. Then damages
small pictures of every format at random and loads them in one process that may have no more than
4 GiB of addresses, as bytes and as PIL images: nothing but pictures and failures may come of it.
Last, forty pictures of 40 million pixels in one run.

`python benchmarks/limits.py [--damaged 3000]`
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import bombs
from measure import record
from PIL import Image

from safejudge import Judge, Policy
from safejudge.errors import InputError
from safejudge.images import decoders, process, shards
from safejudge.images.load import load_images
from safejudge.show.markdown import table
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POLICY = Policy()
ADDRESSES = 4 * 2**30
MOST_SECONDS = decoders.SECONDS + POLICY.max_pixels // decoders.PIXELS_PER_SECOND
WINDOW = 40


# --- in a process of its own ----------------------------------------------------------------------


def picture(path: str) -> str:
    (found,) = load_images([path], POLICY)
    if isinstance(found, Failure):
        return found.reason
    count, shape = len(found.pictures), found.pictures[0].pixels.shape
    frames = "" if found.frames is None else f", frames: {found.frames}"
    return f"{count} x {shape[1]} x {shape[0]}{frames}"


def shard(path: str) -> str:
    try:
        entries, listing = shards.list_entries([path])
    except InputError as error:
        return f"refused: {str(error).removeprefix(path).replace(f' ({path}:', ' (')[2:90]}"
    read = (shards.read(entry, POLICY.max_bytes, captions=True)[0] for entry in entries[:3])
    told = Counter(data.reason if isinstance(data, Failure) else "read" for data in read)
    others = listing.intake(None, len(entries)).missed
    parts = ", ".join(f"{count} {what}" for what, count in told.items())
    return f"{len(entries)} images, {others} others; of the first: {parts}"


def run(folder: str) -> str:
    with Judge.load("sketch", "fake:") as judge:
        results = judge(sorted(Path(folder).iterdir()))
    return ", ".join(f"{count} {what}" for what, count in Counter(map(_label, results)).items())


def _label(result: Any) -> str:
    return str(result.reason if isinstance(result, Failure) else "judged")


JOBS: dict[str, Callable[[str], str]] = {"picture": picture, "shard": shard, "run": run}


def do(job: str, path: str) -> None:
    """Do one job and print what it came to, and what it took."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    outcome = JOBS[job](path)
    wall = time.perf_counter() - begun
    process.POOL.close()
    here = resource.getrusage(resource.RUSAGE_SELF)
    there = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = here.ru_utime + here.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps({
            "outcome": outcome,
            "seconds": seconds + there.ru_utime + there.ru_stime,
            "wall": wall,
            "here": peak(),
            "there": there.ru_maxrss // 1024,
        })
    )  # fmt: skip


def peak() -> int:
    """The most memory this process has had, in MiB; what `resource` says counts its parent in."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def measured(job: str, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--job", job, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        return {"outcome": f"CRASH {done.returncode}: {lines[-1][:100]}"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# --- damaged pictures -----------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Small pictures of every format and of the features that decoders stumble over."""
    rgb = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    rgba = rgb.copy()
    rgba.putalpha(Image.radial_gradient("L").resize(rgb.size))
    exif = Image.Exif()
    exif[274], exif[270] = 6, "x" * 99

    def moving() -> dict[str, Any]:
        return {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}

    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", {}), (rgba, "PNG", {}), (rgb.quantize(16), "PNG", {}), (rgb, "PNG", moving()),
        (rgb.convert("1"), "PNG", {}), (rgb.convert("I;16"), "PNG", {}),
        (rgb, "PNG", {"exif": exif}), (rgb, "JPEG", {}),
        (rgb, "JPEG", {"progressive": True, "exif": exif}),
        (rgb.convert("CMYK"), "JPEG", {}), (rgb, "MPO", moving()), (rgb, "GIF", {}),
        (rgb, "GIF", moving()), (rgb, "WEBP", {}), (rgba, "WEBP", {"lossless": True, "exif": exif}),
        (rgb, "WEBP", moving()), (rgba, "AVIF", {}), (rgb, "AVIF", moving()), (rgb, "TIFF", {}),
        *((rgb, "TIFF", {"compression": kind}) for kind in ("tiff_lzw", "packbits", "jpeg")),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}), (rgb.convert("F"), "TIFF", {}),
        (rgb, "TIFF", moving()), (rgb, "BMP", {}), (rgb.quantize(16), "BMP", {}),
        (rgb, "JPEG2000", {}), (rgb, "PPM", {}), (rgb.convert("L"), "PPM", {}), (rgb, "QOI", {}),
    ]  # fmt: skip
    return [bombs.encoded(image.copy(), form, **options) for image, form, options in forms]


NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 40_000]


def damaged(whole: bytes, others: list[bytes], dice: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(dice.choice([1, 1, 2, 5])):
        at = dice.randrange(min(len(data), dice.choice([64, 300, len(data)])))
        what = dice.randrange(6)
        if what == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif what == 1:
            width = dice.choice([1, 2, 4])
            number = dice.choice(NUMBERS) & (256**width - 1)
            data[at : at + width] = number.to_bytes(width, dice.choice(["little", "big"]))
        elif what == 2:
            del data[at : at + dice.randrange(1, 200)]
        elif what == 3:
            data[at:at] = data[at : at + dice.randrange(1, 200)] * dice.choice([1, 2, 50])
        elif what == 4:
            data[at:] = dice.choice(others)[at:]
        else:
            data[at : at + 16] = dice.randbytes(16)
        data = data or bytearray(b"\0")
    return bytes(data)


def outcomes(count: int, seed: int) -> Iterator[tuple[str, float]]:
    """Load damaged pictures; yield what each came to, and how long it took."""
    dice, wholes = random.Random(seed), seeds()  # noqa: S311 - for damage
    for _ in range(count):
        data = damaged(dice.choice(wholes), wholes, dice)
        begun = time.perf_counter()
        (found,) = load_images([data], POLICY)
        yield f"bytes: {_came_to(found)}", time.perf_counter() - begun
        try:
            image = Image.open(io.BytesIO(data))
        except Exception:  # noqa: BLE001, S112 - opening it is the caller's part
            continue
        begun = time.perf_counter()
        (found,) = load_images([image], POLICY)
        yield f"PIL: {_came_to(found)}", time.perf_counter() - begun


def _came_to(found: Any) -> str:
    return f"failure, {found.reason}" if isinstance(found, Failure) else "pictures"


def fuzzed(count: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, most))
    told, slowest = Counter[str](), 0.0
    for what, seconds in outcomes(count, seed=7):
        told[what] += 1
        slowest = max(slowest, seconds)
    return {"outcomes": dict(sorted(told.items())), "slowest": slowest, "here": peak()}


# --- the record -----------------------------------------------------------------------------------


def files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Make every file, one at a time: its name, its job, its path."""
    for name, make in bombs.PICTURES.items():
        path = folder / "bomb"
        path.write_bytes(make())
        yield name, "picture", path
    for name, data in bombs.tars():
        path = folder / "bomb.tar"
        path.write_bytes(data)
        yield name, "shard", path
    yield from ((name, "shard", path) for name, path in bombs.write_tables(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--damaged", type=int, default=3000, help="pictures to damage")
    parser.add_argument("--job", nargs=2, metavar=("JOB", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--fuzz", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.job:
        do(*told.job)
        return
    if told.fuzz:
        print(json.dumps(fuzzed(told.fuzz)))
        return
    numbers: dict[str, Any] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for what, job, path in files(folder):
            numbers[what] = {"bytes": path.stat().st_size, **measured(job, path)}
            print(what, numbers[what], flush=True)
        (folder / "many").mkdir()
        for number in range(WINDOW):
            (folder / f"many/{number:02}.png").write_bytes(bombs.palette_png(number))
        window = measured("run", folder / "many")
    done = subprocess.run(
        [sys.executable, __file__, "--fuzz", str(told.damaged)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    fuzz = json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}
    record(
        "limits",
        {"files": numbers, "window": window, "damaged": fuzz},
        _text(numbers, window, fuzz),
    )


def _text(numbers: dict[str, Any], window: dict[str, Any], fuzz: dict[str, Any]) -> str:
    rows = [[name, f"{of['bytes']:,}", of["outcome"], *_costs(of)] for name, of in numbers.items()]
    text = table(["file", "bytes", "what comes of it", "CPU s", "MiB here", "MiB there"], rows)
    worst = max(of.get("seconds", 0.0) for of in numbers.values())
    text += f"\n\nThe longest took {worst:.1f} s; a picture may take {MOST_SECONDS} s.\n\n"
    costs = ["run", *_costs(window)]
    text += f"{WINDOW} half transparent pictures of 40 Mpx in one run: {window['outcome']}.\n\n"
    text += table(["", "CPU s", "MiB here", "MiB there"], [costs])
    count = sum(fuzz["outcomes"].values())
    text += f"\n\n{count:,} loads of damaged pictures: "
    text += "; ".join(f"{what} {number:,}" for what, number in fuzz["outcomes"].items())
    return text + f". Slowest {fuzz['slowest']:.2f} s; {fuzz['here']} MiB here; no crash."


def _costs(of: dict[str, Any]) -> list[str]:
    if "seconds" not in of:
        return ["", "", ""]
    return [f"{of['seconds']:.2f}", str(of["here"]), str(of["there"])]


if __name__ == "__main__":
    main()
