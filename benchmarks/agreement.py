"""Whether `hf:`, `vllm:` and `server:` read the same from the sketch judge.

The same probes through transformers and vLLM in float32 (|dM|, wanted under 1e-3) and in bfloat16
(|d logit M| over probes with 0.05 < M < 0.95, wanted at most 0.25 at the 95th percentile), and
through vLLM's own server in float32; how far M moves in half precision with what shares its
batch, and whether a threshold of the policy lies within that; then the labels of SketchBench scenes
with reasoning on and off, each difference listed. Runs where vLLM is:
`.venv-vllm/bin/python benchmarks/agreement.py`.
"""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

import numpy as np
from measure import record

from safejudge import Judge, Policy
from safejudge.constitution.load import load_constitution
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.open import open_engine
from safejudge.method.debias import weigh
from safejudge.method.questions import picture_probe, prior_probe
from safejudge.show.markdown import table
from safejudge.sketch.bench.bench import Item, scenes
from safejudge.sketch.judge import model_folder
from safejudge.types import Judgment, leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import AnswerProbs, Probe


def probes_of(items: Sequence[Item]) -> list[Probe]:
    """Every precondition of the constitution, put to every scene and to none."""
    rules = load_constitution("sketch").rules
    preconditions = dict.fromkeys(leaf for rule in rules for leaf in leaves(rule.condition))
    return [
        *(picture_probe(leaf, item.picture, None) for item in items for leaf in preconditions),
        *(prior_probe(leaf) for leaf in preconditions),
    ]


def differences(left: Sequence[AnswerProbs], right: Sequence[AnswerProbs]) -> list[str]:
    """Rows: largest |dM|; 95th percentile of |d logit M| where M is not extreme."""
    pairs = [
        (a.score, b.score)
        for a, b in zip(left, right, strict=True)
        if a.score is not None and b.score is not None
    ]
    moved = [abs(a - b) for a, b in pairs]
    middle = [abs(_logit(a) - _logit(b)) for a, b in pairs if 0.05 < a < 0.95 and 0 < b < 1]
    p95 = f"{np.quantile(middle, 0.95):.4f} (n={len(middle)})" if middle else "-"
    return [f"{max(moved):.2e}", p95, str(len(pairs))]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def shares(probes: Sequence[Probe], dtype: str) -> list[float | None]:
    """M of each probe through `hf:` in batches of 64, and then each by itself."""
    scores: list[float | None] = []
    for size in (64, 1):
        engine = HFEngine(str(model_folder()), uri="hf:", dtype=dtype, batch_size=size)
        scores += [answer.score for answer in engine.answer_probs(probes)]
        engine.close()
    return scores


def by_batch(probes: Sequence[Probe], dtype: str) -> tuple[list[str], str]:
    """A row: by how much a batch moves M; and what that is to the thresholds of a policy."""
    scores = shares(probes, dtype)
    pairs = list(zip(scores[: len(probes)], scores[len(probes) :], strict=True))
    moved = sorted(abs(a - b) for a, b in pairs if a is not None and b is not None)
    priors = {
        probe.question: pair[0]
        for probe, pair in zip(probes, pairs, strict=True)
        if not probe.images
    }
    seen = [
        (together, alone, priors[probe.question])
        for probe, (together, alone) in zip(probes, pairs, strict=True)
        if probe.images
    ]
    read = [numbers for numbers in seen if None not in numbers]
    policy = Policy()
    near = sum(_crosses(m - moved[-1], m + moved[-1], p0, policy) for m, _, p0 in read)
    flipped = sum(_crosses(m, alone, p0, policy) for m, alone, p0 in read)
    note = (
        f"hf, {dtype}: a batch moves M by up to {moved[-1]:.2g}; of {len(read)} reads {near} are "
        f"so near to a threshold of the default policy, and {flipped} cross it"
    )
    return [f"{moved[-1]:.2e}", "-", str(len(moved))], note


def _crosses(one: float, other: float, prior: float, policy: Policy) -> bool:
    """Whether a threshold of the tests lies between two numbers."""
    left, right = (weigh(min(max(m, 0.0), 1.0), prior, policy) for m in (one, other))
    return left.outcome is not right.outcome


def labels(items: Sequence[Item], engine: str, policy: Policy) -> list[str]:
    """Label each scene."""
    with Judge.load("sketch", engine, policy, cache=None) as judge:
        results = judge([item.picture.pixels for item in items])
    return [r.label if isinstance(r, Judgment) else "failure" for r in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-rule", type=int, default=50)
    parser.add_argument("--plain", type=int, default=500)
    parser.add_argument("--read", type=int, default=200, help="scenes whose probes are compared")
    parser.add_argument("--read-slowly", type=int, default=40, help="the same in bfloat16")
    parser.add_argument("--server", metavar="URI", help="server:http://...#MODEL in float32")
    args = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    items = list(scenes(load_constitution("sketch"), args.per_rule, args.plain))
    step = max(1, len(items) // args.read)
    probes = probes_of(items[::step][: args.read])
    few = probes_of(items[::step][: args.read_slowly])
    rows = []
    for dtype, batch in (("float32", probes), ("bfloat16", few)):
        by_hf = HFEngine(str(model_folder()), uri="hf:", dtype=dtype, batch_size=64)
        expected = by_hf.answer_probs(batch)
        by_hf.close()
        engine = open_engine(f"vllm:{model_folder()}", dtype=dtype, max_model_len=2048)
        answers = engine.answer_probs(batch)
        engine.close()
        rows.append([f"hf and vllm, {dtype}", *differences(expected, answers)])
        if args.server and dtype == "float32":
            server = open_engine(args.server)
            rows.append(
                ["hf and server, float32", *differences(expected, server.answer_probs(batch))]
            )
            server.close()
    notes = []
    for dtype in ("bfloat16", "float16"):
        row, note = by_batch(few, dtype)
        rows.append([f"hf in a batch and alone, {dtype}", *row])
        notes.append(note)
    head = ["", "largest change of M", "change of logit M, 95th percentile", "probes"]
    text = table(head, rows)
    numbers: dict[str, list[str]] = {row[0]: row[1:] for row in rows}
    numbers["thresholds"] = notes
    text += "".join(f"\n\n{note}." for note in notes)
    for name, policy in (("on", Policy()), ("off", Policy(open_means="undecided"))):
        ours, theirs = (labels(items, uri, policy) for uri in ("hf:sketch", "vllm:sketch"))
        changed = [
            f"scene {index}: hf {a}, vllm {b}"
            for index, (a, b) in enumerate(zip(ours, theirs, strict=True))
            if a != b
        ]
        text += f"\n\nReasoning {name}: {len(changed)} of {len(items)} labels differ"
        text += "".join(f"\n- {line}" for line in changed)
        numbers[f"labels that differ, reasoning {name}"] = changed
    record("agreement", numbers, text)


if __name__ == "__main__":
    main()
