"""Retrieval and SugarCrepe from recorded scores: figures, traps, and bad input by name."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from safejudge.cli import app as cli
from safejudge.evals.retrieval import figures
from safejudge.evals.retrieval.records import Rerank, case_of
from safejudge.evals.retrieval.score import from_outputs
from safejudge.evals.sugarcrepe.score import from_outputs as pairs_from

DATA = Path(__file__).parent / "data" / "matching"
MINING, REPLIES, RECALL = (
    json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    for name in ("mining", "replies", "recall")
)


def folder(tmp_path, **files):
    for name, rows in files.items():
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def soft(positive, *negatives, **fields):
    return {
        "query_text": "which?",
        "query_pos_scores": positive,
        "hard_negatives": [["text", ""] for _ in negatives],
        "hard_negatives_scores": [*negatives],
        **fields,
    }


def values(result, entry):
    return {name: figure["value"] for name, figure in result.numbers[entry].items()}


# --- what comes out -------------------------------------------------------------------------------


def test_every_kind_of_record_of_one_folder(tmp_path, capsys):
    for name in ("mining", "replies", "recall", "pairs"):
        shutil.copy(DATA / f"{name}.json", tmp_path)
    out = tmp_path / "out"
    code = cli.main(["eval", "retrieval", "--from-outputs", str(tmp_path), "--out", str(out)])
    assert code == 0
    numbers = json.loads((out / "results.json").read_text())["results"]["retrieval"]
    assert set(numbers) == {"mining", "replies", "recall, set1", "recall, set2"}
    for matrix in RECALL:
        for way, cuts in matrix["is"].items():
            for k, by_ties in cuts.items():
                for ties, value in by_ties.items():
                    found = numbers[f"recall, {matrix['id']}"][f"{way}.recall_at_{k}.{ties}"]
                    assert found["value"] == pytest.approx(value, abs=5e-5)
    of = len(REPLIES)
    right, published, among, unread = (
        round(numbers["replies"][f"rerank.{name}"]["value"] * of)
        for name in ("right", "published_right", "answer_among", "unread")
    )
    assert (right, published, among, unread) == (17, 14, 25, 5)
    mined = numbers["mining"]
    none, padded = (sum(bool(f(case["is"])) for case in MINING) for f in (_none, _padded))
    assert mined["mining.none"]["value"] == pytest.approx(none / len(MINING))
    assert mined["mining.padded"]["value"] == pytest.approx(padded / len(MINING))
    assert "pairs.json: 60 of 60 records are no soft scores" in " ".join(
        capsys.readouterr().out.split()
    )


def _none(row):
    return not row["picked"]


def _padded(row):
    return row["padded"]


def test_soft_scores(tmp_path):
    rows = [soft(0.9, 0.6, 0.1), soft(0.4, 0.395, 0.0), soft(0.5, 0.5)]
    found = values(from_outputs(folder(tmp_path, judge=rows)), "judge")
    assert found["soft.positive_on_top"] == pytest.approx(2 / 3)  # equal is not above
    assert found["soft.negative_above_threshold"] == pytest.approx(2 / 3)
    assert found["soft.positives_at_least_half"] == pytest.approx(2 / 3)
    assert found["soft.negatives_at_least_half"] == pytest.approx(2 / 5)
    assert found["soft.mean_positive"] == pytest.approx(0.6)
    tops = [1 / (1 + sum(math.exp((n - p) / 0.02) for n in ns)) for p, ns in
            ((0.9, (0.6, 0.1)), (0.4, (0.395, 0.0)), (0.5, (0.5,)))]  # fmt: skip
    label = found["soft.mean_soft_label_of_the_positive"]
    assert label == pytest.approx(sum(tops) / 3)


@pytest.mark.parametrize("penalty", [1.0, 1.05, 1.2])
def test_a_repetition_penalty_shows_in_the_scores(tmp_path, penalty):
    steps = np.arange(-30, 30, 3) * 0.125 / penalty
    scores = (1 / (1 + np.exp(-steps))).astype(np.float32).astype(float).tolist()
    assert figures.grid_of(scores).penalty == penalty
    result = from_outputs(folder(tmp_path, judge=[soft(*scores)]))
    says = f"multiples of 0.125 / {penalty:g}: a repetition penalty was on"
    assert any(says in line for line in result.findings) == (penalty != 1)
    assert figures.grid_of(np.random.default_rng(1).random(40)) is None
    assert figures.grid_of(scores[:9]) is None


def test_a_right_answer_that_is_not_among_the_candidates_counts_against(tmp_path):
    rows = [{"id": n, "candidates": 3, "answer": a, "reply": "Ans: (1)"}
            for n, a in enumerate((1, None))]  # fmt: skip
    found = values(from_outputs(folder(tmp_path, r=rows)), "r")
    assert (found["rerank.right"], found["rerank.right_where_among"]) == (0.5, 1)


# --- bad input ------------------------------------------------------------------------------------

MATRIX = {"id": "m", "scores": [[0.9, 0.1], [0.2, 0.8]], "image_of_caption": [0, 1]}
ROW = {"id": "q", "positive": 0.5, "delta": 1, "candidates": []}
RERANK = {"id": "r", "candidates": 3, "answer": 1, "reply": "Ans: (1)"}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (soft(0.5), "soft scores: no candidate"),
        (soft(0.5, 0.1, hard_negatives=[]), "soft scores: not as many scores as negatives"),
        (ROW | {"delta": "near"}, "mining: delta is no number"),
        (ROW | {"candidates": 3}, "mining: candidates are no list"),
        (ROW | {"candidates": [{"similarity": 1}]}, "mining: a candidate without an id"),
        (ROW | {"candidates": [{"id": "c"}] * 2}, "mining: a candidate without an id"),
        (MATRIX | {"scores": []}, "matrix: no candidate"),
        (MATRIX | {"scores": [[]], "image_of_caption": []}, "matrix: no candidate"),
        (MATRIX | {"scores": [[1, 2], [1]]}, "matrix: a row that has not a score for each"),
        (RERANK | {"answer": 4}, "rerank: the right answer is out of range"),
        (RERANK | {"answer": 0}, "rerank: the right answer is out of range"),
        (RERANK | {"answer": "first"}, "rerank: the right answer is out of range"),
        (RERANK | {"right": [1, 9]}, "rerank: the right answer is out of range"),
        (RERANK | {"scores": [0.1]}, "rerank: not as many scores as candidates"),
        (RERANK | {"candidates": "some"}, "rerank: candidates is no whole number"),
    ],
)
def test_a_record_that_cannot_be_scored_is_left_out_by_name(tmp_path, record, says):
    assert case_of(record).startswith(says)
    result = from_outputs(folder(tmp_path, bad=[record], good=[RERANK]))
    assert any(line.startswith(f"1 record left out, {says}") for line in result.findings)
    assert set(result.numbers) == {"good"}


@pytest.mark.parametrize("bad", [None, "nan", float("nan"), float("inf"), 1.2, -0.1, "x", True])
def test_a_score_that_is_none_is_counted_and_ranks_nothing(tmp_path, bad):
    rows = [soft(bad, 0.1), soft(0.9, bad, 0.1), soft(0.9, 0.1)]
    result = from_outputs(folder(tmp_path, judge=rows))
    found = values(result, "judge")
    assert found["soft.unread"] == pytest.approx(2 / 3)
    assert found["soft.positive_on_top"] == pytest.approx(1 / 3)
    assert {"judge: soft scores, the positive has no score: 1.",
            "judge: soft scores, a negative has no score: 1."} <= {*result.findings}  # fmt: skip
    case = {"id": "c", "similarity": 0.5, "score": 0.1}
    rows = [ROW | {"positive": bad, "candidates": [case]},
            ROW | {"candidates": [case | {"score": bad}]}]  # fmt: skip
    result = from_outputs(folder(tmp_path, judge=rows))
    assert values(result, "judge")["mining.none"] == 1


@pytest.mark.parametrize(
    ("change", "problem", "lost"),
    [
        ({"scores": [[0.9, float("nan")], [0.2, 0.8]]}, "a score that was not read", (1, 1)),
        ({"image_of_caption": [0, 0]}, "no right candidate", (1, 0)),
        ({"image_of_caption": [0, 7]}, "no right candidate", (1, 1)),
        ({"image_of_caption": [0, "?"]}, "no right candidate", (1, 1)),
    ],
)
def test_a_query_without_its_right_one_or_a_score_is_not_found(tmp_path, change, problem, lost):
    result = from_outputs(folder(tmp_path, m=[MATRIX | change]))
    found = values(result, "m, m")
    for way, n in zip(figures.WAYS, lost, strict=True):
        assert found[f"{way}.without_a_rank"] == n / 2
        assert found[f"{way}.recall_at_10.ties_for"] == 1 - n / 2
        says = f"m, m: {figures.WAYS[way]}, a query without a rank, {problem}: {n}."
        assert (says in result.findings) == (n > 0)


def test_a_rerank_of_nothing_is_unread():
    case = Rerank("q", 0, None, "Ans: (1)")
    assert figures.chosen(case) == (None, "no candidate")


def test_reranks_by_scores(tmp_path):
    row = {"candidates": 3, "nearest": ["a", "b", "c"], "answer": 1, "right": [1, 2]}
    scores = [[0.1, 0.9, 0.5], [0.9, 0.9, 0.1], [None, 0.2, 0.8], [None] * 3]
    rows = [row | {"id": str(n), "scores": s} for n, s in enumerate(scores)]
    result = from_outputs(folder(tmp_path, r=rows))
    found = values(result, "r")
    shares = [found[f"rerank.{n}"] for n in ("right", "unread", "nearest_right", "answer_among")]
    assert shares == [0.25, 0.5, 1, 1]  # a tie is no win
    assert "rerank.published_right" not in found
    assert {"r: reply unread, a tie: 1.", "r: reply unread, no answer: 1."} <= {*result.findings}


def test_matrices_and_files_of_one_name_stay_apart(tmp_path):
    (tmp_path / "a").mkdir()
    folder(tmp_path / "a", m=[MATRIX, MATRIX])
    result = from_outputs(folder(tmp_path, m=[MATRIX]))
    assert set(result.numbers) == {"a/m.jsonl, m", "a/m.jsonl, m (1)", "m.jsonl, m"}


@pytest.mark.parametrize("suite", ["retrieval", "sugarcrepe"])
def test_a_folder_with_nothing_for_the_suite_is_refused(tmp_path, capsys, suite):
    folder(tmp_path, other=[{"index": 1}])
    assert cli.main(["eval", suite, "--from-outputs", str(tmp_path)]) == 2
    assert "holds nothing that this suite can read" in capsys.readouterr().err


# --- SugarCrepe -----------------------------------------------------------------------------------


def test_pairs_by_part(tmp_path):
    shutil.copy(DATA / "pairs.json", tmp_path)
    found = values(pairs_from(tmp_path), "pairs")
    expected = {"all.strict": 0.5833, "all.ties_half": 0.6667, "part.replace.strict": 0.5357,
                "part.swap.strict": 0.6154, "part.add.strict": 0.6316}  # fmt: skip
    assert {name: pytest.approx(found[name], abs=5e-5) for name in expected} == expected
    assert found["compositional"] == pytest.approx((0.5357 + 0.6154 + 0.6316) / 3, abs=5e-5)


def test_a_pair_that_is_tied_unread_or_there_twice_is_no_win(tmp_path):
    pair = {"id": "1", "group": "swap_att", "right": 0.5, "wrong": 0.4}
    rows = [
        pair,
        pair | {"wrong": 0.6},  # the same id again
        pair | {"id": "2", "wrong": 0.5},
        pair | {"id": "3", "right": float("nan")},
        pair | {"id": "4", "group": None},
        pair | {"id": None},
    ]
    result = pairs_from(folder(tmp_path, judge=rows))
    found = values(result, "judge")
    shares = [found[f"all.{name}"] for name in ("strict", "ties_half", "ties", "unread")]
    assert shares == [0.5, 0.625, 0.25, 0.25]
    assert result.findings == (
        "1 pair left out, without an id.",
        "1 pair left out, whose id was there before; the first counts.",
        "judge: 1 pair of 4 score the same; none is a win.",
        "judge: 1 pair of 4 lack a score; none is a win.",
    )
    assert {row["group"] for row in result.samples} == {"swap_att", "(none)"}
