"""How long it takes to judge records again: many records under ten policies, no engine opened.

    python benchmarks/replay.py --records 2000

Draws scenes, judges them once with `sketch`, and repeats these records up to the number asked for;
then replays all of them under ten policies. Prints seconds by policy, what changes and what is
open.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from safejudge.constitution.load import load_constitution
from safejudge.decide.replay import Made, Replay, made_now
from safejudge.decide.replay_changes import Changes
from safejudge.judge import Judge
from safejudge.sketch.scenes import write_scenes

POLICIES = {
    "default": {},
    "open counts as no": {"open_means": "no"},
    "open stays undecided": {"open_means": "undecided"},
    "without prior": {"prior": False},
    "without regions": {"crop": False, "region": False},
    "without relevance": {"relevance": False},
    "reject 0.2": {"reject_factor": 0.2},
    "reject 0.5": {"reject_factor": 0.5},
    "accept 0.6": {"accept_factor": 0.6},
    "accept 0.9": {"accept_factor": 0.9},
}
"""What is replayed, as changes of `default`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--scenes", type=int, default=100, help="judged once, then repeated")
    parser.add_argument("--seed", type=int, default=20261129)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder) / "scenes"
        write_scenes(scenes, options.scenes, options.seed)
        with Judge.load(load_constitution("sketch"), "hf:sketch") as judge:
            judged = judge(sorted(scenes.glob("*.png")))
            then = Made(judge.constitution, judge.policy, judge.provenance)
    results = list(islice(cycle(judged), options.records))
    whole = time.perf_counter()
    reading = Replay(then, then)
    reads = [reading.reads_of(result) for result in results]
    print(f"{len(results)} records taken in: {time.perf_counter() - whole:.2f} s")
    for name, changed in POLICIES.items():
        policy = then.policy.model_copy(update=changed)
        replay, changes = Replay(then, made_now(then, judge.constitution, policy)), Changes()
        begun = time.perf_counter()
        for result, read in zip(results, reads, strict=True):
            changes.add(result, replay(result, read))
        print(f"{name}: {time.perf_counter() - begun:.2f} s; {'; '.join(changes.lines())}")
    print(f"all together: {time.perf_counter() - whole:.2f} s")


if __name__ == "__main__":
    main()
