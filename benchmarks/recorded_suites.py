"""Figures of six suites from recorded outputs, beside those of an independent script.

Each folder holds outputs and `expected.json`: what somebody else worked out for them, and for the
first and third what the benchmarks' authors printed. Every figure is compared to six places (those
that were written down with fewer, to as many), after `safejudge eval` wrote it.

`python benchmarks/recorded_suites.py JUDGE_ANYTHING_DIR GIR_BENCH_DIR ARTIFACTSBENCH_DIR
PROJUDGE_DIR MATCHING_DIR`
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figure_checks import Check, recorded, text
from measure import record

from safejudge.cli import app as cli
from safejudge.evals import arena, compare
from safejudge.evals.artifactsbench.replies import read_published, read_score
from safejudge.evals.projudge import figures as steps
from safejudge.evals.projudge import records as solutions
from safejudge.evals.stats import agreement
from safejudge.matching.soft_labels import jensen_shannon, soft_labels, two_way_kullback_leibler

SIX, FOUR = 5e-7, 5e-5
JSON = dict[str, Any]


def numbers_of(suite: str, folder: Path, out: Path) -> JSON:
    """What `safejudge eval` writes of recorded outputs."""
    if cli.main(["eval", suite, "--from-outputs", str(folder), "--out", str(out)]) != 0:
        raise SystemExit(f"{suite}: eval failed on {folder}")
    results: JSON = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return dict(results["results"][suite])


# --- Judge Anything -------------------------------------------------------------------------------

_COUNTED = ("missing", "unread")
_NAMED = {  # of the specification
    "oak, checklist": {"score.side.MMU.agreement_unread_wrong", "score.side.MMU.agreement_of_read",
                       "score.side.MMU.pearson"},
    "oak, rubric": {"pair.side.MMU.with_tie", "pair.side.MMU.without_human_ties"},
}  # fmt: skip


def judge_anything(folder: Path, expected: JSON, out: Path) -> Iterator[Check]:
    numbers = numbers_of("judge-anything", folder / "outputs", out)
    for file, levels in expected["outputs"].items():
        task, judge, setting = Path(file).stem.split("_")
        entry = f"{judge}, {setting}"
        for level in ("kinds", "sides"):
            for part, figures in levels[level].items():
                start = f"{task.lower()}.{level[:-1]}.{part}"
                for name, value in figures.items():
                    if name == "n":
                        continue
                    figure = numbers[entry][f"{start}.{name}"]
                    ours = figure["value"] * (figure["n"] if name in _COUNTED else 1)
                    listed = f"{start}.{name}" in _NAMED.get(entry, ())
                    yield Check(f"{entry}: {start}.{name}", ours, value, listed=listed, within=SIX)
    rated = arena.arena(out / "pairs.jsonl", resamples=0)
    for case in expected["arena_cases"]:
        ratings = rated.ratings[case["name"]]
        rows = case["elo"] or {"(rating)": "none"}
        for player, value in rows.items():
            ours = ratings.ratings[player].value if ratings.ratings else "none"
            yield Check(f"arena, {case['name']}: {player}", ours, value, within=1e-6)


# --- GIR-Bench ------------------------------------------------------------------------------------


def gir_bench(folder: Path, expected: JSON, out: Path) -> Iterator[Check]:
    figures = numbers_of("gir-bench", folder, out)[folder.resolve().name]
    counts = {
        "counts_right": "counts.right",
        "counts_published_right": "counts.published_right",
        "counts_unread": "counts.unread",
        "layout_right": "layout.right",
        "relations_right": "layout.relations",
    }
    for name, figure in counts.items():
        ours = figures[figure]["value"] * figures[figure]["n"]
        yield Check(name, ours, expected[name], within=SIX)
    yield Check("relations", figures["layout.relations"]["n"], expected["relations"])
    for subset in ("text", "sudoku"):
        for name, value in expected[f"{subset}_means"].items():
            ours = figures[f"{subset}.{name}"]["value"]
            yield Check(f"{subset}: {name}", ours, value, within=SIX)
    rows = [json.loads(row) for row in (out / "samples_gir-bench.jsonl").read_text().splitlines()]
    for subset in ("text", "sudoku"):
        cases = [row["scores"] for row in rows if row["subset"] == subset]
        for number, (ours, values) in enumerate(zip(cases, expected[subset], strict=True)):
            yield from (
                Check(f"{subset} {number}: {name}", ours[name], values[name], listed=False,
                      within=SIX)
                for name in ours
                if values.get(name) is not None
            )  # fmt: skip
    cases = [row["scores"]["right"] for row in rows if row["subset"] == "layout"]
    for number, (ours, values) in enumerate(zip(cases, expected["layout"], strict=True)):
        yield Check(f"layout {number}: right", ours, float(values["right"]), listed=False)


# --- ArtifactsBench -------------------------------------------------------------------------------


def artifactsbench(folder: Path, expected: JSON, out: Path) -> Iterator[Check]:
    numbers = numbers_of("artifactsbench", folder, out)
    more = json.loads((folder / "expected_more.json").read_text(encoding="utf-8"))
    for file, values in more["outputs"].items():
        generator = file.removeprefix("judge_")
        ours = numbers[generator]
        mean = ours["published_mean"]
        yield Check(f"{generator}: published", mean["value"], values["published_mean"], within=FOUR)
        yield Check(f"{generator}: published, of", mean["n"], values["published_read"])
        parts = {"all": values["all"]}
        for name in ("difficulty", "area"):
            parts |= {f"{name}.{part}": figures for part, figures in values[name].items()}
        for part, figures in parts.items():
            read, zero = (ours[f"{part}.{name}"] for name in ("mean_of_read", "unread_as_0"))
            pairs = [
                ("of read", read["value"], figures["mean_of_read"]),
                ("read", read["n"], figures["read"]),
                ("unread as 0", zero["value"], figures["unread_as_0"]),
                ("tasks", zero["n"], figures["n"]),
            ]
            for name, mine, theirs in pairs:
                named = f"{generator}, {part}: {name}"
                yield Check(named, mine, theirs, listed=part == "all", within=FOUR)
    yield from _replies(folder, more["replies"])
    yield from _ranks(folder, expected)
    yield from _judge_update(folder, expected)


def _replies(folder: Path, expected: JSON) -> Iterator[Check]:
    for case in json.loads((folder / "judge_replies.json").read_text(encoding="utf-8")):
        values, reading = expected[case["case"]], read_score(case["reply"])
        pairs = (("ours", reading.score), ("published", read_published(case["reply"])))
        for name, mine in pairs:
            theirs = "none" if values[name] is None else values[name]
            ours = "none" if mine is None else mine
            yield Check(f"reply, {case['case']}: {name}", ours, theirs, listed=False)


def _ranks(folder: Path, expected: JSON) -> Iterator[Check]:
    """Ranking consistency, of the ranks that the authors' figures show."""
    with (folder / "arena_ranks.csv").open(encoding="utf-8") as lines:
        rows = [*csv.DictReader(lines)]
    for name, values in expected["recomputed"]["ranks"].items():
        ranks = [
            (float(row["human_arena_rank"]), float(row["benchmark_rank"]))
            for row in rows
            if row["comparison"] == name
        ]
        left, right = ([pair[side] for pair in ranks] for side in (0, 1))
        printed = expected["published"]["ranking_consistency"][name]
        consistency = agreement.footrule_consistency(left, right)
        yield Check(f"ranks, {name}: consistency", consistency, values["consistency"], within=SIX)
        yield Check(f"ranks, {name}: printed", consistency, published=printed, within=5e-4)
        for figure in ("spearman", "kendall"):
            ours = getattr(agreement, figure)(left, right)
            yield Check(f"ranks, {name}: {figure}", ours, values[figure], within=SIX)


_SAME = {
    "Claude 4.0-Sonnet": "Claude Sonnet 4 (20250514)",
    "Claude 3.7-Sonnet": "Claude 3.7 Sonnet (20250219)",
    "Qwen3-253B-A22B (Instruct)": "Qwen3-235B-A22B",
    "Hunyuan-A13B": "hunyuan-A13B",
    "GPT-4o": "GPT-4O",
}
"""Models of the later table, by their names in the earlier one."""


def _judge_update(folder: Path, expected: JSON) -> Iterator[Check]:
    """The same models, marked by two versions of one judge."""
    tables = []
    for version in ("v1_0", "v1_1"):
        with (folder / f"scores_judge_{version}.csv").open(encoding="utf-8") as lines:
            rows = {row["model"]: float(row["AVG"]) for row in csv.DictReader(lines)}
        tables.append({_SAME.get(model, model): value for model, value in rows.items()})
    runs = [
        compare.Ranked(name, name, values)
        for name, values in zip(("v1.0", "v1.1"), tables, strict=True)
    ]
    values = expected["recomputed"]["judge_update"]
    yield Check("another judge: models", len(compare.shared(*runs)), values["n"])
    for name, ours in compare.agreements(*runs).items():
        yield Check(f"another judge: {name}", ours, values[name], within=SIX)


# --- ProJudge -------------------------------------------------------------------------------------

_SAME_NAME = ("step_correctness", "step_correctness_of_read", "error_type", "precision", "recall")


def projudge(folder: Path, expected: JSON, out: Path) -> Iterator[Check]:
    numbers = numbers_of("projudge", folder, out)
    recorded = solutions.read(folder)
    for judged in recorded.judged:
        values, ours = expected["outputs"][judged.judge], numbers[judged.judge]
        pairs = [(name, ours[name]["value"], values[name]) for name in _SAME_NAME]
        pairs += [
            ("F1", ours["F1"]["value"], values["f1"]),
            ("steps", ours["steps_read"]["n"], values["steps"]),
            ("steps read", ours["step_correctness_of_read"]["n"], values["steps_read"]),
            ("wrong steps", ours["recall"]["n"], values["wrong_steps"]),
            ("called wrong", ours["precision"]["n"], values["flagged"]),
        ]
        for kind, of in values["error_type_by"].items():
            pairs += _parts(f"error type, {kind}", ours[f"error_type.{kind}"], of)
        pairs += _parts(
            "replies read", ours["replies_read"], [values["read_cases"], values["cases"]]
        )
        for name in ("first_wrong_step", "solution_verdict"):
            pairs += _parts(name, ours[name], values[name])
        for name, count in steps.counts(recorded.cases, judged.said).items():
            pairs.append((name, count, values[name]))
        right, wrong = (numbers[name] for name in (steps.ALWAYS_RIGHT, steps.ALWAYS_WRONG))
        always = [wrong["step_correctness"]["value"], wrong["error_type"]["value"]]
        pairs.append(("always right", right["step_correctness"]["value"], values["always_right"]))
        pairs += [
            (f"always wrong, {name}", value, theirs)
            for name, value, theirs in zip(
                ("steps", "error type"), always, values["all_wrong_reasoning"], strict=True
            )
        ]
        for name, mine, theirs in pairs:
            listed = isinstance(mine, float) and isinstance(theirs, float)  # counts are not
            yield Check(f"{judged.judge}: {name}", mine, theirs, listed=listed, within=SIX)
        for case, theirs in expected["reading"][judged.judge].items():
            marks = judged.said[case.partition(" ")[0]]
            signs = {True: "1", False: "0", None: "?"}
            read = marks if isinstance(marks, str) else "".join(signs[m.right] for m in marks)
            yield Check(f"{judged.judge}, {case}", read, theirs, listed=False)


def _parts(name: str, ours: JSON, of: list[int]) -> list[tuple[str, float, float]]:
    return [(name, ours["value"] * ours["n"], of[0]), (f"{name}, of", ours["n"], of[1])]


# --- matching -------------------------------------------------------------------------------------


def matching(folder: Path, expected: JSON, out: Path) -> Iterator[Check]:
    """Retrieval and SugarCrepe, of soft scores, mining, recall, reranks and pairs."""
    numbers = numbers_of("retrieval", folder, out)
    pairs = numbers_of("sugarcrepe", folder, out / "pairs")["pair_scores"]
    lines = (out / "samples_retrieval.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    more = json.loads((folder / "expected_more.json").read_text(encoding="utf-8"))
    yield from _soft(numbers["soft_scores"], rows, expected["recomputed"])
    for case, values in more["mining"].items():
        (row,) = (r for r in rows if r["kind"] == "mining" and r["query"] == case)
        for name, value in values.items():
            yield Check(f"mining, {case}: {name}", str(row[name]), str(value), listed=False)
    totals = {"none": "none_kept", "padded": "padded"}
    for figure, name in totals.items():
        ours = _count(numbers["mining_cases"][f"mining.{figure}"])
        yield Check(f"mining: {name}", ours, more["mining_total"][name])
    for matrix, values in more["recall"].items():
        for way in ("image_to_text", "text_to_image"):
            for k, by_ties in values[way].items():
                for ties, value in by_ties.items():
                    ours = numbers[f"recall_cases, {matrix}"][f"{way}.recall_at_{k}.{ties}"]
                    name = f"{matrix}: {way}, recall at {k}, {ties}"
                    yield Check(name, ours["value"], value, listed=k == "1", within=FOUR)
    yield from _reranks(numbers["listwise_replies"], rows, more)
    yield from _pairs(pairs, more["pairs"])
    for temperature, name in ((0.02, "at_002"), (1.0, "at_1")):
        judge, model = (soft_labels(more["loss"][x], temperature) for x in ("judge", "model"))
        for label, distance in _DISTANCES.items():
            theirs = more["loss"][name][label]
            yield Check(f"{label}, {name}", distance(judge, model), theirs, within=SIX)
            same = distance(judge, judge)
            yield Check(f"{label}, same", same, more["loss"]["same"][label], listed=False)
    yield from _tables(folder, more["tables"])


_DISTANCES = {"released": two_way_kullback_leibler, "jensen_shannon": jensen_shannon}


def _count(figure: JSON) -> int:
    return round(figure["value"] * figure["n"])


def _soft(numbers: JSON, rows: list[JSON], values: JSON) -> Iterator[Check]:
    counts = {
        "positives_at_least_half": "positives_at_least_half",
        "negatives_at_least_half": "negatives_at_least_half",
        "top1_is_the_positive": "positive_on_top",
    }
    for name, figure in counts.items():
        yield Check(f"soft: {name}", _count(numbers[f"soft.{figure}"]), values[name])
    same = {
        "smallest": "smallest", "largest": "largest", "mean_positive": "mean_positive",
        "mean_negative": "mean_negative", "distinct_scores": "distinct",
        "mean_soft_label_of_the_positive": "mean_soft_label_of_the_positive",
    }  # fmt: skip
    for name, figure in same.items():
        yield Check(f"soft: {name}", numbers[f"soft.{figure}"]["value"], values[name], within=SIX)
    yield Check("soft: queries", numbers["soft.positive_on_top"]["n"], values["queries"])
    yield Check("soft: scores", numbers["soft.smallest"]["n"], values["scores"])
    grid = values["logit_grid"]
    for name in ("step", "largest_distance_in_steps"):
        ours = numbers[f"soft.grid_{name}"]["value"]
        yield Check(f"soft, grid: {name}", ours, grid[name], within=SIX)
    on_plain = _count(numbers["soft.on_a_plain_grid"])
    yield Check("soft, plain grid", on_plain, grid["distinct_scores_on_a_plain_eighth_grid"])
    above = [[r["positive"], max(r["negatives"])] for r in rows if r.get("above_threshold")]
    theirs = values["queries_with_a_negative_above_the_threshold"]
    yield Check("soft: negatives above the threshold", str(above), str(theirs))


def _reranks(numbers: JSON, rows: list[JSON], more: JSON) -> Iterator[Check]:
    for name, figure in {
        "answer_among": "answer_among",
        "published_right": "published_right",
        "right": "right",
        "unread": "unread",
    }.items():
        ours = _count(numbers[f"rerank.{figure}"])
        yield Check(f"reranks: {name}", ours, more["listwise_total"][name])
    for case, values in more["listwise"].items():
        (row,) = (r for r in rows if r["kind"] == "rerank" and r["query"] == case)
        pairs = {"published": "published", "ours": "said", "why": "why", "right": "right"}
        for name, field in pairs.items():
            ours, theirs = str(row[field]), str(values[name])
            yield Check(f"rerank, {case}: {name}", ours, theirs, listed=False)


def _pairs(numbers: JSON, values: JSON) -> Iterator[Check]:
    yield Check("pairs: ties", _count(numbers["all.ties"]), values["ties"])
    for name in ("strict", "ties_half"):
        yield Check(f"pairs: {name}", numbers[f"all.{name}"]["value"], values[name], within=FOUR)
    for part, value in values["by"].items():
        ours = numbers[f"part.{part}.strict"]["value"]
        yield Check(f"pairs: {part}", ours, value, within=FOUR)


_TASKS = {"classification": 10, "vqa": 10, "retrieval": 12, "grounding": 4}
_DOMAINS = {"in_domain": 20, "out_of_domain": 16}
_ROUNDED = 0.1 + 1e-9
"""Parts and whole are printed with one place: each may be off by half of its last."""


def _tables(folder: Path, values: JSON) -> Iterator[Check]:
    """Overall figures of the paper's table, of their parts: those that do not come out."""
    with (folder / "mmeb_table.csv").open(encoding="utf-8") as lines:
        rows = [*csv.DictReader(lines)]
    yield Check("table: models", len(rows), values["models"])
    for name, sizes in (("tasks", _TASKS), ("domains", _DOMAINS)):
        listed = values[f"overall_from_{name}"]
        for row in rows:
            ours = sum(float(row[part]) * n for part, n in sizes.items()) / sum(sizes.values())
            model, printed = row["model"], float(row["overall"])
            if model in listed:
                yield Check(f"{model}, overall of {name}", ours, listed[model][0], within=0.0051)
            else:
                yield Check(f"{model}, overall of {name}", ours, published=printed, within=_ROUNDED)
            holds = abs(ours - printed) <= _ROUNDED
            yield Check(
                f"{model}, {name} explain it", str(holds), str(model not in listed), listed=False
            )
    with (folder / "retrieval_table.csv").open(encoding="utf-8") as lines:
        models = {row["model"]: row for row in csv.DictReader(lines)}
    for model, checks in values["rerank_row_checks"].items():
        for name, starts in _MEANS.items():
            parts = [float(v) for k, v in models[model].items() if k.startswith(starts)]
            ours = sum(parts) / len(parts)
            yield Check(f"{model}, mean of {name}", ours, checks[name][0], within=0.0051)


_MEANS = {
    "short": ("flickr", "coco"),
    "long": ("sharegpt4v", "urban1k"),
    "compositional": ("sugarcrepe",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judge_anything", type=Path, metavar="JUDGE_ANYTHING_DIR")
    parser.add_argument("gir_bench", type=Path, metavar="GIR_BENCH_DIR")
    parser.add_argument("artifactsbench", type=Path, metavar="ARTIFACTSBENCH_DIR")
    parser.add_argument("projudge", type=Path, metavar="PROJUDGE_DIR")
    parser.add_argument("matching", type=Path, metavar="MATCHING_DIR")
    args = parser.parse_args()
    checks = {}
    for title, run, folder in (
        ("Judge Anything", judge_anything, args.judge_anything),
        ("GIR-Bench", gir_bench, args.gir_bench),
        ("ArtifactsBench", artifactsbench, args.artifactsbench),
        ("ProJudge", projudge, args.projudge),
        ("Matching", matching, args.matching),
    ):
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        with TemporaryDirectory() as out:
            checks[title] = list(run(folder, expected, Path(out)))
    record(
        "recorded-suites",
        {title: [recorded(check) for check in rows] for title, rows in checks.items()},
        "\n\n".join(text(title, rows) for title, rows in checks.items()),
    )


if __name__ == "__main__":
    main()
