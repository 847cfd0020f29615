"""How long it takes to judge records again: many records under ten policies, no engine opened.

    python benchmarks/replay.py [--records 2000]

Draws so many scenes and judges them with `sketch`, minutes on one core; both stay in
`runs/replay`, where a run that was stopped goes on. Then replays every record under ten policies.
Records seconds by policy, what changes, what is open and what a run would ask next. Reading files
of records, and writing them, is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import record

from safejudge.decide import replay_records
from safejudge.decide.replay import Made, Replay, made_now
from safejudge.decide.replay_changes import Changes
from safejudge.files.stored import open_stored
from safejudge.show.markdown import table
from safejudge.sketch.scenes import write_scenes
from safejudge.types import Judgment

if TYPE_CHECKING:
    from safejudge.types import Result

RUN = Path("runs/replay")
"""Scenes, and their records."""
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


def judged(count: int, seed: int) -> tuple[Made, list[Result]]:
    """Judge drawn scenes that have no record yet; return all records, and what judged them."""
    run = RUN / f"{count}-{seed}"
    if len([*run.glob("scene-*.png")]) != count:
        write_scenes(run, count, seed, overwrite=True)
    out = RUN / f"{count}-{seed}.jsonl"
    command = [
        sys.executable, "-m", "safejudge", "judge", str(run), "--constitution", "sketch",
        "--engine", "hf:sketch", "--out", str(out), "--resume",
    ]  # fmt: skip
    done = subprocess.run(command, check=False)
    if done.returncode not in {0, 1, 4}:
        sys.exit(f"judge ended with {done.returncode}")
    stored = open_stored(out)
    made = replay_records.made_then(stored, None, ())
    return made, [result for _, result in replay_records.results(stored, made.provenance)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261129)
    options = parser.parse_args()
    then, results = judged(options.records, options.seed)
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
        f"\n\n{len(results)} records of as many drawn scenes: taken in in {taken:.2f} s, and with "
        f"their replays under {len(rows)} policies {whole:.1f} s; no engine opened."
    )
    record("replay", {"records": len(results), "seconds": seconds, "taken_in": taken}, text)


if __name__ == "__main__":
    main()
