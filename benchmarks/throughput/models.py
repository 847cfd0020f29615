"""What the tables of costs are measured on: the models, the scenes, and what warms them up."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.throughput.outcomes import SEED, recorded
from benchmarks.throughput.rows import Setup, but, chain, flat, one_question
from benchmarks.throughput.shapes import SHAPES, folder_of
from safejudge.constitution.load import load_constitution
from safejudge.engines.open import open_detector, open_encoder, open_engine
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes, plain_scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES_FOLDER = Path("runs/shapes")
MODELS = ("smolvlm-256m", "qwen2.5-vl-7b", "qwen2.5-vl-small", "sketch")


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
