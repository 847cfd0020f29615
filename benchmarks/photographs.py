"""Whether the sketch judge ever calls a photograph safe. It must not, not once.

`python benchmarks/photographs.py FOLDER [FOLDER ...]`
"""

from __future__ import annotations

import argparse
from collections import Counter

from measure import record

from safejudge import Judge
from safejudge.evals.report import table
from safejudge.images import find_images
from safejudge.sketch.judge import open_sketch_engine
from safejudge.types import Failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--models", nargs="+", default=["vlm", "vlm-even"])
    args = parser.parse_args()
    paths = find_images(args.folders)
    rows, numbers = [], {}
    for model in args.models:
        for policy in ("default", "clue", "clue-tree"):
            engine = open_sketch_engine(model)
            results = Judge.load("sketch", engine, policy, cache=None)(paths)
            labels = Counter("failure" if isinstance(r, Failure) else r.label for r in results)
            engine.close()
            names = ("safe", "unsafe", "undecided", "failure")
            rows.append([model, policy, str(len(paths)), *(str(labels[n]) for n in names)])
            numbers[f"{model}, {policy}"] = {"images": len(paths), **labels}
    text = table(["model", "policy", "photographs", "safe", "unsafe", "undecided", "failed"], rows)
    record("photographs", numbers, text)


if __name__ == "__main__":
    main()
