"""Published figures of two benchmarks of judges, computed again from recorded outputs.

Each folder holds judges' outputs and an `expected.json`: figures as published, and as someone else
computed them again. Every one that the outputs allow is computed and compared to four places.

`python benchmarks/sister_benchmarks.py MLLM_DIR REWARDBENCH_DIR`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from figure_checks import Check, recorded, text
from measure import record

from safejudge.evals.mllm_judge import records as mllm_judge_records
from safejudge.evals.mllm_judge import score as mllm_judge_outputs
from safejudge.evals.recorded import read_folder
from safejudge.evals.replies import read_ranking
from safejudge.evals.rewardbench import records as rewardbench_records
from safejudge.evals.rewardbench import score as rewardbench_outputs
from safejudge.evals.stats.agreement import ranking_distance

Numbers = dict[str, dict[str, Any]]


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
    numbers: Numbers = mllm_judge_outputs.from_outputs(folder).numbers
    checks = []
    for judge, recomputed in expected["recomputed"]["judges"].items():
        ours, published = numbers[judge], expected["published"][judge]
        unread = ours["score.unread"]
        counts = {
            "rows": unread["n"],
            "unparsed": round(unread["value"] * unread["n"]),
            "n": ours["score.pearson"]["n"],
        }
        values = counts | {name: ours[f"score.{mine}"]["value"] for name, mine in _OURS.items()}
        checks += [
            Check(f"{judge}: {name}", value, recomputed[name], published.get(name))
            for name, value in values.items()
        ]
        for task, figures in recomputed["per_task"].items():
            mine = {name: ours[f"score.task.{task}.{figure}"] for name, figure in _BY_TASK.items()}
            values = {name: figure["value"] for name, figure in mine.items()}
            values["n"] = mine["pearson"]["n"]
            checks += [
                Check(f"{judge}, {task}: {name}", value, figures[name], listed=False)
                for name, value in values.items()
            ]
    checks += _records(folder, numbers, expected["recomputed"]["records"])
    elsewhere = expected["published_elsewhere"]
    why = "no outputs of this judge, or of this run of it, are there"
    return checks + [
        Check(f"{judge}: {name}", None, published=value, listed=False, why=why)
        for judge, values in elsewhere.items()
        if isinstance(values, list) and judge != "columns"
        for name, value in zip(elsewhere["columns"], values, strict=True)
    ]


def _records(folder: Path, numbers: Numbers, recomputed: dict[str, Any]) -> list[Check]:
    """Of pairs and rankings there are single records only."""
    pairs = [figures for figures in numbers.values() if "pair.accuracy_with_ties" in figures]
    checks = []
    for name in ("with_ties", "without_ties"):
        shares = [figures[f"pair.accuracy_{name}"] for figures in pairs]
        right = sum(round(share["value"] * share["n"]) for share in shares)
        ours = [right, sum(share["n"] for share in shares)]
        checks.append(Check(f"records: pair_{name}", ours, recomputed[f"pair_{name}"]))
    records = [row for lines in read_folder(folder) for row in lines.records if "answers" in row]
    words = [row["evaluator"]["judge_tail"] for row in records if "evaluator" in row]
    rankings = [read_ranking(text, 4) for text in words]
    outputs = [row for row in mllm_judge_records.read(folder).outputs if row.sample.kind == "batch"]
    distances = [ranking_distance(row.sample.human, row.answer or "") for row in outputs]
    identity = [ranking_distance(row["human_answer"], "ABCD") for row in records]
    return [
        *checks,
        Check("records: batch_parsed", rankings, recomputed["batch_parsed"]),
        Check("records: batch_distance", distances, recomputed["batch_distance"]),
        Check("records: batch_distance_to_identity_order", identity,
              recomputed["batch_distance_to_identity_order"], listed=False),
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
    scored = rewardbench_outputs.from_outputs(folder)
    judge = next(
        name for name, figures in scored.numbers.items() if "overall.weighted.tie" in figures
    )
    ours: Numbers = scored.numbers[judge]
    mine = [row for row in scored.samples if row["judge"] == judge]
    recomputed = expected["recomputed"]
    empty = rewardbench_records.read(folder).left_out[rewardbench_records.EMPTY]
    values = {
        "raw_rows": len(mine) + empty,
        "empty_rows": empty,
        "triplets": len(mine),
        "unique_ids": len({row["id"] for row in mine}),
        "exact_probability_ties": _count(ours["overall.weighted.tie"]),
        "auroc_error_from_small_margin": ours["overall.weighted.error_from_small_margin"]["value"],
        "macro_over_six_domains": ours["mean_of_domains.weighted.at_half"]["value"],
    }
    checks = [Check(f"{judge}: {name}", value, recomputed[name]) for name, value in values.items()]
    for group, figures in recomputed["by_group"].items():
        values = {name: ours[f"{group}.{share}"]["value"] for name, share in _SHARES.items()}
        values |= {
            "n": ours[f"{group}.weighted.at_half"]["n"],
            "integer_ties": _count(ours[f"{group}.written.tie"]),
        }
        checks += [
            Check(f"{judge}, {group}: {name}", value, figures[name], listed=group == "overall")
            for name, value in values.items()
        ]
    return (
        checks + _examples(scored.samples, recomputed) + _leaderboard(ours, expected["published"])
    )


def _count(share: dict[str, float]) -> int:
    return round(share["value"] * share["n"])


def _examples(samples: tuple[dict[str, Any], ...], recomputed: dict[str, Any]) -> list[Check]:
    answers = [row for row in samples if row["output"] is not None]
    ours = {
        "predicted": [row["said"] for row in answers],
        "label": [row["label"] for row in answers],
        "correct": sum(row["outcome"] == "right" for row in answers),
        "n": len(answers),
    }
    return [
        Check(f"example answers: {name}", value, recomputed["example_answers"][name])
        for name, value in ours.items()
    ]


def _leaderboard(ours: Numbers, published: dict[str, Any]) -> list[Check]:
    """Whether the printed overall is over triplets; and how many triplets there are."""
    sizes = published["domain_sizes"]
    checks = []
    for judge, (overall, *shares) in published["leaderboard"].items():
        by_domain = dict(zip(published["columns"][1:], shares, strict=True))
        pooled = rewardbench_outputs.over_triplets(
            {name: (share, sizes[name]) for name, share in by_domain.items()}
        )
        # Printed to three places, the parts as well as the whole.
        checks.append(Check(f"{judge}: overall", pooled.value, published=overall, within=1e-3))
    for name, size in sizes.items():
        count = ours[f"{name}.weighted.at_half"]["n"]
        why = "500 of the 1,008 were never released" if name == "safety" else ""
        checks.append(Check(f"triplets of {name}", count, published=size, why=why))
    return checks


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
        {title: [recorded(check) for check in rows] for title, rows in checks.items()},
        "\n\n".join(text(title, rows) for title, rows in checks.items()),
    )


if __name__ == "__main__":
    main()
