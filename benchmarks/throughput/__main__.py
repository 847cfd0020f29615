"""What a whole constitution costs -> benchmarks/results/throughput-MODEL.{json,md}.

One vLLM engine; all rows in one run; seconds per picture as ratios to one question per picture.
A shape has random weights (`shapes`), and its answers are drawn from what the shipped judge's were
(`outcomes`, `scripted`): 14 rules, 42 preconditions (`osbench`), pictures of 512 pixels. `sketch`
is the shipped judge with its own answers: 12 rules, 28 preconditions, pictures of 96 pixels.
Pictures are PNG, read and decoded in the run. `mix`: every other picture violates a rule.

`python -m benchmarks.throughput [--model smolvlm-256m] [--count 48] [--few 8] [--window 32]`
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

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

SHAPES_FOLDER = Path("runs/shapes")
MODELS = ("smolvlm-256m", "qwen2.5-vl-7b", "qwen2.5-vl-small", "sketch")
FLOOR = "floor: one question"
ONE_BY_ONE = Policy.clue().model_copy(update={"max_reasoning_tokens": WRITTEN})
STAGES = ("questions", "relevance", "regions", "reasoning", "reading images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODELS[0], choices=MODELS)
    parser.add_argument("--count", type=int, default=48, help="pictures of a row")
    parser.add_argument("--few", type=int, default=8, help="pictures of a row one at a time")
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        setup = set_up(args.model, args.count, args.window, Path(cache) / "priors.sqlite3")
        took = [*measured(setup, args.count, args.few), *uncached(setup, args.model, args.few)]
    floor = next(row.each for row in took if row.name == FLOOR)
    rows = {row.name: asdict(row) | {"ratio": row.each / floor} for row in took}
    text = f"{args.model}, {args.count} pictures a row ({args.few} one at a time)\n\n"
    record(f"throughput-{args.model}", {"rows": rows}, text + markdown(took, floor))


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


def measured(setup: Setup, count: int, few: int) -> list[Took]:
    """Every row on one engine; the floor again at the end, to see the machine drift."""
    clean, mix = ["clean"] * count, ["clean", "violating"] * (count // 2)
    one_by_one = mix[:few]

    def but(**changed: object) -> Policy:
        return DEFAULT.model_copy(update=changed)

    took = []

    def add(row: Took) -> None:
        took.append(row)
        print(f"{row.name}: {row.each:.3f} s a picture", flush=True)

    # Compiles, warms up and fills the cache of language priors; in no row.
    chain(setup, "warm", mix[:2], 99, but(exhaustive=True, open_means="undecided"))
    chain(setup, "warm", mix[:8], 98)
    add(flat(setup, FLOOR, clean, 0, one_question(setup)))
    add(chain(setup, "ours, clean", clean, 1))
    add(chain(setup, "ours, mix", mix, 2))
    add(chain(setup, "mix, no relevance", mix, 3, but(relevance=False)))
    add(chain(setup, "mix, no early stop", mix, 4, but(exhaustive=True)))
    add(chain(setup, "mix, priors not kept", mix, 5, cached=False))
    add(chain(setup, "mix, statement before the image", mix, 6, statement_first=True))
    add(chain(setup, "mix, no reasoning", mix, 7, but(open_means="undecided")))
    add(chain(setup, "Algorithm 1, one at a time", one_by_one, 8, ONE_BY_ONE, window=1))
    add(flat(setup, "one prompt per rule, its text first", mix, 9, rule_prompts(setup)))
    add(flat(setup, "one prompt, JSON rationale", mix, 10, one_rationale(setup)))
    add(flat(setup, f"{FLOOR}, again", clean, 11, one_question(setup)))
    return took


def uncached(setup: Setup, model: str, few: int) -> list[Took]:
    """Algorithm 1 on an engine of its own that remembers nothing."""
    setup.engine.close()
    gc.collect()
    vllm_steps._CACHED_PICTURES = 0  # noqa: SLF001 - every picture is handed over every time
    engine = opened(model, enable_prefix_caching=False, mm_processor_cache_gb=0)
    mix = ["clean", "violating"] * (few // 2)
    bare = replace(setup, engine=engine)
    chain(bare, "warm", mix[:2], 97, ONE_BY_ONE, window=1)
    return [chain(bare, "Algorithm 1, one at a time, no caches", mix, 12, ONE_BY_ONE, window=1)]


def markdown(took: list[Took], floor: float) -> str:
    """The table, and where the seconds of each row went."""
    rows = [
        (
            row.name, f"{row.each / floor:.2f}", f"{row.each:.2f}", f"{1 / row.each:.3g}",
            f"{row.questions:.1f}", f"{row.reasonings:.2f}", f"{row.searches:.2f}",
            f"{row.tokens:.0f}", f"{row.cached:.0%}",
        )
        for row in took
    ]  # fmt: skip
    spent = [
        (row.name, *(f"{row.stages.get(stage, 0) / floor:.2f}" for stage in STAGES))
        for row in took
        if row.stages
    ]
    head = ("row", "ratio to the floor", "s/picture", "pictures/s", "questions", "reasonings",
            "searches", "prompt tokens", "cached")  # fmt: skip
    return (
        f"{table(head, rows)}\n\nWhere it went, as ratios to the floor (images are read while "
        f"models answer):\n\n{table(('row', *STAGES), spent)}\n\n{f1()}"
    )


def f1() -> str:
    """What the chain and the one prompt with a rationale are worth on SketchBench."""
    text = (RESULTS / "bench-sketch.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines()
            if line.startswith(("| default |", "| whole constitution, reasoning |"))]  # fmt: skip
    figures = ", ".join(f"{cells[1].strip()} {cells[4].strip()}"
                      for cells in (row.split("|") for row in rows))  # fmt: skip
    return f"Image F1 on SketchBench (bench-sketch.md): {figures}"


if __name__ == "__main__":
    main()
