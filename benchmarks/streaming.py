"""What answers that come one by one are worth beside answers in waves.

The same images by the same judge, by turns in one run: in waves, where everybody waits for the last
answer of a wave, and one by one, where images begin while others are asked about. Each turn sees
pictures of its own (one pixel differs), so no cache of another helps it. `vllm:sketch` in this
process, in the environment of vLLM's tests; every third scene violates a rule.

`VLLM_CPU_KVCACHE_SPACE=1 python benchmarks/streaming.py [--engine vllm:sketch] [--count 90]`
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge import Judge, Policy
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.flow import Stream

SEED = "streaming"


class InWaves(Models):
    """Models that answer everything in waves."""

    def stream(self) -> Stream | None:
        """None: no engine is asked one by one."""
        return None


WAYS: dict[str, type[Models]] = {"in waves": InWaves, "one by one": Models}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="vllm:sketch")
    parser.add_argument("--count", type=int, default=90, help="scenes of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=16)
    args = parser.parse_args()
    rules = load_constitution("sketch")
    scenes = [draw(scene).pixels for scene, _ in islice(mixed_scenes(rules, SEED), args.count)]
    opened = Models.opened(args.engine, "default", "default", None)
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    labels: dict[str, list[list[str]]] = {way: [] for way in WAYS}
    for turn in range(args.rounds + 1):
        for way, kind in WAYS.items():
            models = kind(opened.engine, opened.encoder, opened.detector)
            judge = Judge(rules, models, Policy(relevance_threshold=-0.093))
            shown = list(marked(scenes, 2 * turn + list(WAYS).index(way)))
            begun = time.perf_counter()
            results = list(judge.stream(shown, window=args.window))
            if turn:  # the first compiles and warms up
                took[way].append(time.perf_counter() - begun)
            labels[way].append([getattr(result, "label", "failed") for result in results])
    ratios = [waves / one for waves, one in zip(*took.values(), strict=True)]
    same = sum(
        a == b
        for one, other in zip(*labels.values(), strict=True)
        for a, b in zip(one, other, strict=True)
    )
    rows = [
        [way, f"{args.count / statistics.median(seconds):.2f}", f"{min(seconds):.2f}",
         f"{max(seconds):.2f}"]
        for way, seconds in took.items()
    ]  # fmt: skip
    text = table(["answers", "images/s", "fastest turn, s", "slowest turn, s"], rows)
    text += (
        f"\n\nIn waves / one by one, turn by turn: median {statistics.median(ratios):.2f}, "
        f"{min(ratios):.2f} to {max(ratios):.2f}. Labels that are the same: {same} of "
        f"{(args.rounds + 1) * args.count}.\n"
    )
    record("streaming", {"took": took, "ratios": ratios, "same": same, **vars(args)}, text)
    opened.close()


def marked(scenes: list[Any], number: int) -> Iterator[Any]:
    """The same pictures for the eye, and others for every cache."""
    for scene in scenes:
        copy = scene.copy()
        copy[0, number % copy.shape[1], 0] ^= 1
        copy[1, number // copy.shape[1], 0] ^= 1
        yield copy


if __name__ == "__main__":
    main()
