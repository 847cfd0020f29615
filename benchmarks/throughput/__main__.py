"""What a whole constitution costs -> benchmarks/results/throughput-SHAPE.{json,md}.

One vLLM engine; all rows in one run; seconds per picture as ratios to one question per picture.
The model has a real shape and random weights (`shapes`), its answers are drawn from what the
shipped judge's were (`outcomes`, `scripted`): 14 rules, 42 preconditions (`osbench`), pictures of
512 pixels as PNG, read and decoded in the run. `mix`: every other picture violates a rule.

`python -m benchmarks.throughput [--shape smolvlm-256m] [--count 48] [--few 8] [--window 32]`
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import safejudge.engines.vllm as vllm_engine
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
from benchmarks.throughput.shapes import folder_of
from safejudge import Policy
from safejudge.constitution import load_constitution
from safejudge.engines import open_detector, open_encoder, open_engine
from safejudge.evals.report import table
from safejudge.sketch.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes

SHAPES_FOLDER = Path("runs/shapes")
FLOOR = "floor: one question"
SIZE = 512
ONE_BY_ONE = Policy.clue().model_copy(
    update={"relevance_threshold": DEFAULT.relevance_threshold, "max_reasoning_tokens": WRITTEN}
)
STAGES = ("questions", "relevance", "regions", "reasoning", "reading images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--shape", default="smolvlm-256m", choices=["smolvlm-256m", "qwen2.5-vl-7b"]
    )
    parser.add_argument("--count", type=int, default=48, help="pictures of a row")
    parser.add_argument("--few", type=int, default=8, help="pictures of a row one at a time")
    parser.add_argument("--window", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        setup = Setup(
            engine=opened(args.shape),
            encoder=open_encoder(f"hf:{folder_of('clip-vit-base-patch16', SHAPES_FOLDER)}"),
            detector=open_detector(f"hf:{folder_of('owlv2-base-patch16', SHAPES_FOLDER)}"),
            constitution=load_constitution("osbench"),
            scenes=scenes(args.count),
            shares=recorded(),
            size=SIZE,
            window=args.window,
            cache=Path(cache) / "priors.sqlite3",
        )
        took = [*measured(setup, args.count, args.few), *uncached(setup, args.shape, args.few)]
    floor = next(one.each for one in took if one.name == FLOOR)
    rows = {one.name: asdict(one) | {"ratio": one.each / floor} for one in took}
    text = f"{args.shape} shape, {args.count} pictures a row ({args.few} one at a time)\n\n"
    record(f"throughput-{args.shape}", {"rows": rows}, text + shown(took, floor))


def opened(shape: str, **options: Any) -> Any:
    """Start vLLM on a shape; one too large to write has its weights made up."""
    folder = folder_of(shape, SHAPES_FOLDER)
    made_up = {"load_format": "dummy"} if shape == "qwen2.5-vl-7b" else {}
    return open_engine(f"vllm:{folder}", max_model_len=4096, **made_up, **options)


def scenes(count: int) -> dict[str, list[Any]]:
    """Draw scenes of both kinds."""
    rules = load_constitution("sketch")
    violating = (one for one in mixed_scenes(rules, SEED) if one[1].violations)
    kinds = {"clean": plain_scenes(rules, SEED), "violating": violating}
    return {
        kind: [draw(scene).pixels for scene, _ in islice(some, count)]
        for kind, some in kinds.items()
    }


def measured(setup: Setup, count: int, few: int) -> list[Took]:
    """Every row on one engine; the floor again at the end, to see the machine drift."""
    clean, mix = ["clean"] * count, ["clean", "violating"] * (count // 2)
    # Compiles, warms up and fills the cache of language priors; in no row.
    chain(setup, "warm", mix[:2], 99, DEFAULT.model_copy(update={"exhaustive": True}))
    flat(setup, "warm", mix[:2], 98, one_rationale(setup))

    def but(**changed: object) -> Policy:
        return DEFAULT.model_copy(update=changed)

    took = []

    def add(one: Took) -> None:
        took.append(one)
        print(f"{one.name}: {one.each:.3f} s a picture", flush=True)

    add(flat(setup, FLOOR, clean, 0, one_question))
    add(chain(setup, "ours, clean", clean, 1))
    add(chain(setup, "ours, mix", mix, 2))
    add(chain(setup, "mix, no relevance", mix, 3, but(relevance=False)))
    add(chain(setup, "mix, no early stop", mix, 4, but(exhaustive=True)))
    add(chain(setup, "mix, priors not kept", mix, 5, cached=False))
    add(chain(setup, "mix, statement before the image", mix, 6, statement_first=True))
    add(chain(setup, "mix, no reasoning", mix, 7, but(cascade=False)))
    add(chain(setup, "Algorithm 1, one at a time", mix[:few], 8, ONE_BY_ONE, window=1))
    add(flat(setup, "one prompt per rule, its text first", mix, 9, rule_prompts(setup)))
    add(flat(setup, "one prompt, JSON rationale", mix, 10, one_rationale(setup)))
    add(flat(setup, f"{FLOOR}, again", clean, 11, one_question))
    return took


def uncached(setup: Setup, shape: str, few: int) -> list[Took]:
    """Algorithm 1 on an engine of its own that remembers nothing."""
    setup.engine.close()
    gc.collect()
    vllm_engine._KEPT_PICTURES = 0  # noqa: SLF001 - every picture is handed over every time
    engine = opened(shape, enable_prefix_caching=False, mm_processor_cache_gb=0)
    mix = ["clean", "violating"] * (few // 2)
    bare = replace(setup, engine=engine)
    chain(bare, "warm", mix[:2], 97, ONE_BY_ONE, window=1)
    return [chain(bare, "Algorithm 1, one at a time, no caches", mix, 12, ONE_BY_ONE, window=1)]


def shown(took: list[Took], floor: float) -> str:
    """The table, and where the seconds of each row went."""
    rows = [
        (
            one.name, f"{one.each / floor:.2f}", f"{one.each:.2f}", f"{1 / one.each:.3g}",
            f"{one.questions:.1f}", f"{one.reasonings:.2f}", f"{one.searches:.2f}",
            f"{one.tokens:.0f}", f"{one.cached:.0%}",
        )
        for one in took
    ]  # fmt: skip
    spent = [
        (one.name, *(f"{one.stages.get(stage, 0) / floor:.2f}" for stage in STAGES),
         f"{(one.each - sum(one.stages.values())) / floor:.2f}")
        for one in took
        if one.stages
    ]  # fmt: skip
    head = ("row", "ratio to the floor", "s/picture", "pictures/s", "questions", "reasonings",
            "searches", "prompt tokens", "cached")  # fmt: skip
    return (
        f"{table(head, rows)}\n\nWhere it went, as ratios to the floor (what is read while models "
        f"answer counts twice):\n\n{table(('row', *STAGES, 'the rest'), spent)}{f1()}"
    )


def f1() -> str:
    """What the chain and the one prompt with a rationale are worth on SketchBench."""
    text = (RESULTS / "bench-sketch.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines()
            if line.startswith(("| default |", "| whole constitution, reasoning |"))]  # fmt: skip
    found = ", ".join(f"{cells[1].strip()} {cells[4].strip()}"
                      for cells in (row.split("|") for row in rows))  # fmt: skip
    return f"\n\nImage F1 on SketchBench (bench-sketch.md): {found}"


if __name__ == "__main__":
    main()
