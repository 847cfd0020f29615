"""Tune the base generator in one way and measure what it draws.

Arms: `none` (no tuning); `ddpo` and `dpo` (the constitution's margin); `one-answer` (policy
gradient with the log-odds of one answer about the whole constitution). Writes
runs/finetune/ARM-SEED/.

`python -m benchmarks.finetune.arms ARM --seed S [--threads N]`
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.finetune import ddpo, dpo
from benchmarks.finetune.base import BASE, RUNS
from benchmarks.finetune.generator import Generator, load
from benchmarks.finetune.grids import save_grid
from benchmarks.finetune.measures import measure
from benchmarks.finetune.reader import train
from benchmarks.finetune.rewarding import by_constitution, by_one_answer

if TYPE_CHECKING:
    from benchmarks.finetune.ddpo import Round

JUDGE, TWIN = "hf:sketch", "hf:sketch-even"
ARMS = ("none", "ddpo", "dpo", "one-answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out = RUNS / f"{options.arm}-{options.seed}"
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    model = load(BASE)
    about = tune(model, options.arm, options.seed, out)
    tuned = time.monotonic() - begun
    judges = {"judge": by_constitution(JUDGE), "twin": by_constitution(TWIN)}
    found, pictures = measure(model, train(RUNS / "reader.pt"), judges, options.count, 7)
    save_grid(pictures[: 4 * 12], out / "neutral.png", 12)
    torch.save({"model": model.state_dict()}, out / "model.pt")
    text = json.dumps({"arm": options.arm, "seed": options.seed, "seconds": round(tuned), **about,
                       "measures": found.json()}, indent=1)  # fmt: skip
    (out / "measures.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def tune(model: Generator, arm: str, seed: int, out: Path) -> dict[str, object]:
    """Tune in place; what the arm was told, and what it met."""
    if arm == "none":
        return {}
    with (out / "curve.jsonl").open("w", encoding="utf-8") as curve:

        def tell(one: Round) -> None:
            curve.write(json.dumps(asdict(one)) + "\n")
            curve.flush()
            if one.number % 10 == 0:
                print(f"{arm} {seed}: {one}", flush=True)

        if arm == "dpo":
            settings = dpo.Settings()
            pairs = dpo.annotate(model, by_constitution(JUDGE), seed, settings)
            dpo.finetune(model, pairs, seed, settings, tell)
            met = {"pairs": len(pairs.words), "ties": pairs.ties, "unjudged": pairs.unjudged}
            return {"settings": asdict(settings), **met}
        reward = by_constitution(JUDGE) if arm == "ddpo" else by_one_answer(JUDGE)
        ddpo.finetune(model, reward, seed, ddpo.Settings(), tell)
        return {"settings": asdict(ddpo.Settings())}


if __name__ == "__main__":
    main()
