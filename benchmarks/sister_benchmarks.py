"""Published figures of two benchmarks of judges, computed again from recorded outputs.

Each folder holds judges' outputs and an `expected.json`: figures as published, and as someone else
computed them again. Every one that the outputs allow is computed and compared to four places.

`python benchmarks/sister_benchmarks.py MLLM_DIR REWARDBENCH_DIR`
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import record

from safejudge.evals.mllm_judge import records as mllm_judge_records
from safejudge.evals.mllm_judge import score as mllm_judge_outputs
from safejudge.evals.recorded import read_folder
from safejudge.evals.replies import read_ranking
from safejudge.evals.rewardbench import records as rewardbench_records
from safejudge.evals.rewardbench import score as rewardbench_outputs
from safejudge.evals.stats.agreement import ranking_distance
from safejudge.show.markdown import table

Numbers = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Check:
    """One figure, from up to three sources."""

    name: str
    """What it is of."""
    ours: Any
    """Computed here; None where the outputs do not allow it."""
    expected: Any = None
    """Computed again by someone else."""
    published: Any = None
    """As its authors printed it."""
    listed: bool = True
    """Whether it has a row of its own in the table even if it agrees."""
    within: float = 5e-5
    """How far apart is the same: four places."""
    why: str = ""
    """Why it cannot be computed or differs."""

    def outcomes(self) -> list[str]:
        """What comes of each comparison."""
        if self.ours is None:
            return ["not computable"]
        wanted = [one for one in (self.expected, self.published) if one is not None]
        return ["same" if _close(one, self.ours, self.within) else "differs" for one in wanted]


def _close(one: Any, other: Any, within: float) -> bool:
    if isinstance(one, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_close(a, b, within) for a, b in pairs)
    return bool(one == other) if isinstance(one, str) else math.isclose(one, other, abs_tol=within)


# --- MLLM-as-a-Judge ----------------------------------------------------------------------------

_OURS = {
    "pearson": "pearson",
    "spearman": "spearman",
    "kendall": "kendall",
    "accuracy": "accuracy",
    "within_1": "within_1",
    "within_2": "within_2",
    "mae": "mae",
    "bias": "bias",
    "max_prob_mean": "top_probability",
    "share_over_0_99": "top_over_0_99",
    "max_prob_mean_all_rows": "top_probability_all_rows",
    "share_over_0_99_all_rows": "top_over_0_99_all_rows",
    "pearson_expected_score": "weighted.pearson",
    "mae_expected_score": "weighted.mae",
    "auroc_low_quality_from_expected": "weighted.auroc_low",
    "auroc_low_quality_from_parsed": "auroc_low",
}
_BY_TASK = {"pearson": "pearson", "pearson_expected": "weighted.pearson", "accuracy": "accuracy"}


def mllm_judge(folder: Path, expected: dict[str, Any]) -> list[Check]:
    numbers: Numbers = mllm_judge_outputs.from_outputs(folder, draws=50).numbers
    found = []
    for judge, wanted in expected["recomputed"]["judges"].items():
        ours, published = numbers[judge], expected["published"][judge]
        unread = ours["score.unread"]
        counts = {
            "rows": unread["n"],
            "unparsed": round(unread["value"] * unread["n"]),
            "n": ours["score.pearson"]["n"],
        }
        values = counts | {name: ours[f"score.{mine}"]["value"] for name, mine in _OURS.items()}
        found += [
            Check(f"{judge}: {name}", value, wanted[name], published.get(name))
            for name, value in values.items()
        ]
        for task, figures in wanted["per_task"].items():
            mine = {name: ours[f"score.task.{task}.{one}"] for name, one in _BY_TASK.items()}
            values = {name: one["value"] for name, one in mine.items()}
            values["n"] = mine["pearson"]["n"]
            found += [
                Check(f"{judge}, {task}: {name}", value, figures[name], listed=False)
                for name, value in values.items()
            ]
    found += _records(folder, numbers, expected["recomputed"]["records"])
    elsewhere = expected["published_elsewhere"]
    why = "no outputs of this judge, or of this run of it, are there"
    return found + [
        Check(f"{judge}: {name}", None, published=value, listed=False, why=why)
        for judge, values in elsewhere.items()
        if isinstance(values, list) and judge != "columns"
        for name, value in zip(elsewhere["columns"], values, strict=True)
    ]


def _records(folder: Path, numbers: Numbers, wanted: dict[str, Any]) -> list[Check]:
    """Of pairs and rankings there are single records only."""
    pairs = [some for some in numbers.values() if "pair.accuracy_with_ties" in some]
    found = []
    for name in ("with_ties", "without_ties"):
        shares = [some[f"pair.accuracy_{name}"] for some in pairs]
        right = sum(round(one["value"] * one["n"]) for one in shares)
        ours = [right, sum(one["n"] for one in shares)]
        found.append(Check(f"records: pair_{name}", ours, wanted[f"pair_{name}"]))
    records = [one for lines in read_folder(folder) for one in lines.records if "answers" in one]
    words = [one["evaluator"]["judge_tail"] for one in records if "evaluator" in one]
    rankings = [read_ranking(one, 4) for one in words]
    outputs = [one for one in mllm_judge_records.read(folder).outputs if one.sample.kind == "batch"]
    distances = [ranking_distance(one.sample.human, one.answer or "") for one in outputs]
    shown = [ranking_distance(one["human_answer"], "ABCD") for one in records]
    return [
        *found,
        Check("records: batch_parsed", rankings, wanted["batch_parsed"]),
        Check("records: batch_distance", distances, wanted["batch_distance"]),
        Check("records: batch_distance_to_identity_order", shown,
              wanted["batch_distance_to_identity_order"], listed=False),
    ]  # fmt: skip


# --- Multimodal RewardBench ---------------------------------------------------------------------

_SHARES = {
    "acc_probability_weighted": "weighted.at_half",
    "acc_integer_ties_half": "written.at_half",
    "acc_integer_without_ties": "written.left_out",
    "share_gold_output1": "better_first",
    "share_picked_output1": "weighted.picks_first",
}


def rewardbench(folder: Path, expected: dict[str, Any]) -> list[Check]:
    scored = rewardbench_outputs.from_outputs(folder, draws=50)
    judge = next(name for name, some in scored.numbers.items() if "overall.weighted.tie" in some)
    ours: Numbers = scored.numbers[judge]
    mine = [one for one in scored.samples if one["judge"] == judge]
    wanted = expected["recomputed"]
    empty = rewardbench_records.read(folder).left_out[rewardbench_records.EMPTY]
    values = {
        "raw_rows": len(mine) + empty,
        "empty_rows": empty,
        "triplets": len(mine),
        "unique_ids": len({one["id"] for one in mine}),
        "exact_probability_ties": _count(ours["overall.weighted.tie"]),
        "auroc_error_from_small_margin": ours["overall.weighted.error_from_small_margin"]["value"],
        "macro_over_six_domains": ours["mean_of_domains.weighted.at_half"]["value"],
    }
    found = [Check(f"{judge}: {name}", one, wanted[name]) for name, one in values.items()]
    for group, figures in wanted["by_group"].items():
        values = {name: ours[f"{group}.{one}"]["value"] for name, one in _SHARES.items()}
        values |= {
            "n": ours[f"{group}.weighted.at_half"]["n"],
            "integer_ties": _count(ours[f"{group}.written.tie"]),
        }
        found += [
            Check(f"{judge}, {group}: {name}", one, figures[name], listed=group == "overall")
            for name, one in values.items()
        ]
    return found + _examples(scored.samples, wanted) + _leaderboard(ours, expected["published"])


def _count(share: dict[str, float]) -> int:
    return round(share["value"] * share["n"])


def _examples(samples: tuple[dict[str, Any], ...], wanted: dict[str, Any]) -> list[Check]:
    answers = [one for one in samples if one["output"] is not None]
    ours = {
        "predicted": [one["said"] for one in answers],
        "label": [one["label"] for one in answers],
        "correct": sum(one["outcome"] == "right" for one in answers),
        "n": len(answers),
    }
    return [
        Check(f"example answers: {name}", one, wanted["example_answers"][name])
        for name, one in ours.items()
    ]


def _leaderboard(ours: Numbers, published: dict[str, Any]) -> list[Check]:
    """Whether the printed overall is over triplets; and how many triplets there are."""
    sizes = published["domain_sizes"]
    found = []
    for judge, (overall, *shares) in published["leaderboard"].items():
        by_domain = dict(zip(published["columns"][1:], shares, strict=True))
        pooled = rewardbench_outputs.over_triplets(
            {name: (share, sizes[name]) for name, share in by_domain.items()}
        )
        # Printed to three places, the parts as well as the whole.
        found.append(Check(f"{judge}: overall", pooled.value, published=overall, within=1e-3))
    for name, size in sizes.items():
        count = ours[f"{name}.weighted.at_half"]["n"]
        why = "500 of the 1,008 were never released" if name == "safety" else ""
        found.append(Check(f"triplets of {name}", count, published=size, why=why))
    return found


# --- the record ----------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _recorded(check: Check) -> dict[str, Any]:
    told = {name: getattr(check, name) for name in ("ours", "expected", "published", "why")}
    told = {name: value for name, value in told.items() if value not in (None, "")}
    return {"name": check.name, **told, "outcomes": check.outcomes()}


def _text(title: str, checks: list[Check]) -> str:
    counts = Counter(outcome for one in checks for outcome in one.outcomes())
    shown = [one for one in checks if one.listed or "differs" in one.outcomes()]
    rows = [
        (one.name, _cell(one.published), _cell(one.expected), _cell(one.ours),
         ", ".join(sorted(set(one.outcomes()))) + (f": {one.why}" if one.why else ""))
        for one in shown
    ]  # fmt: skip
    return (
        f"{title}: {counts['same']} of {counts['same'] + counts['differs']} comparisons are the "
        f"same, {counts['not computable']} published figures cannot be computed from what is "
        f"there. Of {len(checks)} checks {len(shown)} are listed; all are in the record.\n\n"
        + table(("check", "published", "expected", "ours", ""), rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mllm", type=Path, metavar="MLLM_DIR")
    parser.add_argument("rewardbench", type=Path, metavar="REWARDBENCH_DIR")
    args = parser.parse_args()
    checks = {}
    for title, run, folder in (
        ("MLLM-as-a-Judge", mllm_judge, args.mllm),
        ("Multimodal RewardBench", rewardbench, args.rewardbench),
    ):
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        checks[title] = run(folder, expected)
    record(
        "sister-benchmarks",
        {title: [_recorded(one) for one in some] for title, some in checks.items()},
        "\n\n".join(_text(title, some) for title, some in checks.items()),
    )


if __name__ == "__main__":
    main()
