"""Judge Anything from recorded marks: what counts, what is left out by name, what is said."""

import json
import statistics

import pytest

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.judge_anything.records import RUBRICS, read, read_mark
from safejudge.evals.judge_anything.score import FUSION, from_outputs
from safejudge.evals.judge_anything.suite import SUITE

KINDS = {"t": "Text2Text", "i": "Image2Text", "d": "Text2Image"}
ANSWERS = ("amber", "birch", "cedar", "dune")
PAIRS = ("amber_vs_birch", "cedar_vs_dune")
ITEMS = [f"{kind}{number}" for kind in KINDS for number in range(3)]


def base(item, rubric):
    return {"uniq_id": item, "task_name": KINDS[item[0]], "rubric_name": rubric}


def scores(of, rubrics=RUBRICS):
    """A mark for each answer, by `of(item, answer, rubric)`."""
    return [
        base(item, rubric) | {"model_name": answer, "score": of(item, answer, rubric)}
        for item in ITEMS for rubric in rubrics for answer in ANSWERS
    ]  # fmt: skip


def pairs(of, rubrics=RUBRICS):
    return [
        base(item, rubric) | {"model_pair": pair, "choice": of(item, pair, rubric)}
        for item in ITEMS for rubric in rubrics for pair in PAIRS
    ]  # fmt: skip


def people(item, answer, rubric):
    """Marks without any order to them."""
    return sum(map(ord, item + answer + rubric)) % (3 if "_vs_" in answer else 5) + (
        "_vs_" not in answer
    )


def put(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, records in files.items():
        (folder / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    every = ("overall_score", *RUBRICS)
    tasks = [{"uniq_id": i, "task_name": KINDS[i[0]], "question": "A request."} for i in ITEMS]
    return put(
        tmp_path / "outputs", TaskAnything=tasks,
        Human_Scoring=scores(people, every), Human_Pairing=pairs(people, every),
    )  # fmt: skip


def values(result, judge):
    return {name: cell["value"] for name, cell in result.numbers[judge].items()}


@pytest.mark.parametrize(
    ("value", "task", "mark"),
    [
        (4, "score", 4), ("4", "score", 4), (" 3", "score", 3), (2.0, "score", 2),
        (4.5, "score", None), (0, "score", None), (6, "score", None), (-1, "score", None),
        (True, "score", None), ("four", "score", None), ("4/5", "score", None),
        ("", "score", None), (None, "score", None), ([4], "score", None),
        (0, "pair", 0), ("1", "pair", 1), (2, "pair", 2), (3, "pair", None), (2.0, "pair", None),
        (False, "pair", None), ("tie", "pair", None), ("A", "pair", None), (None, "pair", None),
    ],
)  # fmt: skip
def test_marks_as_they_are_written(value, task, mark):
    assert read_mark(value, task) == mark


def test_a_judge_that_says_what_people_say_agrees_in_every_figure(folder):
    put(folder, Score_oak_rubric=scores(people), Pair_oak_rubric=pairs(people))
    found = values(from_outputs(folder), "oak, rubric")
    for side in ("MMU", "MMG"):
        assert found[f"score.side.{side}.agreement_unread_wrong"] == 1
        assert found[f"score.side.{side}.pearson"] == pytest.approx(1)
        assert found[f"score.side.{side}.mae"] == 0
        assert found[f"pair.side.{side}.with_tie"] == 1
        assert found[f"pair.side.{side}.both_decided"] == 1


def test_unread_and_missing_marks_are_wrong_in_one_figure_and_left_out_in_the_other(folder):
    marks = scores(people)
    mine = [row for row in marks if row["task_name"] == "Text2Text"]
    mine[0]["score"] = 4.5
    del marks[marks.index(mine[1])]
    put(folder, Score_oak_rubric=marks)
    result = from_outputs(folder)
    found, n = values(result, "oak, rubric"), len(mine)
    assert found["score.kind.Text2Text.agreement_unread_wrong"] == pytest.approx((n - 2) / n)
    assert found["score.kind.Text2Text.agreement_of_read"] == 1
    assert found["score.kind.Text2Text.unread"] == pytest.approx(1 / n)
    assert found["score.kind.Text2Text.missing"] == pytest.approx(1 / n)
    # A side is the plain mean of its kinds, of which two are there.
    both = [found[f"score.kind.{k}.agreement_unread_wrong"] for k in ("Text2Text", "Image2Text")]
    assert found["score.side.MMU.agreement_unread_wrong"] == pytest.approx(statistics.mean(both))
    assert "1 are missing and 1 could not be read" in "\n".join(result.findings)
    outcomes = [row["outcome"] for row in result.samples]
    assert (outcomes.count("unread"), outcomes.count("missing")) == (1, 1)


def test_ties_of_people_and_of_the_judge(folder):
    put(folder, Pair_oak_overall=pairs(lambda *_: 1, ["overall_score"]),
        Pair_elm_overall=pairs(lambda *_: 0, ["overall_score"]))  # fmt: skip
    result = from_outputs(folder)
    truth = [people(i, p, "overall_score") for i in ITEMS if i[0] == "t" for p in PAIRS]
    ties, first = truth.count(1), truth.count(0)
    oak, elm = values(result, "oak, overall"), values(result, "elm, overall")
    assert oak["pair.kind.Text2Text.with_tie"] == pytest.approx(ties / 6)
    assert oak["pair.kind.Text2Text.without_human_ties"] == 0
    assert oak["pair.kind.Text2Text.both_decided"] is None or ties == 6
    assert elm["pair.kind.Text2Text.without_human_ties"] == pytest.approx(first / (6 - ties))
    assert (oak["pair.side.MMU.says_equal"], elm["pair.side.MMU.says_first"]) == (1, 1)


def test_what_is_left_out_is_counted_by_name(folder):
    marks = scores(people)
    rows = [
        marks[0] | {"score": 1 + marks[0]["score"] % 5},  # repeated: the first counts
        base("t0", "relevance") | {"model_name": "nobody", "score": 3},
        {"uniq_id": "x9", "task_name": "Text2Text", "rubric_name": "relevance",
         "model_name": "amber", "score": 3},
        base("t0", "overall_score") | {"model_name": "amber", "score": 3},
        base("t0", "relevance") | {"score": 3},
    ]  # fmt: skip
    put(folder, Score_oak_rubric=[*marks, *rows])
    recorded = read(folder)
    assert recorded.left_out == {
        "Score_oak_rubric.json": {
            "repeated": 1, "unknown_item": 2, "rubric_of_another_setting": 1,
            "no answer or pair, rubric and mark": 1,
        }
    }  # fmt: skip
    result = from_outputs(folder)
    assert values(result, "oak, rubric")["score.kind.Text2Text.agreement_unread_wrong"] == 1
    assert "2 records left out: about a request, answer or pair" in "\n".join(result.findings)


def test_peoples_marks_that_cannot_be_read_are_left_out_and_told(folder):
    human = scores(people, ["overall_score"])
    human[0]["score"] = "five"
    human[1]["uniq_id"] = "z1"
    del human[1]["task_name"]
    put(folder, Human_Scoring=human, Score_oak_overall=scores(people, ["overall_score"]))
    result = from_outputs(folder)
    assert values(result, "oak, overall")["score.kind.Text2Text.agreement_unread_wrong"] == 1
    said = "\n".join([*result.findings, *result.unread])
    assert "people's mark is missing or unreadable" in said
    assert "about a request of no known kind" in said


def test_kinds_that_are_not_there_and_answers_of_another_type_are_told(folder):
    answers = [
        {"uniq_id": "d0", "task_name": "Text2Image", "model_name": answer,
         "response": {"type": kind, "content": "x"}}
        for answer, kind in zip(ANSWERS, ("image", "text", "Image", "image"), strict=True)
    ]  # fmt: skip
    put(folder, JudgeAnything=answers, Score_oak_rubric=scores(people))
    said = "\n".join(from_outputs(folder).findings)
    assert "MMU: 2 of 5 kinds are there; Video2Text, Audio2Text, AudioVideo2Text are not." in said
    assert "MMG: 1 of 10 kinds" in said
    assert "Text2Image: 1 of 4 answers are of another type" in said


def test_a_file_that_names_neither_judge_nor_setting_is_not_taken_for_peoples(folder):
    put(folder, Score_oak_final=scores(people), Score_oak_rubric=scores(people))
    result = from_outputs(folder)
    assert [*result.numbers] == ["oak, rubric"]
    assert any("Score_oak_final.json" in line and "JUDGE_SETTING" in line for line in result.unread)


def test_three_judges_together_are_their_median_and_their_majority(folder):
    def off(by):
        return lambda *key: min(5, max(1, people(*key) + by))

    for name, by in (("low", -1), ("same", 0), ("high", 1)):
        put(folder, **{f"Score_{name}_rubric": scores(off(by))})
    put(folder, Pair_low_rubric=pairs(people), Pair_same_rubric=pairs(people),
        Pair_high_rubric=pairs(lambda *_: None))  # fmt: skip
    found = values(from_outputs(folder), f"{FUSION}, rubric")
    assert found["score.side.MMU.agreement_unread_wrong"] == 1
    assert found["pair.side.MMU.with_tie"] == 1
    (folder / "Pair_low_rubric.json").unlink()
    again = from_outputs(folder).numbers[f"{FUSION}, rubric"]
    assert not any(name.startswith("pair") for name in again)  # two have no majority


def test_the_command_writes_games_that_arena_rates(folder, tmp_path, capsys):
    put(
        folder,
        Pair_oak_rubric=pairs(people),
        Pair_oak_overall=pairs(people, ["overall_score"]),
        games=[{"name": "made up", "pairs": [["x", "y", 0], ["x", "y", 0], ["x", "y", 2]]}],
    )
    out = tmp_path / "run"
    line = ["eval", "judge-anything", "--from-outputs", str(folder), "--out", str(out)]
    assert cli.main([*line, "--suite-arg", "setting=rubric"]) == 0
    assert [*json.loads((out / "results.json").read_text())["results"]["judge-anything"]] == [
        "oak, rubric"
    ]
    games = [json.loads(row) for row in (out / "pairs.jsonl").read_text().splitlines()]
    assert {game["judge"] for game in games} == {"(people)", "oak, rubric", "made up"}
    assert cli.main(["arena", str(out / "pairs.jsonl"), "--bootstrap", "0"]) == 4
    shown = capsys.readouterr().out
    assert "2 groups have no game between them: amber, birch; cedar, dune" in shown
    assert "1560.206" in shown  # two to one


def test_wrong_options_and_empty_folders_are_refused(folder, capsys):
    line = ["eval", "judge-anything", "--from-outputs", str(folder)]
    assert cli.main(line) == 2
    assert "Score_JUDGE_SETTING.json" in " ".join(capsys.readouterr().err.split())
    assert cli.main([*line, "--suite-arg", "setting=best"]) == 2
    assert cli.main([*line, "--suite-arg", "kind=Text2Text"]) == 2
    with pytest.raises(InputError, match="--paper"):
        SUITE.from_outputs(folder, paper=True, args={})
