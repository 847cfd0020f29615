"""How far `judge --estimate` is off: three estimates, each beside the run that it speaks of.

    python benchmarks/estimate.py [--engine hf:sketch] [--images 300]

Draws three mixes of scenes that nothing was chosen on: seeds `estimate-4` to `-6`. On 1 and 2 the
range of packed bytes was found too narrow, and was widened. An estimate and its run are a process
each, one after the other, with the same language priors on the disk. What both leave out is the
start. Recorded are questions, replies, tokens where the engine counts them, bytes, seconds, and
processor seconds, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measure import record

from safejudge.cli import app, batch, probe
from safejudge.constitution.load import load_constitution
from safejudge.files.packed import need_zstd
from safejudge.files.stored import open_stored
from safejudge.show.markdown import table
from safejudge.sketch.scenes import mixed_scenes, write_drawn

if TYPE_CHECKING:
    from safejudge.types import JSON


class Mix(NamedTuple):
    """One run."""

    name: str
    seed: str
    shares: dict[str, float]
    """Of the images, by kind of scene."""
    form: str
    out: str
    more: tuple[str, ...] = ()


MIXES = (
    Mix(
        "a third of each kind, full, plain",
        "estimate-4",
        {"violating": 1 / 3, "borderline": 1 / 3, "plain": 1 / 3},
        "full",
        "r.jsonl",
    ),
    Mix(
        "19 of 20 plain, short, .zst",
        "estimate-5",
        {"violating": 0.05, "plain": 0.95},
        "short",
        "r.jsonl.zst",
    ),
    Mix(
        "violating and borderline, no relevance filter, full, .zst",
        "estimate-6",
        {"violating": 0.5, "borderline": 0.5},
        "full",
        "r.jsonl.zst",
        ("--no-relevance",),
    ),
)


def drawn(folder: Path, mix: Mix, count: int) -> None:
    """Draw the scenes of a mix, in an order that tells nothing."""
    left = {kind: round(share * count) for kind, share in mix.shares.items()}
    scenes = []
    for scene, truth in mixed_scenes(load_constitution("sketch"), mix.seed):
        if left.get(truth.kind, 0):
            left[truth.kind] -= 1
            scenes.append((scene, truth))
        if not any(left.values()):
            break
    random.Random(mix.seed).shuffle(scenes)  # noqa: S311 - what is drawn is no secret
    write_drawn(folder, scenes, overwrite=False)


def line_of(scenes: Path, out: Path, mix: Mix, engine: str) -> list[str]:
    """The command line of a run."""
    return [
        "judge", str(scenes), "--constitution", "sketch", "--engine", engine, "--record", mix.form,
        "--out", str(out), *mix.more,
    ]  # fmt: skip


# --- in processes of their own --------------------------------------------------------------------


def estimated(words: list[str]) -> JSON:
    """Make the estimate, in this process."""
    found = probe.estimate(app.parse(words)[1])
    return {"start": found.start, "figures": {n: asdict(p) for n, p in found.figures.items()}}


def took(words: list[str]) -> JSON:
    """Run it, in this process; return what it took."""
    spent: JSON = {}
    judge_all = batch.Batch.run

    def measured(self: Any, *arguments: Any, **named: Any) -> int:
        models = self._judge.models
        before = models.tokens and models.tokens.prompt
        processor, begun = time.process_time(), time.perf_counter()
        code = judge_all(self, *arguments, **named)
        spent[probe.SECONDS] = time.perf_counter() - begun
        spent[probe.PROCESSOR] = time.process_time() - processor
        if before is not None:
            spent[probe.TOKENS] = models.tokens.prompt - before
        return code

    batch.Batch.run = measured  # type: ignore[method-assign]
    code = app.main(words)
    if code not in {0, 1, 4}:
        raise SystemExit(f"judge ended with {code}")
    out = Path(words[words.index("--out") + 1])
    usage = [row.content["usage"] for row in open_stored(out)]
    spent[probe.QUESTIONS] = sum(one["probes"] for one in usage)
    spent[probe.REPLIES] = sum(one["reasoning_calls"] for one in usage)
    spent[probe.BYTES] = out.stat().st_size - _head_bytes(out)
    return spent


def _head_bytes(out: Path) -> int:
    """Bytes of the first line, or of the first frame, which holds it alone."""
    content = out.read_bytes()
    if out.suffix != ".zst":
        return content.index(b"\n") + 1
    size: int = need_zstd(out).get_frame_size(content)
    return size


def alone(work: Callable[[list[str]], JSON], words: list[str]) -> JSON:
    """Do it in a process of its own."""
    fresh = multiprocessing.get_context("spawn")  # a pool's own would let vLLM start no process
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(work, words).result()


# --- both -----------------------------------------------------------------------------------------


def compared(mix: Mix, engine: str, count: int) -> JSON:
    """Estimate a run, then run it."""
    with tempfile.TemporaryDirectory() as name:
        scenes = Path(name) / "scenes"
        drawn(scenes, mix, count)
        words = line_of(scenes, Path(name) / mix.out, mix, engine)
        found = alone(estimated, [*words, "--estimate"])
        spent = alone(took, words)
    return {"mix": mix.name, "seed": mix.seed, **found, "took": spent}


def in_table(runs: list[JSON]) -> str:
    rows = []
    for run in runs:
        for name, projection in run["figures"].items():
            value, low, high = (projection[key] for key in ("value", "low", "high"))
            real = run["took"][name]
            inside = "yes" if low <= real <= high else "no"
            numbers = [f"{number:,.4g}" for number in (value, low, high, real)]
            error = f"{value / real - 1:+.1%}" if real else "-"
            rows.append([run["mix"], name, *numbers, error, inside])
    return table(
        ["run", "figure", "estimate", "from", "to", "it took", "error", "in the range"], rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", default="hf:sketch")
    parser.add_argument("--images", type=int, default=300)
    options = parser.parse_args()
    runs = []
    for mix in MIXES:
        runs.append(compared(mix, options.engine, options.images))
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    local = "" if options.engine == "hf:sketch" else f"-{options.engine.partition(':')[0]}"
    record(
        f"estimate{local}",
        {"engine": options.engine, "images": options.images, "runs": runs},
        f"Three runs of {options.images} drawn scenes by {options.engine}: what `--estimate` said, "
        "from 32 of them, and what they took. The range is that of drawing the probe; seconds also "
        "hang on what else the machine did, and it was not idle.\n\n" + in_table(runs),
    )


if __name__ == "__main__":
    main()
