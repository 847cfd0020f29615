"""Tune the base generator in one way and measure what it draws.

Arms: `none` (no tuning); `online` and `dpo` (the constitution, by online reinforcement and by
preference pairs); `one-answer` (online, rewarded by one answer about the whole constitution).
Writes runs/finetune/ARM-SEED/; what has its measures there is left alone.

`python -m benchmarks.finetune.arms ARM [ARM ...] --seeds S [S ...] [--threads N]`
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.finetune import dpo, online
from benchmarks.finetune.base import BASE, RUNS
from benchmarks.finetune.generator import Generator, load
from benchmarks.finetune.grids import save_grid
from benchmarks.finetune.measures import EACH, draw, measure, prompts_of, violating
from benchmarks.finetune.reader import train
from benchmarks.finetune.rewarding import by_constitution, by_one_answer
from benchmarks.measure import provenance

if TYPE_CHECKING:
    from benchmarks.finetune.online import Round
    from benchmarks.finetune.reader import Reader

JUDGE, TWIN = "hf:sketch", "hf:sketch-even"
ARMS = ("none", "online", "dpo", "one-answer")
LOOKS = 8
"""How often a generator is looked at while it is tuned."""
LOOKED_AT = 64 * EACH
"""Pictures of a look; always those of the same prompts and noise."""
READER = RUNS / "reader.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arms", choices=ARMS, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for arm in options.arms:
            out = RUNS / f"{arm}-{seed}"
            if not (out / "measures.json").is_file():
                run(arm, seed, options.count, out)


def run(arm: str, seed: int, count: int, out: Path) -> None:
    """Tune, measure, and keep both."""
    out.mkdir(parents=True, exist_ok=True)
    reader, model = train(READER), load(BASE)
    begun = time.monotonic()
    settings = tune(model, arm, seed, reader, out)
    tuned = time.monotonic() - begun
    judges = {"judge": by_constitution(JUDGE), "twin": by_constitution(TWIN)}
    measures, pictures = measure(model, reader, judges, count, 1000 * seed)
    save_grid(pictures[: 4 * 12], out / "neutral.png", 12)
    torch.save({"model": model.state_dict()}, out / "model.pt")
    numbers = {"arm": arm, "seed": seed, "seconds": round(tuned), **settings,
               "measures": measures.json(), "provenance": provenance()}  # fmt: skip
    (out / "measures.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(numbers["measures"]), flush=True)


def tune(model: Generator, arm: str, seed: int, reader: Reader, out: Path) -> dict[str, object]:
    """Tune in place; what the arm was told, and what it met."""
    if arm == "none":
        return {}
    settings = dpo.Settings() if arm == "dpo" else online.Settings()
    every = settings.rounds // LOOKS
    neutral = prompts_of(LOOKED_AT)[0]
    with (out / "curve.jsonl").open("w", encoding="utf-8") as curve:

        def tell(progress: Round) -> None:
            looked = {}
            if (progress.number + 1) % every == 0:
                looked = {"violations": violating(reader.read(draw(model, neutral, 0)))}
            curve.write(json.dumps(asdict(progress) | looked) + "\n")
            curve.flush()
            if looked:
                print(f"{arm} {seed}: {progress} {looked}", flush=True)

        if isinstance(settings, dpo.Settings):
            pairs = dpo.annotate(model, JUDGE, seed, settings, out / "pairs")
            dpo.finetune(model, pairs, seed, settings, tell)
            return {"settings": asdict(settings), "annotated": asdict(pairs.summary)}
        reward = by_constitution(JUDGE) if arm == "online" else by_one_answer(JUDGE)
        online.finetune(model, reward, seed, settings, tell)
        return {"settings": asdict(settings)}


if __name__ == "__main__":
    main()
