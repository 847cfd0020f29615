"""Answers blown up on purpose: which one is padded, and what comes of it."""

import json

import pytest
from answer_judges import Honest, lines, mllm_folder, rewardbench_folder, shown, told
from test_judge_anything_live import folder as anything_folder

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals import variants
from safejudge.evals.answers import longer
from safejudge.evals.judge_anything import suite as anything
from safejudge.evals.mllm_judge import suite as mllm
from safejudge.evals.rewardbench import suite as rewardbench


class Measuring(Honest):
    """Prefers what is longer, and gives a point more to what is said twice."""

    @staticmethod
    def verdict(request):
        sizes = [len(answer) for answer in shown(request)]
        if len(sizes) == 1:
            return "5" if sizes[0] > 200 else "2"
        order = sorted(range(len(sizes)), key=lambda number: -sizes[number])
        return "".join("ABCDEF"[number] for number in order)[: None if len(sizes) > 2 else 1]


def run_both(suite, tmp_path, engine, **changes):
    plain = told(tmp_path, engine, **changes)
    suite.judge(plain)
    changed = variants.runs(plain, ["longer"], 0)["longer"]
    changed.out.mkdir(parents=True)
    suite.judge(changed)
    result = suite.report(plain.out)
    return result, next(v for name, v in result.numbers.items() if name.endswith(", longer"))


@pytest.mark.parametrize(
    ("target", "count", "number"),
    [("3", 1, 0), ("A", 2, 1), ("B", 2, 0), ("C", 2, 1), ("BA", 2, 0), ("AB", 2, 1),
     ("BAC", 3, 2), ("DCBA", 4, 0)],
)  # fmt: skip
def test_the_answer_that_people_hold_the_worse_is_padded(target, count, number):
    assert longer.worse(target, count) == number


def test_padding_adds_nothing_and_is_always_the_same():
    text = variants.lengthened("a ball\n=====1=====")
    assert text == variants.lengthened("a ball\n=====1=====")
    assert text.count("a ball\n=====1=====") == 2


def value(numbers, name):
    return numbers[name]["value"]


def test_length_that_pays_is_told_in_scores_pairs_and_rankings(tmp_path):
    mllm_folder(tmp_path, 12)
    result, found = run_both(mllm, tmp_path, Measuring(), args={"readings": "written,weighted"})
    assert value(found, "score written.rises") == 3
    assert value(found, "pair weighted.after") == value(found, "pair written.after") == 1
    # Equal lengths are a coin that always falls on the first: turned round, on the other one.
    assert value(found, "pair weighted.before") == value(found, "pair weighted.changed") == 0.5
    assert value(found, "pair written.gains") == 0.5
    assert value(found, "rank written.after") == 1
    titles = [table.title for table in result.tables]
    assert "Scores of an answer blown up" in titles
    assert "Choices where one answer is blown up" in titles
    json.dumps(result.numbers, allow_nan=False)


@pytest.mark.parametrize(
    ("suite", "data"), [(mllm, mllm_folder), (rewardbench, rewardbench_folder)]
)
def test_a_judge_that_reads_is_moved_by_nothing(tmp_path, suite, data):
    data(tmp_path)
    _, found = run_both(suite, tmp_path, Honest())
    moved = {name: v["value"] for name, v in found.items()}
    assert {v for name, v in moved.items() if name.endswith((".rises", ".changed", ".gains"))} == {
        0.0
    }


def test_what_cannot_be_read_is_counted_and_no_move(tmp_path):
    mllm_folder(tmp_path)
    silent = Honest(reply=lambda request: "" if len(shown(request)[0]) > 200 else "Good.\n[[3]]")
    _, found = run_both(mllm, tmp_path, silent, args={"readings": "written"})
    assert found["score written.rises"] == {"value": None, "n": 0, "low": None, "high": None}
    assert value(found, "score written.unread_after") == 1
    assert value(found, "score written.unread_before") == 0


def test_one_answer_of_a_sample_is_longer_and_the_others_are_as_they_were(tmp_path):
    data = rewardbench_folder(tmp_path)
    engine = Honest()
    run_both(rewardbench, tmp_path, engine, args={"readings": "written"})
    rows = json.loads((data / "all.json").read_text())
    worse = {row["Output2" if row["Better"] == "Output1" else "Output1"] for row in rows}
    texts = {text for request in engine.asked for text in shown(request)}
    assert texts == {text for row in rows for text in (row["Output1"], row["Output2"])} | {
        variants.lengthened(text) for text in worse
    }


def test_judge_anything_pads_texts_and_leaves_pictures_out(tmp_path):
    class Long(Honest):
        @staticmethod
        def verdict(request):
            text, twice = request.question, "once more" in request.question
            if "Answer B" not in text:
                return "5" if twice else "1"
            first = twice and text.index("once more") < text.index("Answer B")
            return "A" if first else "B" if twice else "C"

    anything_folder(tmp_path, "id")
    result, found = run_both(anything, tmp_path, Long(), args={"setting": "overall"})
    assert value(found, "overall, score weighted.rises") == pytest.approx(3.5)
    assert value(found, "overall, pair weighted.gains") == 0.5
    assert found["overall, pair weighted.gains"]["n"] == 2 * 2 * 2
    assert any(table.title == "Kinds" for table in result.tables)


def test_pictures_alone_are_nothing_to_blow_up(tmp_path, capsys):
    assert variants.chosen(["all"], "mj-bench", texts=False) == [
        name for name in variants.VARIANTS if name != "longer"
    ]
    assert variants.chosen(["all"], "mllm-as-a-judge", texts=True) == list(variants.VARIANTS)
    lines(tmp_path / "none.jsonl", [])
    command = ["eval", "mj-bench", "--data", str(tmp_path), "--engine", "fake:"]
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--variant", "longer"]) == 2
    assert "mj-bench judges no answers that are texts" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
    anything_folder(tmp_path, "d")
    run = told(tmp_path, Honest())
    with pytest.raises(InputError, match="no answer of these requests is a text"):
        anything.judge(variants.runs(run, ["longer"], 0)["longer"])
