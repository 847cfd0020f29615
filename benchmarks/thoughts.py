"""How much of a free thought decides: the same scenes with thoughts that are cut earlier and later.

Every leaf that the short answers leave open is reasoned about (`default`), with thoughts of at most
so many tokens. Beside each cap: how many labels differ from those of the longest, image F1, and how
many thoughts reached the cap. Scenes of a seed of their own. Only the shipped judge was asked. Its
thoughts are descriptions that it ends by itself; what a large model needs is not to be told here.

`python benchmarks/thoughts.py [--count 300]`
"""

from __future__ import annotations

import argparse
from itertools import islice
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge import Judge, Judgment, Policy
from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CAPS = (256, 64, 32, 24, 16)
SEED = "thoughts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    rules = load_constitution("sketch")
    drawn = [(draw(s).pixels, t) for s, t in islice(mixed_scenes(rules, SEED), args.count)]
    unsafe = [bool(truth.violations) for _, truth in drawn]
    rows, numbers, longest = [], {}, []
    for cap in CAPS:
        policy = Policy(max_reasoning_tokens=cap)
        with Judge.load(rules, engine="hf:sketch", policy=policy) as judge:
            results = judge([pixels for pixels, _ in drawn])
            lengths = judge.models.engine.text_tokens(list(thoughts(results)))
        labels = [getattr(result, "label", "failed") for result in results]
        longest = longest or labels
        changed = sum(a != b for a, b in zip(labels, longest, strict=True))
        reached = sum(length >= cap - 1 for length in lengths)
        f1 = f1_of(labels, unsafe)
        numbers[cap] = {
            "thoughts": len(lengths), "tokens": sum(lengths), "reached": reached,
            "changed": changed, "f1": f1,
        }  # fmt: skip
        mean = sum(lengths) / max(len(lengths), 1)
        rows.append([str(cap), str(len(lengths)), f"{mean:.1f}", str(reached), str(changed),
                     f"{f1:.3f}"])  # fmt: skip
    head = ["cap", "thoughts", "tokens each", "reached the cap", "labels changed", "image F1"]
    record("thoughts", {"caps": numbers, **vars(args)}, table(head, rows))


def thoughts(results: Sequence[Any]) -> Iterator[str]:
    """Every free thought behind some judgments."""
    for result in results:
        if isinstance(result, Judgment):
            for rule in result.rules.values():
                for verdict in rule.preconditions:
                    if verdict.reasoning is not None:
                        yield verdict.reasoning.text


def f1_of(labels: Sequence[str], unsafe: Sequence[bool]) -> float:
    """F1 of unsafe images; undecided counts as not found."""
    found = [label == "unsafe" for label in labels]
    hits = sum(a and b for a, b in zip(found, unsafe, strict=True))
    return 2 * hits / max(sum(found) + sum(unsafe), 1)


if __name__ == "__main__":
    main()
