"""ProJudge from replies: how each is read, what they come to, and what can be wrong with them."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.projudge.figures import ALWAYS_RIGHT, ALWAYS_WRONG
from safejudge.evals.projudge.records import case_of
from safejudge.evals.projudge.replies import (
    _PIECE,
    KINDS,
    REASONS,
    Mark,
    kind_of,
    read_marks,
)
from safejudge.evals.projudge.score import from_outputs

DATA = Path(__file__).parent / "data" / "projudge"
REPLIES = json.loads((DATA / "replies.json").read_text(encoding="utf-8"))
SIGNS = {True: "1", False: "0", None: "?"}


def signs(marks):
    return marks if isinstance(marks, str) else "".join(SIGNS[mark.right] for mark in marks)


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case["fault"])
def test_replies_with_faults(case):
    assert signs(read_marks(case["reply"], case["steps"])) == case["is"]


def test_a_reply_is_never_run(tmp_path):
    trap = tmp_path / "trap"
    code = f"[[open({str(trap)!r}, 'w').name, '1', '', '']]"
    assert read_marks(code, ["a"]) == "no list of steps"
    assert not trap.exists()


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        (None, "empty"),
        (" \n", "empty"),
        (7, "no list of steps"),
        ({}, "no list of steps"),
        ("[]", "no list of steps"),
        ("[" * 3000 + "]" * 3000, "no list of steps"),
        ("[" * 100_000, "no list of steps"),
        ("[['" * 50_000, "no list of steps"),
        ([["a", 1, "", ""], ["b", 0.0, "", ""]], "10"),
        ('[["a", true], ["b", false]]', "10"),
        ("[('a', 1), ('b', 0)]", "10"),
        ("[['a', 2], ['b', None]]", "??"),
        ("[['a', '01'], ['b', [1]]]", "??"),
        ("[['a', 1], 'b']", "1?"),
        ("[['a', 1], ['b']]", "1?"),
        ("Don't: [['it's', 1]]. So [['a', 1], ['b', 0]]", "10"),
        (r"[['\(a\)', 1], ['b', 0]]", "10"),
        ("[['a', 1], ['b', 0]] and [1]", "10"),
        ('{"steps": [{"step": "b", "mark": 0}, {"step": "a", "mark": 1}]}', "10"),
        ("[['a', 1], ['b', 9**9**9]]", "no list of steps"),
    ],
)
def test_other_forms(reply, read):
    assert signs(read_marks(reply, ["a", "b"])) == read


def test_equal_steps_keep_their_order():
    marks = read_marks("[['b', 0], ['a', 1], ['b', 1]]", ["b", "b", "a"])
    assert signs(marks) == "011"


def test_only_what_was_there_is_seen_of_a_long_reply():
    reply = "[['a', 0]]" + " " * 300_000 + "[['a', 1]]"
    assert signs(read_marks(reply, ["a"])) == "1"


@given(st.text(alphabet="[](){}'\",:ab01 \\", max_size=60) | st.text(max_size=30))
def test_no_reply_ends_the_run(reply):
    marks = read_marks(reply, ["a", "b"])
    assert marks in REASONS or len(marks) == 2


def test_kinds():
    assert [kind_of(kind) for kind in KINDS] == [*KINDS]
    assert [kind_of(f"{kind} Error") for kind in KINDS] == [*KINDS]
    assert kind_of(" knowledge  ERROR ") == "Knowledge"
    assert kind_of("Calculation Error") is kind_of(None) is kind_of("") is None


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_that_are_escaped_to_the_end_are_no_string_each(quote):
    text = f"[[{quote}" + f"\\{quote}" * 50_000
    # Each is met once; where each was followed to the end, this took minutes.
    assert len([*_PIECE.finditer(text)]) == 2 + 50_000
    assert read_marks(text, ["a", "b"]) == "no list of steps"


# --- figures --------------------------------------------------------------------------------------

R, W, K = ["1", "", ""], ["0", "Reasoning Error", "No."], ["0", "Knowledge Error", "No."]


def case(key, *rows, **more):
    steps = [[f"step {number} of {key}", *row] for number, row in enumerate(rows)]
    return {"id": key, "subject": "Math", "data_type": "pure_text", "question": "Why?",
            "image_paths": {}, "process_evaluation": steps} | more  # fmt: skip


def reply(key, *rows):
    steps = [[f"step {number} of {key}", *row] for number, row in enumerate(rows)]
    return {"id": key, "reply": json.dumps(steps)}


@pytest.fixture
def folder(tmp_path):
    cases = [case("a", R, W, K), case("b", R, R), case("c", W), case("d", R)]
    said = [
        reply("a", R, W, W),
        reply("b", ["1", "Knowledge Error", ""], ["0", "", ""]),
        {"id": "c", "reply": "I cannot."},
        reply("x", R),
        reply("a", R, R, R),
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "elm.json").write_text(json.dumps(said))
    return tmp_path


def test_figures(folder):
    numbers = from_outputs(folder).numbers
    values = {name: figure["value"] for name, figure in numbers["elm"].items()}
    assert values == {
        "replies_read": 2 / 4,
        "steps_read": pytest.approx(5 / 7),
        "step_correctness": pytest.approx(4 / 7),
        "step_correctness_of_read": 4 / 5,
        "error_type": pytest.approx(1 / 3),
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "F1": pytest.approx(2 / 3),
        "first_wrong_step": 1 / 2,
        "solution_verdict": 1 / 4,
        "error_type.Reasoning": 1 / 2,
        "error_type.Knowledge": 0,
    }
    assert numbers["elm"]["precision"]["n"] == 3
    right, wrong = numbers[ALWAYS_RIGHT], numbers[ALWAYS_WRONG]
    assert right["step_correctness"]["value"] == pytest.approx(4 / 7)
    assert right["precision"] == {"value": None, "n": 0, "low": None, "high": None}
    assert wrong["step_correctness"]["value"] == pytest.approx(3 / 7)
    assert wrong["error_type"]["value"] == pytest.approx(2 / 3)


def test_what_is_told(folder):
    said = "\n".join(from_outputs(folder).findings)
    for told in (
        "elm: no more steps judged as people did than by calling every step right (0.5714).",
        "elm: 1 line left out: reply about an unknown case.",
        "elm: 1 line left out: reply about a case that was there before; the first counts.",
        "elm: 1 of 3 replies unread: no list of steps.",
        "elm: 1 case without a reply: d.",
        "elm: 1 step called right, with a type of error that does not count.",
        "elm: 1 step called wrong without a type.",
    ):
        assert told in said


def test_rows(folder):
    result = from_outputs(folder)
    rows = {row["id"]: row for row in result.samples}
    assert (rows["c"]["said"], rows["c"]["why"]) == (None, "no list of steps")
    assert (rows["d"]["said"], rows["d"]["why"]) == (None, "missing")
    assert [row["right"] for row in rows["a"]["said"]] == [True, False, False]
    unread = [p for p in result.predictions if p.answer is None]
    assert [p.sample for p in unread] == ["c/1", "d/1"]
    assert not any(p.right for p in unread)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (case(""), "case without an id or a question"),
        (case("e", R, question=None), "case without an id or a question"),
        (case("e"), "case without steps that people marked 1 or 0"),
        (case("e", R, process_evaluation="[]"), "case without steps that people marked 1 or 0"),
        (case("e", ["0.5", "", ""]), "case without steps that people marked 1 or 0"),
        (case("e", ["0", "Typo", ""]), "case with a wrong step of an unknown type"),
        (case("a", R), "case whose id was there before; the first counts"),
    ],
)
def test_a_bad_case_is_counted(folder, record, why):
    (folder / "more.json").write_text(json.dumps([record]))
    result = from_outputs(folder)
    assert f"1 record left out: {why}." in result.findings
    assert result.numbers["elm"]["steps_read"]["n"] == 7


def test_two_files_of_one_name_are_two_judges(folder):
    (folder / "more").mkdir()
    (folder / "more" / "elm.json").write_text(json.dumps([reply("d", R)]))
    assert {"elm.json", "more/elm.json"} < {*from_outputs(folder).numbers}


def test_a_folder_without_cases_or_replies(folder):
    (folder / "elm.json").unlink()
    with pytest.raises(InputError, match="holds no replies"):
        from_outputs(folder)
    (folder / "cases.json").unlink()
    with pytest.raises(InputError, match="holds no solutions"):
        from_outputs(folder)


def test_nothing_is_known_of_a_mark_that_says_nothing():
    assert read_marks("[['a', '']]", ["a"]) == (Mark("a", None),)


def test_from_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["eval", "projudge", "--from-outputs", str(folder), "--out", str(out)]) == 0
    assert "wrong steps found: F1 0.667" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())["results"]["projudge"]
    assert math.isclose(results["elm"]["F1"]["value"], 2 / 3)


@pytest.mark.parametrize("paths", [5, True, 1.5, [["a.png"]], {"image_1": 7}, ["a.png", {}]])
def test_pictures_that_are_no_paths_leave_the_case_out(tmp_path, paths):
    cases = [case("a", R, W), case("b", R, W, image_paths=paths)]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "elm.json").write_text(json.dumps([reply("a", R, W), reply("b", R, W)]))
    result = from_outputs(tmp_path)
    assert result.numbers["elm"]["steps_read"]["n"] == 2
    assert "1 record left out: case whose image_paths are no paths." in result.findings


def test_pictures_that_are_null_are_none():
    read = case_of(case("a", R, image_paths={"image_1": "a.png", "image_2": None, "image_3": ""}))
    assert read.pictures == ("a.png",)
    assert case_of(case("a", R, image_paths=None)).pictures == ()
