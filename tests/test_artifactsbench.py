"""ArtifactsBench from a judge's replies: which score a reply holds, and what generators come to."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.artifactsbench.records import checklist_of, read
from safejudge.evals.artifactsbench.replies import REASONS, read_published, read_score
from safejudge.evals.artifactsbench.score import from_outputs

REPLIES = json.loads(
    (Path(__file__).parent / "data" / "artifactsbench" / "replies.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case["case"])
def test_a_reply_ours_and_as_published(case):
    reading = read_score(case["reply"])
    assert (reading.score, reading.why or None) == (case["ours"], case["why"])
    assert read_published(case["reply"]) == case["published"]


@pytest.mark.parametrize("value", ["1e2", "0x20", "٣", "5.", ".5", "+-3", "nan", "inf", "1_0"])
def test_only_plain_numbers_are_scores(value):
    assert read_score(f'{{"Overall Score": "{value}"}}') == (None, "not a number")


@given(st.text() | st.none() | st.integers())
def test_reading_never_fails_and_stays_on_the_scale(reply):
    score, why = read_score(reply)
    assert (score is None) == (why in REASONS)
    assert score is None or 0 <= score <= 100
    read_published(reply)


# --- a folder -------------------------------------------------------------------------------------


def point(number, **more):
    return {"id": number, "title": f"Is part {number} there?", "maxScore": 10} | more


def task(index, kind="Games-Puzzle", difficulty="easy", **more):
    points = [point(number) for number in range(10)]
    return {"index": index, "question": "Draw a clock.", "checklist": points, "class": kind,
            "difficulty": difficulty} | more  # fmt: skip


def judged(index, score, judge="fir", **more):
    return {"index": index, f"{judge}_reason": f'{{"Overall Score": "{score}"}} It opens.'} | more


def put(folder, name, records):
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{json.dumps(record)}\n" for record in records)
    (folder / name).write_text(lines, encoding="utf-8")


TASKS = [task(1), task(2, difficulty="hard"), task(3, "Data-Chart"), task("4", "Data-Table")]


def test_every_task_counts_once(tmp_path):
    put(tmp_path, "tasks.json", TASKS)  # lines, in spite of the name
    lines = [judged(1, 80), judged(2, "8/10"), judged("3", 40), judged(1, 0), judged(9, 90)]
    put(tmp_path / "outputs", "judge_ink.jsonl", lines)
    found = from_outputs(tmp_path)
    values = {name: (cell["value"], cell["n"]) for name, cell in found.numbers["ink"].items()}
    assert values["all.mean_of_read"] == (60, 2)
    assert values["all.unread_as_0"] == (30, 4)
    assert values["all.unread"] == values["all.missing"] == (0.25, 4)
    # The released reader takes 8 of 8/10, the second answer to 1, and one to no task.
    assert values["published_mean"] == (pytest.approx((80 + 8 + 40 + 0 + 90) / 5), 5)
    assert values["difficulty.easy.mean_of_read"] == (60, 2)
    assert values["difficulty.hard.unread_as_0"] == (0, 1)
    assert values["area.Data.unread_as_0"] == (20, 2)
    said = "\n".join(found.findings)
    for words in ("unknown index", "the first counts", "1 of 3 replies unread: not a number",
                  "1 task without a line: 4"):  # fmt: skip
        assert words in said
    assert found.ranking.judge == "fir"
    assert [row["why"] for row in found.samples] == [None, "not a number", None, "missing"]


def test_a_line_with_its_score_alone_is_read(tmp_path):
    put(tmp_path, "tasks.jsonl", TASKS[:2])
    put(tmp_path, "ink.jsonl", [{"index": 1, "fir_ans": "70"}, {"index": 2, "fir_ans": "70%"}])
    put(tmp_path, "oil.jsonl", [judged(1, 50, "larch")])
    found = from_outputs(tmp_path)
    assert found.numbers["ink"]["all.mean_of_read"]["value"] == 70
    assert found.ranking.judge == "fir, larch"


def test_two_files_of_one_name_are_two_generators(tmp_path):
    put(tmp_path, "tasks.jsonl", TASKS[:1])
    for folder, score in (("a", 10), ("b", 20)):
        put(tmp_path / folder, "judge_ink.jsonl", [judged(1, score)])
    numbers = from_outputs(tmp_path).numbers
    assert {k: v["all.mean_of_read"]["value"] for k, v in numbers.items()} == {
        "a/judge_ink.jsonl": 10, "b/judge_ink.jsonl": 20,
    }  # fmt: skip


def test_a_generator_without_a_read_score_has_no_mean(tmp_path):
    put(tmp_path, "tasks.jsonl", TASKS[:1])
    put(tmp_path, "ink.jsonl", [judged(1, "forty")])
    found = from_outputs(tmp_path)
    assert found.numbers["ink"]["all.mean_of_read"]["value"] is None
    assert found.numbers["ink"]["all.unread_as_0"]["value"] == 0
    assert not found.headline


def test_tasks_that_are_odd_are_told_of(tmp_path):
    rows = [
        *TASKS[:1], task(1, difficulty="hard"), task(""), task(5, checklist="ten"),
        task(6, checklist=[point(1), point(2)]),
        {"index": 7, "question": "?", "checklist": [point(1), point(1)]},
    ]  # fmt: skip
    put(tmp_path, "tasks.jsonl", rows)
    put(tmp_path, "ink.jsonl", [judged(1, 5), {"colour": "red"}])
    found = read(tmp_path)
    assert [*found.tasks] == ["1", "5", "6", "7"]
    assert found.tasks["1"].difficulty == "easy"
    assert (found.tasks["7"].area, found.tasks["7"].difficulty) == ("(none)", "(none)")
    assert [t.checklist is None for t in found.tasks.values()] == [False, True, False, True]
    said = "\n".join(from_outputs(tmp_path).findings)
    for words in ("without an index", "was there before", "2 tasks of 4 with a checklist that",
                  "1 checklist not of ten points"):  # fmt: skip
        assert words in said
    assert any("1 of 2 records are neither" in line for line in found.unread)


@pytest.mark.parametrize("value", [None, [], {}, [1], [point(1, maxScore=0)], [point(1, title="")]])
def test_what_is_no_checklist_is_none(value):
    assert checklist_of(value) is None


def test_a_folder_without_tasks_or_without_answers_is_refused(tmp_path):
    put(tmp_path, "ink.jsonl", [judged(1, 5)])
    with pytest.raises(InputError, match="holds no tasks"):
        from_outputs(tmp_path)
    put(tmp_path, "ink.jsonl", TASKS)
    with pytest.raises(InputError, match="holds no judged answers"):
        from_outputs(tmp_path)


def test_the_command_and_the_comparison_of_its_runs(tmp_path, capsys):
    put(tmp_path / "in", "tasks.jsonl", TASKS)
    runs = []
    for judge, scores in {"fir": (60, 30), "larch": (55, 20)}.items():
        for generator, score in zip(("ink", "oil"), scores, strict=True):
            put(tmp_path / "in", f"{generator}.jsonl", [judged(n, score, judge) for n in (1, 2)])
        runs.append(str(tmp_path / judge))
        line = ["eval", "artifactsbench", "--from-outputs", str(tmp_path / "in")]
        assert cli.main([*line, "--out", runs[-1]]) == 0
    capsys.readouterr()
    assert cli.main(["compare", *runs]) == 0
    shown = capsys.readouterr()
    assert "The judge differs (fir: fir; larch: larch)" in " ".join(shown.err.split())
    assert "1.0000" in shown.out
