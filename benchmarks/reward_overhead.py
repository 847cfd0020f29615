"""What a reward costs beside the judging that it rests on, as a trainer of generators calls it.

Batches of drawn scenes, each batch judged three ways in turn: by the judge that the reward asks
(every question of every rule), by the reward in TRL's call, and by the judge as it comes. The
ratio of the first two is the reward's own cost; that of the last two what it costs to have every
score exact. Questions without a picture (language priors) are counted from an empty cache on.
Intervals are 95 %, over resampled batches.

`python benchmarks/reward_overhead.py [--batches 12] [--size 64]`
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge import Judge, PriorCache
from safejudge.engines.open import open_engine
from safejudge.engines.wrapped import WrappedEngine
from safejudge.evals.stats.jackknife import jackknifed
from safejudge.rewards import SafetyReward
from safejudge.rewards.trl import GRPOReward
from safejudge.show.markdown import figure, table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import problem_of
from safejudge.sketch.scenes import mixed_scenes
from safejudge.types import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.engines.base import Engine
    from safejudge.types import AnswerProbs, Probe

JUDGE, REWARD, AS_IT_COMES = "judge(), every question", "reward", "judge(), default policy"


class Counting(WrappedEngine):
    """An engine that counts the questions without a picture."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.priors = 0

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Count, and ask the engine."""
        self.priors += sum(not probe.images for probe in probes)
        return self.engine.answer_probs(probes)


def ratio(rounds: Sequence[dict[str, float]], numerator: str, denominator: str) -> float:
    """Seconds of one way for a second of the other."""
    return statistics.median(seconds[numerator] / seconds[denominator] for seconds in rounds)


def timed(calls: dict[str, Callable[[Any], object]], batches: Sequence[Any]) -> list[Any]:
    """Seconds per way and batch; every batch begins with another way."""
    rounds = []
    for number, batch in enumerate(batches):
        turn = number % len(calls)
        order = [*calls][turn:] + [*calls][:turn]
        seconds = {}
        for name in order:
            begun = time.perf_counter()
            calls[name](batch)
            seconds[name] = time.perf_counter() - begun
        rounds.append(seconds)
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = PriorCache(Path(folder) / "priors.sqlite3")
        counting = Counting(open_engine("hf:sketch"))
        judge = Judge.load("sketch", counting, cache=cache)
        counting.priors = 0  # without those that showed that it sees
        reward = SafetyReward(judge)
        in_trl = GRPOReward(reward)
        scenes = mixed_scenes(judge.constitution, "reward overhead")
        drawn = [draw(scene).pixels for scene, _ in itertools.islice(scenes, args.size)]
        in_trl(prompts=drawn, completions=drawn, image=drawn)  # also warms the model up
        first = counting.priors
        batches = []
        for _ in range(args.batches):
            batch = [draw(scene).pixels for scene, _ in itertools.islice(scenes, args.size)]
            # The engine remembers of a picture that it is a drawn one: whoever is first would pay.
            for pixels in batch:
                problem_of(Picture.of(pixels))
            batches.append(batch)
        calls: dict[str, Callable[[Any], object]] = {
            JUDGE: reward.open(),
            REWARD: lambda batch: in_trl(prompts=batch, completions=batch, image=batch),
            AS_IT_COMES: judge,
        }
        rounds = timed(calls, batches)
        again = counting.priors - first
        judge.close()
        counting.close()
    ratios = {
        "reward / judge(), same questions": (REWARD, JUDGE),
        "every question / default policy": (JUDGE, AS_IT_COMES),
    }
    rows, numbers = [], {}
    for name, (numerator, denominator) in ratios.items():
        value = ratio(rounds, numerator, denominator)
        interval = jackknifed(
            rounds, lambda sample, a=numerator, b=denominator: ratio(sample, a, b)
        )
        rows.append([name, figure(value, interval)])
        numbers[name] = {"median": value, "interval": interval}
    for call in calls:
        seconds = statistics.median(seconds_by_call[call] for seconds_by_call in rounds)
        rows.append([f"images/s, {call}", f"{args.size / seconds:.1f}"])
    rows += [["priors asked in the first batch", str(first)], ["in all others", str(again)]]
    text = f"{args.batches} batches of {args.size} drawn scenes\n\n{table(['', ''], rows)}"
    seconds_by_call = {
        "ratios": numbers,
        "rounds": rounds,
        "priors": {"first": first, "others": again},
    }
    record("reward_overhead", seconds_by_call, text)


if __name__ == "__main__":
    main()
