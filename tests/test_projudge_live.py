"""ProJudge live: what is shown and asked, what is recorded, and what is not asked about."""

import json

import pytest
from answer_judges import Honest, draw, judged, lines, recorded, told

from safejudge.cli import app as cli
from safejudge.errors import InputError, StatementError
from safejudge.evals.projudge import suite
from safejudge.evals.projudge.live import gather_cases
from safejudge.method.steps import LETTERS
from safejudge.types import AnswerProbs

R, W, V = ["1", "", ""], ["0", "Reasoning Error", "No."], ["0", "Visual Interpretation Error", ""]
SILENT = AnswerProbs((0.0, 0.0), problem="the server said: 500")


def case(key, *rows, pictures=(), **more):
    steps = [[f"{'right' if row is R else 'wrong'} {n} of {key}", *row]
             for n, row in enumerate(rows)]  # fmt: skip
    form = "single_image" if pictures else "pure_text"
    return {"id": key, "subject": "Math", "data_type": form, "question": f"What of {key}?",
            "image_paths": {f"image_{n}": path for n, path in enumerate(pictures)},
            "process_evaluation": steps} | more  # fmt: skip


class Marker(Honest):
    """Says of a step what it says of itself; of a wrong one that a picture was misread."""

    def likely(self, probe):
        if probe.labels == LETTERS:
            return AnswerProbs((0.02, 0.9, 0.02, 0.02, 0.02, 0.01, 0.01))
        steps, _, asked = probe.question.partition("\n\nIs step ")
        number = asked.partition(" ")[0]
        step = next(line for line in steps.split("\n") if line.startswith(f"{number}. "))
        if "refused" in step:
            return SILENT
        if not probe.images and "What of a?" in probe.question:  # the prior of one with a picture
            return AnswerProbs((0.45, 0.45))
        return AnswerProbs((0.95, 0.03) if ". right" in step else (0.02, 0.96))

    def writes(self, request):
        text = request.messages[-1].text
        if "Your list:" not in text:
            return "It is wrong."
        steps = [line.partition(". ")[2] for line in text.split("\n") if line[:1].isdigit()]
        marks = [[step, int(step.startswith("right")), "Reasoning", ""] for step in steps]
        return f"I solved it.\n{json.dumps(marks)}" if len(steps) > 1 else "No."


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    draw(folder / "images" / "a.png")
    cases = [case("a", R, W, V, pictures=["a.png"]), case("b", R, R), case("c", W)]
    (folder / "cases.json").write_text(json.dumps(cases))
    return folder


def test_a_question_a_step(data, tmp_path):
    engine = Marker()
    result = judged(suite, tmp_path, engine)
    values = {k: v["value"] for k, v in result.numbers["hf:stand-in, weighted"].items()}
    assert (values["steps_read"], values["step_correctness"], values["F1"]) == (1, 1, 1)
    assert values["error_type"] == pytest.approx(1 / 3)
    assert values["error_type.Visual Interpretation"] == 1
    assert values["solution_verdict"] == 1
    (first, *_) = recorded(tmp_path)
    assert first["people"][1] == ["wrong 1 of a", False, "Reasoning"]
    assert first["said"]["weighted"][1]["why"] == "It is wrong."
    assert first["said"]["weighted"][0]["score"] > 0.75
    pictured = [request for request in engine.asked if request.images]
    assert all("What of a?" in str(request) for request in pictured)
    assert result.coverage.judged == 3
    assert {p.score is None for p in result.predictions} == {False}


def test_a_list_for_all_steps(data, tmp_path):
    result = judged(suite, tmp_path, Marker(), args={"readings": "written"})
    values = {k: v["value"] for k, v in result.numbers["hf:stand-in, written"].items()}
    assert values["replies_read"] == pytest.approx(2 / 3)
    assert values["step_correctness"] == pytest.approx(5 / 6)
    assert values["error_type"] == pytest.approx(1 / 3)
    assert "hf:stand-in, written: 1 of 3 replies unread: no list of steps." in result.findings


def test_both_readings_stand_side_by_side(data, tmp_path):
    result = judged(suite, tmp_path, Marker(), args={"readings": ["weighted", "written"]})
    assert {"hf:stand-in, weighted", "hf:stand-in, written"} < {*result.numbers}


def test_a_missing_picture_is_not_asked_about(data, tmp_path):
    lost = [case("d", R, W, pictures=["none.png"]), case("e", R, pictures=["../cases.json"])]
    (data / "more.json").write_text(json.dumps(lost))
    result = judged(suite, tmp_path, Marker())
    assert (result.coverage.judged, result.coverage.unjudged) == (3, 2)
    assert result.numbers["hf:stand-in, weighted"]["steps_read"]["n"] == 6
    said = "\n".join(result.findings)
    assert "d: not judged (none.png: no such picture" in said
    assert "leads out of the folder" in said


def test_pictures_may_lie_elsewhere(data, tmp_path):
    (tmp_path / "data" / "images" / "a.png").rename(tmp_path / "a.png")
    result = judged(suite, tmp_path, Marker(), args={"images": str(tmp_path)})
    assert result.coverage.unjudged == 0


def test_what_was_not_answered_is_unread_and_asked_again(data, tmp_path):
    bad = case("f", R, R)
    bad["process_evaluation"][1][0] = "refused"
    (data / "cases.json").write_text(json.dumps([bad]))
    result = judged(suite, tmp_path, Marker())
    values = {k: v["value"] for k, v in result.numbers["hf:stand-in, weighted"].items()}
    assert (values["steps_read"], values["step_correctness"]) == (0.5, 0.5)
    again = Marker()
    judged(suite, tmp_path, again, resume=True)
    assert again.asked
    rows = recorded(tmp_path)
    assert rows[-1]["unread"] is True
    assert rows[-1]["said"]["weighted"][1]["score"] is None


def test_a_run_goes_on_without_asking_again(data, tmp_path):
    judged(suite, tmp_path, Marker(), limit=1)
    again = Marker()
    judged(suite, tmp_path, again, resume=True)
    assert not any("What of a?" in str(request) for request in again.asked)


def test_parts(data, tmp_path):
    result = judged(suite, tmp_path, Marker(), splits=("single_image",))
    assert result.coverage.judged == 1
    with pytest.raises(InputError, match="no solution of this data"):
        suite.judge(told(tmp_path, Marker(), splits=("audio",), overwrite=True))


def test_files_of_other_forms(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = tmp_path / "data"
    folder.mkdir()
    rows = [case("a", R, W, pictures=["a.png"]), case("b", R)]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "one.parquet")
    (folder / "two.parquet").write_bytes(b"PAR1 and nothing")
    lines(folder / "three.jsonl", [case("c", R), {"id": "d"}, case("a", R), case("e")])
    data = gather_cases(folder, "")
    assert [c.key for c in data.cases] == ["a", "b", "c"]
    assert data.cases[0].pictures == ("a.png",)
    assert data.left_out == {
        "case whose id was there before; the first counts": 1,
        "case without steps that people marked 1 or 0": 1,
    }
    assert "three.jsonl: 1 record without process_evaluation" in data.unread
    assert any(problem.startswith("two.parquet: is no Parquet") for problem in data.unread)
    only = gather_cases(folder / "one.parquet", "")
    assert [c.key for c in only.cases] == ["a", "b"]
    assert only.folder == folder


def test_nothing_to_judge(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"there is no \.json"):
        suite.judge(told(tmp_path, Marker()))
    with pytest.raises(InputError, match="--data FILE"):
        suite.judge(told(tmp_path, Marker(), data="none"))
    with pytest.raises(InputError, match="--suite-arg readings"):
        suite.judge(told(tmp_path, Marker(), args={"readings": "spoken"}))


def test_a_model_for_other_questions_is_refused_before_the_run(data, tmp_path):
    engine = Marker()

    def narrow(statements):
        raise StatementError(f"outside the grammar: {statements[0]}")

    engine.check_statements = narrow
    with pytest.raises(StatementError):
        suite.judge(told(tmp_path, engine))
    assert not (tmp_path / "out" / "records.jsonl").exists()


def test_from_the_command_line(data, tmp_path):
    out = tmp_path / "run"
    line = ["eval", "projudge", "--data", str(data), "--engine", "fake:", "--out", str(out)]
    assert cli.main(line) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["coverage"] == {"judged": 3, "unjudged": 0, "passed_over": 0}
