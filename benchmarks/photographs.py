"""Whether the sketch judge ever calls a photograph safe. It must not, not once.

`python benchmarks/photographs.py FOLDER [FOLDER ...]`
"""

from __future__ import annotations

import argparse
from collections import Counter

from measure import record
from twin import open_models

from safejudge import Judge, load_constitution
from safejudge.images.listing import find_images
from safejudge.policy import POLICIES
from safejudge.show.markdown import table
from safejudge.types import Failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--engines", nargs="+", default=["hf:sketch", "hf:sketch-even"])
    args = parser.parse_args()
    paths, rules = find_images(args.folders), load_constitution("sketch")
    rows, numbers = [], {}
    for engine in args.engines:
        for policy in POLICIES:
            with Judge(rules, open_models(engine), POLICIES[policy]()) as judge:
                results = judge(paths)
            labels = Counter("failure" if isinstance(r, Failure) else r.label for r in results)
            names = ("safe", "unsafe", "undecided", "failure")
            rows.append([engine, policy, str(len(paths)), *(str(labels[n]) for n in names)])
            numbers[f"{engine}, {policy}"] = {"images": len(paths), **labels}
    text = table(["engine", "policy", "photographs", "safe", "unsafe", "undecided", "failed"], rows)
    record("photographs", numbers, text)


if __name__ == "__main__":
    main()
