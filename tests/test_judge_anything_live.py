"""Judge Anything live: what is asked, in which ways, what is recorded, left out and shown."""

import json
import re

import pytest
from answer_judges import Honest, draw, judged, peaked, recorded, told

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.judge_anything import prompts, suite
from safejudge.evals.judge_anything.items import SUPPORTED, gather
from safejudge.evals.judge_anything.live import mark_of
from safejudge.evals.judge_anything.records import RUBRICS
from safejudge.types import AnswerProbs, Probe

ANSWERS = ("amber", "birch", "cedar", "dune")
WORTH = {"amber": 5, "birch": 2, "cedar": 3, "dune": 3}
PAIRS = {"amber_vs_birch": 0, "cedar_vs_dune": 1}
KINDS = {"i": "Image2Text", "d": "Text2Image", "e": "Image2Image", "a": "Audio2Text"}
SHOWN = re.compile(
    r"^Answer(?: [AB])?(?: \(.*?\))?:\n(=+\d+=+)\n(.*?)\n\1$", re.MULTILINE | re.DOTALL
)


class Judge(Honest):
    """Says what answers are worth: by their words, or how bright their pictures are."""

    def verdict(self, request):
        text = request.question if isinstance(request, Probe) else request.messages[-1].text
        answers = [words for _, words in SHOWN.findall(text)]
        if all(words[-1:].isdigit() for words in answers):
            values = [int(words[-1]) for words in answers]
        else:
            values = [int(p.pixels.mean()) // 40 for p in request.images[-len(answers) :]]
        if len(values) == 2:
            return "C" if values[0] == values[1] else "A" if values[0] > values[1] else "B"
        return str(values[0])

    def likely(self, probe):
        if probe.labels == prompts.POINT_LEVELS:
            return peaked(probe.labels, "5" if "so red" in probe.question else "0", mass=1.0)
        return peaked(probe.labels, self.verdict(probe))


def folder(tmp_path, kinds="ide", **changes):
    """Two requests of each kind, the files of the benchmark's scripts, and their pictures."""
    data = tmp_path / "data"
    tasks, answers, scores, pairs, lists = [], [], [], [], []
    for item in (f"{kind}{number}" for kind in kinds for number in (0, 1)):
        base = {"uniq_id": item, "task_name": KINDS[item[0]]}
        media = {"image_path": [f"images/{item}.png"]} if item[0] in "ie" else {}
        draw(data / "images" / f"{item}.png")
        tasks.append(base | {"question": f"Request {item}."} | media)
        for answer in ANSWERS:
            path = f"Image/{item}_{answer}.png"
            draw(data / path, WORTH[answer] * 40 + len(answers) % 4)
            words = {"type": "text", "content": f"{answer}: worth {WORTH[answer]}"}
            picture = {"type": "image", "content": path}
            response = picture if item[0] in "de" else words
            answers.append(base | {"model_name": answer, "response": response})
        for rubric in ("overall_score", *RUBRICS):
            mark = base | {"rubric_name": rubric}
            scores += [mark | {"model_name": a, "score": WORTH[a]} for a in ANSWERS]
            pairs += [mark | {"model_pair": pair, "choice": code} for pair, code in PAIRS.items()]
        points = ["Is it so red?", "Is it blue?"]
        lists += [{"uniq_id": item, "rubric": rubric, "checklists": points} for rubric in RUBRICS]
    files = {"TaskAnything": tasks, "JudgeAnything": answers, "Human_Scoring": scores,
             "Human_Pairing": pairs, "checklist": lists} | changes  # fmt: skip
    for name, records in files.items():
        (data / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    return data


def values(result, judge):
    return {name: cell["value"] for name, cell in result.numbers[judge].items()}


@pytest.mark.parametrize("reading", ["weighted", "written"])
def test_a_judge_that_is_right_is_right_in_every_kind(tmp_path, reading):
    folder(tmp_path)
    result = judged(
        suite, tmp_path, Judge(), args={"setting": "overall,rubric", "readings": reading}
    )
    for setting in ("overall", "rubric"):
        for order in ("", ", second order"):
            found = values(result, f"hf:stand-in, {reading}{order}, {setting}")
            for kind in ("Image2Text", "Text2Image", "Image2Image"):
                assert found[f"pair.kind.{kind}.with_tie"] == 1
                if not order:
                    assert found[f"score.kind.{kind}.agreement_unread_wrong"] == 1
    assert any("the same answer in both orders of a pair 1.000" in f for f in result.findings)
    assert not any("median" in name for name in result.numbers)  # one judge is no panel
    assert result.coverage.judged == 6


def test_the_request_its_pictures_and_the_rubric_are_shown(tmp_path):
    folder(tmp_path, "e")
    engine = Judge()
    judged(suite, tmp_path, engine, limit=1, args={"setting": "rubric,checklist"})
    marks = [probe for probe in engine.asked if len(probe.images) == 2]
    pairs = [probe for probe in engine.asked if len(probe.images) == 3]
    assert (len(marks), len(pairs)) == (4 * 6 * 2, 2 * 6 * 2 * 2)
    assert all("Request (with picture 1 above):" in probe.question for probe in engine.asked)
    assert all("Answer (with picture 2 above):" in probe.question for probe in marks)
    assert all("Answer B (with picture 3 above):" in probe.question for probe in pairs)
    for text in prompts.rubric_texts().values():
        assert sum(text in probe.question for probe in engine.asked) == 4 * 2 + 2 * 2 * 2
    listed = [
        probe for probe in engine.asked if "1. Is it so red?\n2. Is it blue?" in probe.question
    ]
    assert len(listed) == len(engine.asked) / 2


def test_a_checklist_point_by_point_and_as_a_whole(tmp_path):
    folder(tmp_path, "i")
    args = {"setting": "checklist", "checking": "points"}
    result = judged(suite, tmp_path, Judge(), args=args)
    # One of two points is met in full, the other not at all: the middle of the scale.
    said = {row["said"] for row in result.samples if row["task"] == "score"}
    assert said == {3}
    engine = Judge()
    (tmp_path / "whole").mkdir()
    folder(tmp_path / "whole", "i")
    judged(suite, tmp_path / "whole", engine, args={"setting": "checklist", "checking": "whole"})
    alone = [p for p in engine.asked if "How far is all of this so of the answer" in p.question]
    # Six rubrics with one checklist are one question of each answer.
    assert len(alone) == 2 * 4
    assert not any(text in p.question for p in alone for text in prompts.rubric_texts().values())


def test_an_unread_point_leaves_the_mark_unread():
    points = [{"point": "1", "said": 1.0}, {"point": "2", "said": 0.5}]
    assert mark_of(points, "score") == 4
    assert mark_of([points[0], {"point": "2", "said": None}], "score") is None
    assert mark_of([{"said": "A", "order": "BA"}], "pair") == 2
    assert mark_of([{"said": "C", "order": "BA"}], "pair") == 1
    assert mark_of([{"said": None, "order": "BA"}], "pair") is None


def test_a_model_that_says_something_else_is_unread_and_counted(tmp_path):
    folder(tmp_path, "i")
    silent = Judge(probs=lambda probe: AnswerProbs((0.0,) * len(probe.labels)))
    result = judged(suite, tmp_path, silent, args={"checking": "points"})
    for setting in ("overall", "rubric", "checklist"):
        found = values(result, f"hf:stand-in, weighted, {setting}")
        assert found["score.kind.Image2Text.unread"] == 1
        assert found["score.kind.Image2Text.agreement_unread_wrong"] == 0
        assert found["pair.kind.Image2Text.unread"] == 1


def test_what_cannot_be_shown_is_not_asked_and_told(tmp_path):
    data = folder(tmp_path, "ied")
    (data / "images" / "i0.png").unlink()  # a request without its picture
    (data / "Image" / "d0_amber.png").write_bytes(b"no picture")
    answers = json.loads((data / "JudgeAnything.json").read_text())
    for row in answers:
        if row["uniq_id"] == "e0" and row["model_name"] == "dune":
            row["response"] = {"type": "audio", "content": "x.mp3"}
    (data / "JudgeAnything.json").write_text(json.dumps(answers))
    result = judged(suite, tmp_path, Judge(), args={"setting": "overall"})
    said = "\n".join(result.findings)
    assert "i0: request was not shown" in said
    assert "d0: amber was not shown" in said
    assert "e0: dune was not shown (an answer of type audio)" in said
    found = values(result, "hf:stand-in, weighted, overall")
    assert found["score.kind.Text2Image.missing"] == 0
    assert found["score.kind.Text2Image.agreement_unread_wrong"] == 1
    assert (
        sum(row["kind"] == "Text2Image" and row["task"] == "score" for row in result.samples) == 7
    )
    assert (result.coverage.judged, result.coverage.unjudged) == (5, 3)


def test_sound_is_counted_and_never_left_out_silently(tmp_path, capsys):
    folder(tmp_path, "ia")
    result = judged(suite, tmp_path, Judge(), args={"setting": "overall"})
    (kinds,) = (table for table in result.tables if table.title == "Kinds")
    assert kinds.rows == (
        ("Image2Text", "2", "0", ""),
        ("Audio2Text", "0", "2", "sound or video: not supported"),
    )
    assert result.coverage.passed_over == 2
    assert "Audio2Text" not in SUPPORTED
    only = gather(tmp_path / "data", ["Image2Text"])
    assert not only.unsupported
    with pytest.raises(InputError, match="holds no request that can be judged"):
        gather(tmp_path / "data", ["Audio2Text"])
    with pytest.raises(InputError, match="this data has Audio2Text, Image2Text"):
        gather(tmp_path / "data", ["Text2Video"])


def test_a_run_goes_on_where_it_stopped(tmp_path):
    folder(tmp_path, "i")
    args = {"setting": "overall"}
    suite.judge(told(tmp_path, Judge(), limit=1, args=args))
    engine = Judge()
    suite.judge(told(tmp_path, engine, resume=True, args=args))
    assert {probe.question.count("Request i1") for probe in engine.asked} == {1}
    assert [row["image"] for row in recorded(tmp_path)] == ["i0", "i1"]


def test_wrong_options_and_folders_are_refused(tmp_path, capsys):
    folder(tmp_path, "i")
    line = ["eval", "judge-anything", "--engine", "fake:", "--out", str(tmp_path / "run")]
    for more, words in [
        ([], "judge-anything needs a folder"),
        (["--data", str(tmp_path / "data"), "--suite-arg", "checking=none"], "checking"),
        (["--data", str(tmp_path / "data"), "--suite-arg", "checking=points", "--suite-arg",
          "readings=written"], "is read from probabilities"),
        (["--data", str(tmp_path / "data"), "--suite-arg", "colour=red"], "it takes setting"),
    ]:  # fmt: skip
        assert cli.main([*line, *more]) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_the_command_judges_with_any_engine(tmp_path, capsys):
    folder(tmp_path, "id")
    line = ["eval", "judge-anything", "--data", str(tmp_path / "data"), "--engine", "fake:"]
    assert cli.main([*line, "--out", str(tmp_path / "run")]) == 0
    assert "Scores beside people's, by kind" in capsys.readouterr().out
    assert cli.main(["arena", str(tmp_path / "run" / "pairs.jsonl"), "--bootstrap", "0"]) in {0, 4}
