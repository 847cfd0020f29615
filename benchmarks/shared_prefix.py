# ruff: noqa: SLF001 - the ways of reading are no choice of a user's
"""What `hf:` saves by reading the picture once for all statements about it.

The same questions by the reader that encodes a picture once and prefills it for every question
(`whole prompts`), and by the one that shares what the language model made of it (`shared`). Both
begin with nothing in memory, in one run, by turns; seconds are the processor's, of one thread.
Shapes have random weights (`benchmarks/throughput/shapes.py`); `sketch` is the shipped judge. In
float32.

`python -m benchmarks.shared_prefix [--pictures 2] [--rounds 2]`
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.measure import record
from benchmarks.throughput.shapes import folder_of
from safejudge import prompts
from safejudge.constitution.load import load_constitution
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.prefix import PrefixReader
from safejudge.engines.open import open_engine
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Probe, leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPES_FOLDER = Path("runs/shapes")
STATEMENTS = (1, 2, 4, 14)
"""Questions about a picture; 14 is about what asking everything comes to."""
MODELS = {"sketch": 96, "smolvlm-256m": 512, "qwen2.5-vl-small": 896}
"""Name, and pixels of a picture's side."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model and number of statements; seconds are of a picture."""

    model: str
    picture_tokens: int
    statements: int
    whole: float
    shared: float
    largest_difference: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, side in MODELS.items():
        engine = opened(name)
        pictures = drawn(side, args.pictures)
        for count in STATEMENTS:
            rows.append(row(name, engine, pictures, count, args.rounds))
            print(rows[-1], flush=True)
        engine.close()
    head = ["model", "tokens of a picture", "statements", "whole / shared", "largest dM"]
    text = table(
        head,
        [
            [r.model, str(r.picture_tokens), str(r.statements), f"{r.whole / r.shared:.2f}",
             f"{r.largest_difference:.1e}"]
            for r in rows
        ],
    )  # fmt: skip
    record("shared-prefix", {"rows": [asdict(r) for r in rows], **vars(args)}, text)


def opened(name: str) -> HFEngine:
    """Open a model whose reader shares beginnings; of the shipped judge, the model inside it."""
    if name == "sketch":
        judge: Any = open_engine("hf:sketch")
        engine: HFEngine = judge.engine
    else:
        folder = folder_of(name, SHAPES_FOLDER)
        engine = HFEngine(str(folder), uri=f"hf:{name}", dtype="float32", least_mass=0.0)
    if not isinstance(engine._reader, PrefixReader):
        raise SystemExit(f"{name}: its prompts are read whole: {engine.card.notes}")
    return engine


def drawn(side: int, count: int) -> list[Picture]:
    """Drawn scenes of a seed of their own, each pixel as often as the side asks for."""
    numbers = [random.Random(f"prefix {i}") for i in range(count)]  # noqa: S311
    scenes = [draw(even_scene(number)).pixels for number in numbers]
    more = -(-side // scenes[0].shape[0])
    return [
        Picture.of(
            np.ascontiguousarray(np.kron(s, np.ones((more, more, 1), s.dtype))[:side, :side])
        )
        for s in scenes
    ]


def row(name: str, engine: HFEngine, pictures: Sequence[Picture], count: int, rounds: int) -> Row:
    """Ask both ways, by turns; the first turn of each is not counted."""
    rules = load_constitution("sketch").rules
    statements = list(dict.fromkeys(s.statement for r in rules for s in leaves(r.condition)))
    probes = [
        Probe(prompts.ASK, (picture,), prompts.statement_question(statement))
        for picture in pictures
        for statement in statements[:count]
    ]
    shared: Any = engine._reader
    seconds: dict[str, list[float]] = {"whole": [], "shared": []}
    answers: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for way, reader in (("whole", shared._whole), ("shared", shared)):
            shared._beginnings.clear()
            shared._whole._features.clear()
            engine._reader = reader
            start = time.process_time()
            read = engine.answer_probs(probes)
            if turn:
                seconds[way].append(time.process_time() - start)
            answers[way] = [one / (one + other) for one, other in (a.p_labels for a in read)]
    engine._reader = shared
    (prompt,) = shared.prompts(probes[:1])
    differences = [abs(a - b) for a, b in zip(answers["whole"], answers["shared"], strict=True)]
    return Row(
        name,
        prompt.start,
        count,
        statistics.median(seconds["whole"]) / len(pictures),
        statistics.median(seconds["shared"]) / len(pictures),
        max(differences),
    )


if __name__ == "__main__":
    main()
