"""Figures of `policyshift` from guards' lines, beside those of the benchmark's own script.

Random lines (60 sets, seeded; one reply in five unread) are scored by `safejudge` and by
`vllm_guard/evaluation/metrics.py` of github.com/ssmisya/PolicyShiftGuard (MIT), which is read from
a file and not shipped. Its figures leave out what it cannot read; so do those compared here.

`python benchmarks/policyshift_script.py METRICS.py`
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figure_checks import Check, recorded, text
from measure import record

from safejudge.evals.policyshift.score import from_outputs

SETS = 60
NAMES = {
    "published.accuracy": "accuracy",
    "published.agree": "pca_agree",
    "published.disagree": "pca_disagree",
    "published.shift": "pss",
    "published.consistent": "consistency",
    "category": "category_accuracy",
}
REPLIES = {"safe": "false | it is not", "unsafe": "true | {:02} | it is", "invalid": "Well."}


def lines(seed: int) -> list[dict[str, Any]]:
    """Some pictures, two categories of risk, up to four policies."""
    draw = random.Random(seed)  # noqa: S311
    rows = []
    for image in range(draw.randint(3, 15)):
        for section in (1, 2):
            for policy in draw.sample("abcd", draw.randint(1, 4)):
                label = draw.choice(["safe", "unsafe"])
                said = draw.choice(["safe", "unsafe", "safe", "unsafe", "invalid"])
                kind = draw.randint(1, 3)
                rows.append({
                    "image_idx": image, "section_id": section, "section_title": "things",
                    "policy_name": policy, "tier": "", "label": label, "prediction": said,
                    "raw_response": REPLIES[said].format(kind),
                    "violated_categories": [section] if label == "unsafe" else [],
                    "predicted_categories": [kind] if said == "unsafe" else [],
                })  # fmt: skip
    return rows


def checks(script: Any) -> Iterator[Check]:
    for seed in range(SETS):
        rows = lines(seed)
        theirs = script.compute_all_metrics(rows)["overall"]
        with TemporaryDirectory() as folder:
            written = "".join(f"{json.dumps(row)}\n" for row in rows)
            Path(folder, "guard.jsonl").write_text(written, encoding="utf-8")
            numbers = from_outputs(Path(folder)).numbers["guard"]
        for name, other in NAMES.items():
            value = numbers[name]["value"] if name in numbers else None
            # Where there is nothing to count the script says 0, and safejudge nothing.
            ours = 0.0 if value is None else value
            yield Check(f"{seed}: {name}", ours, theirs[other], listed=seed == 0, within=1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", type=Path, metavar="METRICS.py")
    spec = importlib.util.spec_from_file_location("metrics", parser.parse_args().metrics)
    if spec is None or spec.loader is None:
        raise SystemExit("name the script's metrics.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = list(checks(script))
    figures = {"PolicyShiftBench": [recorded(row) for row in rows]}
    record("policyshift", figures, text("PolicyShiftBench", rows))


if __name__ == "__main__":
    main()
