"""How long it takes to judge records again: many records under ten policies, no engine opened.

    python benchmarks/replay.py --records 2000

Draws scenes, judges them once with `sketch`, and repeats these records up to the number asked for;
then replays all of them under ten policies. Records seconds by policy, what changes, what is open
and what a run would ask next. Reading files of records, and writing them, is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from measure import record

from safejudge.decide.replay import Made, Replay, made_now
from safejudge.decide.replay_changes import Changes
from safejudge.judge import Judge
from safejudge.show.markdown import table
from safejudge.sketch.scenes import write_scenes
from safejudge.types import Judgment

if TYPE_CHECKING:
    from safejudge.types import Result

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


def judged(scenes: int, seed: int) -> tuple[Made, list[Result]]:
    """Judge drawn scenes once, and say what judged them."""
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder) / "scenes", scenes, seed)
        with Judge.load("sketch", "hf:sketch") as judge:
            results = judge(sorted(Path(folder, "scenes").glob("*.png")))
            return Made(judge.constitution, judge.policy, judge.provenance), results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--scenes", type=int, default=200, help="judged once, then repeated")
    parser.add_argument("--seed", type=int, default=20261129)
    options = parser.parse_args()
    then, once = judged(options.scenes, options.seed)
    results = list(islice(cycle(once), options.records))
    begun = time.perf_counter()
    own = Replay(then, then)
    reads = [own.reads_of(result) for result in results if isinstance(result, Judgment)]
    taken = time.perf_counter() - begun
    rows, seconds = [], {}
    for name, changed in POLICIES.items():
        now = made_now(then, own.constitution, then.policy.model_copy(update=changed))
        replay, changes = Replay(then, now), Changes()
        start = time.perf_counter()
        for result, read in zip(results, reads, strict=True):
            changes.add(result, replay(result, read))
        seconds[name] = time.perf_counter() - start
        rows.append(
            [name, f"{seconds[name]:.2f}", str(changes.changed), str(changes.open),
             changes.questions() or "nothing"]
        )  # fmt: skip
    whole = taken + sum(seconds.values())
    text = table(["policy", "seconds", "images that change", "open", "a run would ask"], rows)
    text += (
        f"\n\n{len(results)} records ({options.scenes} scenes, repeated) taken in in {taken:.2f} s "
        f"and replayed under {len(rows)} policies in {whole:.1f} s all together; no engine opened."
    )
    record("replay", {"records": len(results), "seconds": seconds, "taken_in": taken}, text)


if __name__ == "__main__":
    main()
