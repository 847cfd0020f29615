"""What a whole constitution costs -> benchmarks/results/throughput-MODEL.{json,md}.

One vLLM engine; all rows in one run; seconds per picture as ratios to one question per picture.
A shape has random weights (`shapes`), and its answers are drawn from what the shipped judge's were
(`outcomes`, `scripted`): 14 rules, 42 preconditions (`osbench`), pictures of 512 pixels. `sketch`
is the shipped judge with its own answers: 12 rules, 28 preconditions, pictures of 96 pixels.
Pictures are PNG, read and decoded in the run. `mix`: every other picture violates a rule.

The rows that are compared with others are run `--runs` times, each time over other pictures with
other outcomes. The rows that say what one part is worth are run once, over `--parts` pictures, and
those that go one picture at a time over `--few`. The record is written anew after each run.

`python -m benchmarks.throughput [--model smolvlm-256m] [--count 48] [--parts 16] [--few 8]`
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
from dataclasses import asdict, replace
from itertools import count as counted
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import RESULTS, record
from benchmarks.throughput.outcomes import SEED, recorded
from benchmarks.throughput.rows import (
    DEFAULT,
    WRITTEN,
    Setup,
    Took,
    chain,
    flat,
    one_question,
    one_rationale,
    rule_prompts,
)
from benchmarks.throughput.shapes import SHAPES, folder_of
from safejudge import Policy
from safejudge.constitution.load import load_constitution
from safejudge.engines.local import vllm_steps
from safejudge.engines.open import open_detector, open_encoder, open_engine
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES_FOLDER = Path("runs/shapes")
MODELS = ("smolvlm-256m", "qwen2.5-vl-7b", "qwen2.5-vl-small", "sketch")
FLOOR, AGAIN = "floor: one question", "floor: one question, again"
PER_RULE, RATIONALE = "one prompt per rule, its text first", "one prompt, JSON rationale"
ONE_BY_ONE = Policy.clue().model_copy(update={"max_reasoning_tokens": WRITTEN})
STAGES = ("questions", "relevance", "regions", "reasoning", "reading images")
WORTH = {
    "ours, clean": "default",
    "ours, mix": "default",
    "mix, no detector": "default without crop",
    "mix, open taken for no, no detector": "default taking open for no, no detector",
    "mix, no relevance": "default without relevance",
    "Algorithm 1, one at a time": "clue",
    "Algorithm 1, one at a time, no caches": "clue",
    PER_RULE: "each rule, yes/no at 0.5",
    RATIONALE: "whole constitution, reasoning",
}
"""Rows of `bench-sketch.json` that say how well this way of asking judges."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODELS[0], choices=MODELS)
    parser.add_argument("--count", type=int, default=48, help="pictures of a row")
    parser.add_argument("--parts", type=int, default=16, help="of a row for what a part is worth")
    parser.add_argument("--few", type=int, default=8, help="pictures of a row one at a time")
    parser.add_argument("--runs", type=int, default=3, help="of the rows that are compared")
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        priors = Path(cache) / "priors.sqlite3"
        setup = set_up(args.model, args.count * args.runs, args.window, priors)
        runs: list[list[Took]] = []
        marks = counted()
        warm_up(setup, marks)
        for number in range(args.runs):
            ran = replace(setup, first=number * args.count)
            runs.append(compared(ran, args.count, marks))
            write(args, runs)
        runs[-1] += parts_left_out(ran, args.parts, args.few, marks)
        write(args, runs)
        runs[-1] += uncached(setup, args.model, args.few)
        write(args, runs)


def write(args: argparse.Namespace, runs: list[list[Took]]) -> None:
    """Record what was measured so far."""
    rows = [
        summed_up(name, runs) for name in dict.fromkeys(row.name for run in runs for row in run)
    ]
    text = (
        f"{args.model}: {len(runs)} runs of {args.count} pictures (median, and least to most); "
        f"without a spread: one run of {args.parts} pictures, of {args.few} one at a time\n\n"
    )
    numbers = {"rows": {row["name"]: row for row in rows}}
    record(f"throughput-{args.model}", numbers, text + markdown(rows))


def set_up(model: str, count: int, window: int, cache: Path) -> Setup:
    """Open the models and draw the scenes."""
    shape = model in SHAPES
    encoder, detector = (
        f"hf:{folder_of(name, SHAPES_FOLDER)}" if shape else "hf:sketch"
        for name in ("clip-vit-base-patch16", "owlv2-base-patch16")
    )
    return Setup(
        engine=opened(model),
        encoder=open_encoder(encoder),
        detector=open_detector(detector),
        scripted=shape,
        constitution=load_constitution("osbench" if shape else "sketch"),
        scenes=scenes(count),
        shares=recorded() if shape else {},
        size=512 if shape else 96,
        window=window,
        cache=cache,
    )


def opened(model: str, **options: Any) -> Any:
    """Start vLLM; a shape too large to write has its weights made up.

    On a CPU in float32, for bfloat16 is emulated where it lacks instructions for it; and with every
    core, for vLLM leaves one out, and the floor would be as slow as that.
    """
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    if model not in SHAPES:
        return open_engine(f"vllm:{model}", **options)
    options["least_mass"] = 0  # random weights say anything but yes and no
    from vllm.platforms import current_platform  # noqa: PLC0415 - after the engine's own settings

    if current_platform.is_cpu():
        options |= {"dtype": "float32"}
    if model == "qwen2.5-vl-7b":
        options |= {"load_format": "dummy"}
    return open_engine(f"vllm:{folder_of(model, SHAPES_FOLDER)}", max_model_len=4096, **options)


def scenes(count: int) -> dict[str, list[Any]]:
    """Draw scenes of both kinds."""
    rules = load_constitution("sketch")
    violating = (scene for scene in mixed_scenes(rules, SEED) if scene[1].violations)
    kinds = {"clean": plain_scenes(rules, SEED), "violating": violating}
    return {
        kind: [draw(scene).pixels for scene, _ in islice(chosen, count)]
        for kind, chosen in kinds.items()
    }


def warm_up(setup: Setup, marks: Iterator[int]) -> None:
    """Compile, warm up and fill the cache of language priors; in no row."""
    mix = ["clean", "violating"] * 4
    chain(setup, "warm", mix[:2], next(marks), but(exhaustive=True, open_means="undecided"))
    chain(setup, "warm", mix, next(marks))
    flat(setup, "warm", ["clean"] * 8, next(marks), one_question(setup))


def compared(setup: Setup, count: int, marks: Iterator[int]) -> list[Took]:
    """Measure the rows of one run; it begins and ends with the floor, to see the machine drift."""
    clean, mix = ["clean"] * count, ["clean", "violating"] * (count // 2)
    return [
        flat(setup, FLOOR, clean, next(marks), one_question(setup)),
        chain(setup, "ours, clean", clean, next(marks)),
        chain(setup, "ours, mix", mix, next(marks)),
        flat(setup, PER_RULE, mix, next(marks), rule_prompts(setup)),
        flat(setup, RATIONALE, mix, next(marks), one_rationale(setup)),
        flat(setup, AGAIN, clean, next(marks), one_question(setup)),
    ]


def parts_left_out(setup: Setup, count: int, few: int, marks: Iterator[int]) -> list[Took]:
    """Measure the rows that say what one part is worth."""
    mix, one_by_one = (["clean", "violating"] * (number // 2) for number in (count, few))
    no_detector = but(open_means="no", crop=False)
    return [
        chain(setup, "mix, no detector", mix, next(marks), but(crop=False)),
        chain(setup, "mix, open taken for no, no detector", mix, next(marks), no_detector),
        chain(setup, "mix, no reasoning", mix, next(marks), but(open_means="undecided")),
        chain(setup, "mix, no relevance", mix, next(marks), but(relevance=False)),
        chain(setup, "mix, no early stop", mix, next(marks), but(exhaustive=True)),
        chain(setup, "mix, priors not kept", mix, next(marks), cached=False),
        chain(setup, "mix, statement before the image", mix, next(marks), statement_first=True),
        chain(setup, "Algorithm 1, one at a time", one_by_one, next(marks), ONE_BY_ONE, window=1),
    ]


def but(**changed: object) -> Policy:
    """Return the policy of the rows with something else."""
    return DEFAULT.model_copy(update=changed)


def uncached(setup: Setup, model: str, few: int) -> list[Took]:
    """Algorithm 1 on an engine of its own that remembers nothing."""
    setup.engine.close()
    gc.collect()
    vllm_steps._CACHED_PICTURES = 0  # noqa: SLF001 - every picture is handed over every time
    engine = opened(model, enable_prefix_caching=False, mm_processor_cache_gb=0)
    mix = ["clean", "violating"] * (few // 2)
    bare = replace(setup, engine=engine)
    chain(bare, "warm", mix[:2], 997, ONE_BY_ONE, window=1)
    return [chain(bare, "Algorithm 1, one at a time, no caches", mix, 998, ONE_BY_ONE, window=1)]


def summed_up(name: str, runs: list[list[Took]]) -> dict[str, Any]:
    """One row of all runs: medians, and its ratio to the floor of each run.

    The floor of a run is the mean of what it took before and after.
    """
    took, ratios = [], []
    for run in runs:
        floor = statistics.mean(row.each for row in run if row.name in {FLOOR, AGAIN})
        took += (mine := [row for row in run if row.name == name])
        ratios += [row.each / floor for row in mine]
    each = [asdict(row) | {"each": row.each, "ratio": ratio}
            for row, ratio in zip(took, ratios, strict=True)]  # fmt: skip
    figures = ("each", "ratio", "questions", "reasonings", "searches", "tokens", "cached")
    medians = {figure: statistics.median(row[figure] for row in each) for figure in figures}
    stages = {
        stage: statistics.median(
            row["stages"].get(stage, 0) / row["each"] * row["ratio"] for row in each
        )
        for stage in STAGES
        if any(row["stages"] for row in each)
    }
    return {"name": name, **medians, "stages": stages, "ratios": ratios, "runs": each}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table, and where the seconds of each row went."""
    bench = json.loads((RESULTS / "bench-sketch.json").read_text(encoding="utf-8"))
    cells = [
        (
            row["name"], spread(row["ratios"]), f"{row['each']:.2f}", f"{1 / row['each']:.3g}",
            f"{row['questions']:.1f}", f"{row['reasonings']:.2f}", f"{row['searches']:.2f}",
            f"{row['tokens']:.0f}", f"{row['cached']:.0%}", worth(row["name"], bench),
        )
        for row in rows
    ]  # fmt: skip
    spent = [
        (row["name"], *(f"{row['stages'][stage]:.2f}" for stage in STAGES))
        for row in rows
        if row["stages"]
    ]
    head = ("row", "ratio to the floor", "s/picture", "pictures/s", "questions", "reasonings",
            "searches", "prompt tokens", "cached", "image F1")  # fmt: skip
    return (
        f"{table(head, cells)}\n\nImage F1: of this way of asking, on SketchBench with the shipped "
        "judge (bench-sketch.md).\n\nWhere it went, as ratios to the floor (stages overlap: their "
        f"sum may be more than the row):\n\n{table(('row', *STAGES), spent)}"
    )


def spread(ratios: list[float]) -> str:
    """The median, and the least and the most where there are several."""
    median = f"{statistics.median(ratios):.2f}"
    return median if len(ratios) == 1 else f"{median} ({min(ratios):.2f}-{max(ratios):.2f})"


def worth(name: str, bench: dict[str, Any]) -> str:
    """Image F1 of what judges this way, with its interval; nothing where none was measured."""
    if name not in WORTH:
        return ""
    image = bench[WORTH[name]]["image"]
    return f"{image['f1']:.3f} [{image['interval'][0]:.3f}, {image['interval'][1]:.3f}]"


if __name__ == "__main__":
    main()
