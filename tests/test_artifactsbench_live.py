"""ArtifactsBench live: what is shown and asked, how marks add up, and what is not asked about."""

import json
from dataclasses import replace

import numpy as np
import pytest
from answer_judges import Honest, judged, peaked, recorded, told
from PIL import Image

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.artifactsbench import live, prompts, suite
from safejudge.evals.artifactsbench.live import gather, reading_of
from safejudge.render import Browser, Finding, Rendered, Shot
from safejudge.types import AnswerProbs, NoReply

PAGE = "Here:\n```html\n<html><body>{}</body></html>\n```"


class Judge(Honest):
    """Sees on the last picture how far a point is met: its shade over 40."""

    def likely(self, probe):
        return peaked(probe.labels, str(int(probe.images[-1].pixels.mean()) // 40), mass=1.0)

    def writes(self, request):
        shade = int(request.images[-1].pixels.mean()) // 40
        return f'{{"Reason": "It opens.", "Overall Score": "{shade * 20}"}}'


def shot(at, shade):
    pixels = np.full((16, 16, 3), shade, np.uint8)
    return Shot(at, Image.fromarray(pixels), None)


@pytest.fixture(autouse=True)
def stage(monkeypatch):
    """A browser that is not there: pages say what comes of them."""
    opened = []

    def render(page, stage, browser):
        opened.append(page)
        assert browser.path == "/none"
        if "loop" in page:
            return Rendered("timed out", None, (shot(0, 9),), ())
        shade = int(page.partition("shade ")[2][:3] or 0)
        shots = tuple(shot(at, shade) for at in stage.at)
        blank = (Finding(kind="one colour", what="after 0 s: #000000"),) if "blank" in page else ()
        return Rendered("rendered", (16, 16), shots, blank)

    monkeypatch.setattr(live, "render", render)
    monkeypatch.setattr(Browser, "find", classmethod(lambda cls, *_: cls("/none")))
    return opened


def task(index, difficulty="easy", most=10, **more):
    points = [{"id": n, "title": f"Point {n}?", "maxScore": most} for n in range(10)]
    return {"index": index, "question": f"Page {index}, please.", "checklist": points,
            "class": "Games-Puzzle", "difficulty": difficulty} | more  # fmt: skip


def put(tmp_path, tasks, answers, field="answer"):
    for name, rows in (("tasks", tasks), ("ink", [{"index": i, field: a} for i, a in answers])):
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {"answers": str(tmp_path / "ink.jsonl")}


def run(tmp_path, engine, args):
    return judged(suite, tmp_path, engine, data="tasks.jsonl", args=args)


def values(result):
    return {name: cell["value"] for name, cell in result.numbers["ink"].items()}


def test_points_add_up_to_a_score(tmp_path):
    pages = [(1, PAGE.format("shade 200")), (2, PAGE.format("shade 080"))]
    args = put(tmp_path, [task(1), task(2, "hard")], pages)
    engine = Judge()
    result = run(tmp_path, engine, args)
    assert values(result)["difficulty.easy.mean_of_read"] == pytest.approx(100)
    assert values(result)["difficulty.hard.mean_of_read"] == pytest.approx(40)
    assert len(engine.asked) == 2 * 10
    assert all(len(probe.images) == 3 for probe in engine.asked)
    assert "picture 2: after 1 s" in engine.asked[0].question
    assert "Page 1, please." in engine.asked[0].question
    assert engine.asked[0].question.endswith("Your number, from 0 to 5:")
    assert result.samples[1]["sum"] == pytest.approx(40)
    assert result.ranking.judge == "hf:stand-in, points"
    assert (result.coverage.judged, result.coverage.unjudged) == (2, 0)


def test_one_number_for_the_whole_list(tmp_path):
    args = put(tmp_path, [task(1)], [(1, PAGE.format("shade 120"))]) | {"checking": "whole"}
    engine = Judge()
    assert values(run(tmp_path, engine, args))["all.mean_of_read"] == 60
    (asked,) = engine.asked
    assert "10. (up to 10) Point 9?" in asked.messages[-1].text


def test_an_unread_point_leaves_the_sum_unread_beside_what_was_read(tmp_path):
    def silent(probe):
        if "Point 3?" in probe.question:
            return AnswerProbs((0.0,) * len(probe.labels))
        return peaked(probe.labels, "5", mass=1.0)

    args = put(tmp_path, [task(1)], [(1, PAGE.format("shade 200"))])
    result = run(tmp_path, Judge(probs=silent), args)
    assert values(result)["all.mean_of_read"] is None
    assert values(result)["all.unread_as_0"] == 0
    (sample,) = result.samples
    assert (sample["sum"], sample["points_unread"]) == (None, 1)
    assert sample["sum_of_read"] == pytest.approx(90)
    assert sample["why"] == "1 point unread"


@pytest.mark.parametrize(
    ("reply", "why"),
    [("It is good.", "no score"), ('{"Overall Score": "8/10"}', "not a number"),
     (NoReply("too long"), "no reply")],
)  # fmt: skip
def test_a_reply_without_a_score_is_unread(tmp_path, reply, why):
    args = put(tmp_path, [task(1)], [(1, PAGE.format("shade 200"))]) | {"checking": "whole"}
    result = run(tmp_path, Judge(reply=lambda _: reply), args)
    assert result.samples[0]["said"] is None
    assert result.samples[0]["why"] == why


BAD = [
    (1, PAGE.format("loop")),
    (2, "There is no page."),
    (3, "```html\n<html><body>cut"),
    (5, PAGE.format("blank shade 040")),
    (5, PAGE.format("shade 200")),
    (99, PAGE.format("shade 200")),
]


def test_what_cannot_be_seen_is_not_asked_about_and_no_score(tmp_path, stage):
    tasks = [*(task(n) for n in range(1, 6)), task(6, checklist="none"), task(1), {"index": 7}]
    engine = Judge()
    result = run(tmp_path, engine, put(tmp_path, tasks, [*BAD, (6, PAGE.format("x"))]))
    assert {row["index"]: row["why"] for row in result.samples} == {
        "1": "timed out", "2": "nothing to render", "3": "cut page", "4": "missing", "5": None,
        "6": "no checklist",
    }  # fmt: skip
    assert len(engine.asked) == 10
    assert len(stage) == 2  # nothing is opened for an answer without a page
    found = values(result)
    assert found["all.mean_of_read"] == pytest.approx(20)
    assert found["all.missing"] == pytest.approx(1 / 6)
    assert (result.coverage.judged, result.coverage.unjudged) == (1, 5)
    said = "\n".join(result.findings)
    for words in ("1 task not asked about, timed out: 1", "1 page one colour: 5",
                  "second answer to a task; the first counts", "answer to an unknown index",
                  "task whose index was there before", "no task with index"):  # fmt: skip
        assert words in said


def test_a_page_that_does_not_open_is_0_only_where_the_user_says_so(tmp_path):
    tasks = [task(n) for n in range(1, 6)]
    result = run(tmp_path, Judge(), put(tmp_path, tasks, BAD) | {"unopened": 0})
    assert [row["said"] for row in result.samples] == [0, 0, 0, None, pytest.approx(20)]
    assert reading_of({"status": "no answer"}, 0.0).score is None


def test_a_long_answer_is_cut_for_the_judge_and_rendered_whole(tmp_path, monkeypatch, stage):
    monkeypatch.setattr(prompts, "MOST_SIGNS", 40)
    answer = PAGE.format("x" * 100 + "shade 200")
    engine = Judge()
    result = run(tmp_path, engine, put(tmp_path, [task(1)], [(1, answer)], "model_infer_result"))
    assert "x" * 100 in stage[0]
    assert "x" * 100 not in engine.asked[0].question
    assert any("1 answer cut at 40 characters" in finding for finding in result.findings)


def test_a_run_goes_on_where_it_stopped(tmp_path, stage):
    pages = [(n, PAGE.format("shade 200")) for n in (1, 2)]
    args = put(tmp_path, [task(1), task(2)], pages)
    suite.judge(told(tmp_path, Judge(), data="tasks.jsonl", limit=1, args=args))
    suite.judge(told(tmp_path, Judge(), data="tasks.jsonl", resume=True, args=args))
    assert [row["image"] for row in recorded(tmp_path)] == ["1", "2"]
    assert len(stage) == 2


def test_wrong_files_and_options_are_refused_before_anything_is_opened(tmp_path, capsys, stage):
    args = put(tmp_path, [task(1)], [(1, PAGE.format("x"))])
    tasks, line = str(tmp_path / "tasks.jsonl"), ["eval", "artifactsbench", "--engine", "fake:"]
    line += ["--out", str(tmp_path / "run")]
    answers = ["--suite-arg", f"answers={args['answers']}"]
    for more, words in [
        (answers, "--data tasks.jsonl"),
        (["--data", tasks], "--suite-arg answers=FILE"),
        (["--data", tasks, "--suite-arg", "answers=none.jsonl"], "no such file of answers"),
        (["--data", tasks, *answers, "--suite-arg", "checking=appended"], "checking"),
        (["--data", tasks, *answers, "--suite-arg", "at=2,1"], "at"),
        (["--data", tasks, *answers, "--suite-arg", "unopened=200"], "unopened"),
    ]:
        assert cli.main([*line, *more]) == 2
        assert words in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="holds no answer to a task"):
        gather(tmp_path / "tasks.jsonl", tmp_path / "tasks.jsonl")
    with pytest.raises(InputError, match="holds no task"):
        gather(tmp_path / "ink.jsonl", tmp_path / "ink.jsonl")
    assert not stage


def test_without_a_browser_there_is_one_message_before_the_run(tmp_path, capsys, monkeypatch):
    def absent(*_):
        raise InputError("no browser: install Chromium")

    monkeypatch.setattr(Browser, "find", absent)
    args = put(tmp_path, [task(1)], [(1, PAGE.format("x"))])
    line = ["eval", "artifactsbench", "--data", str(tmp_path / "tasks.jsonl"), "--engine", "fake:"]
    line += ["--suite-arg", f"answers={args['answers']}", "--out", str(tmp_path / "run")]
    assert cli.main(line) == 2
    assert capsys.readouterr().err.count("no browser") == 1
    assert not (tmp_path / "run" / "records.jsonl").exists()


def test_more_pictures_than_an_engine_can_be_shown_are_refused_before_anything_is_asked(tmp_path):
    engine = Judge()
    card = replace(engine.card, most_together=2)
    engine.card = card
    args = put(tmp_path, [task(1)], [(1, PAGE.format("shade 200"))])
    with pytest.raises(InputError, match="3 pictures, and hf:stand-in can be shown 2 at a time"):
        run(tmp_path, engine, args)
    assert engine.asked == []
    assert run(tmp_path, engine, args | {"at": "0,1"}).samples
