"""Traces as steps that people mark, and what their marks come to."""

import json
from xml.etree import ElementTree as ET

import pytest

from safejudge.cli.app import main
from safejudge.errors import InputError
from safejudge.evals.traces.records import KINDS, Mark, mark_of
from safejudge.evals.traces.score import from_outputs
from safejudge.journal.rows import Need, Row
from safejudge.journal.store import Journal
from safejudge.journal.trace_tasks import config


@pytest.fixture
def db(tmp_path, judge, results):
    path = str(tmp_path / "j.db")
    with Journal(path) as journal:
        needs = (Need("cat", "undecided", 1.0),)
        journal.add(judge, [Row(r, needs=needs if n == 0 else ()) for n, r in enumerate(results)])
    return path


def export(db, out, *more):
    assert main(["journal", "export", db, "--format", "steps", "--out", str(out), *more]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def part(name, *choices):
    kind, field = ("textarea", "text") if name == "why" else ("choices", "choices")
    return {"from_name": name, "to_name": "step", "type": kind, "value": {field: [*choices]}}


def said(mark, kind=None, why=None, who="ann@example.com", at="2026-11-30T10:00:00Z", **more):
    results = [part("mark", mark)]
    results += [] if kind is None else [part("kind", kind)]
    results += [] if why is None else [part("why", why)]
    return {"id": 1, "completed_by": {"id": 3, "email": who}, "updated_at": at,
            "result": results} | more  # fmt: skip


def test_every_step_of_a_trace_is_a_task(db, tmp_path, results, judge):
    tasks = export(db, tmp_path / "tasks.json")
    for result in results[:-1]:  # the last could not be judged
        for rule, verdict in result.rules.items():
            mine = [t["data"] for t in tasks
                    if (t["data"]["id"], t["data"]["rule"]) == (result.id, rule)]  # fmt: skip
            *steps, last = mine
            assert [d["place"] for d in mine] == [*range(1, len(mine) + 1)]
            assert [(d["stage"], d["said"], d["score"]) for d in steps] == [
                (leaf.test, leaf.outcome, leaf.score) for leaf in verdict.preconditions
            ]
            assert all(f"a {rule} is visible" in d["step"] for d in steps)
            assert (last["stage"], last["said"]) == ("condition", verdict.outcome)
            assert f"No {rule}." in last["about"]
            shown = " ".join(d["step"] + d["about"] for d in mine)
            assert not any(d["stage"] in shown for d in steps)  # nobody is swayed by the test
    assert ET.parse(tmp_path / "tasks.xml").getroot().tag == "View"  # noqa: S314 - our own


def test_only_open_images_and_an_address(db, tmp_path, results):
    tasks = export(db, tmp_path / "t.json", "--open", "--images", "https://example.com/")
    assert {task["data"]["id"] for task in tasks} == {results[0].id}
    assert tasks[0]["data"]["image"].startswith("https://example.com/")


@pytest.fixture
def marked(db, tmp_path):
    """Two traces with marks: one right, one whose first step is wrong."""
    tasks = export(db, tmp_path / "tasks.json")
    folder = tmp_path / "marked"
    folder.mkdir()
    first, second = dict.fromkeys((t["data"]["id"], t["data"]["rule"]) for t in tasks[:4])
    chosen = [t for t in tasks if (t["data"]["id"], t["data"]["rule"]) in (first, second)]

    def write(*annotations):
        rows = [
            {"id": n, **task, "annotations": list(made)}
            for n, (task, made) in enumerate(zip(chosen, annotations, strict=True))
        ]
        (folder / "export.json").write_text(json.dumps(rows), encoding="utf-8")
        return folder

    write.tasks = chosen
    return write


def test_which_stage_goes_wrong(marked):
    n = len(marked.tasks)
    assert n == 4  # two rules, a statement each
    wrong = said("wrong", "misread", "It is a dog.")
    result = from_outputs(marked([said("right")], [said("right")], [wrong], [said("right")]))
    (figures,) = result.numbers.values()
    stage = marked.tasks[2]["data"]["stage"]
    assert figures["steps_right"]["value"] == 3 / 4
    assert figures["traces_right"]["value"] == 1 / 2
    assert figures["first_wrong_step"]["value"] == 1
    assert figures["kind.misread"]["value"] == 1
    assert figures[f"stage.{stage}.misread"]["value"] > 0
    assert figures["stage.condition"]["value"] == 1
    assert f"{stage}: 1 step misread ({KINDS['misread']})." in result.findings
    rows = [row for row in result.samples if row["right"] is False]
    assert [(row["kind"], row["why"]) for row in rows] == [("misread", "It is a dog.")]
    assert [p.right for p in result.predictions] == [True, True, False, True]


def test_reviewers(marked):
    bob = {"who": "bob@example.com"}
    result = from_outputs(
        marked(
            [said("right"), said("right", **bob)],
            [said("right"), said("wrong", "condition", **bob)],
            [said("wrong", "misread"), said("wrong", "not seen", **bob)],
            [said("cannot tell"), said("cannot tell", **bob)],
        )
    )
    (figures,) = result.numbers.values()
    assert (figures["steps_right"]["value"], figures["steps_right"]["n"]) == (1 / 2, 2)
    for told in (
        "1 step left out, since reviewers disagree.",
        "1 step of which nobody can tell.",
        "1 wrong step without a kind, or with two.",
    ):
        assert told in result.findings
    (row,) = next(table for table in result.tables if table.title == "Reviewers").rows
    assert row[:2] == ("ann@example.com, bob@example.com", "4")
    assert row[2].startswith("0.750")
    assert row[3].startswith("0.000")


def test_what_says_nothing_is_counted(marked):
    result = from_outputs(
        marked(
            [said("right", at="2026-11-30T11:00:00Z"), said("wrong", at="2026-11-30T10:00:00Z")],
            [said("right", was_cancelled=True)],
            [said("maybe"), said("wrong", "odd"), said("right", completed_by=None)],
            [],
        )
    )
    (figures,) = result.numbers.values()
    assert (figures["steps_right"]["value"], figures["steps_right"]["n"]) == (1, 1)  # the latest
    text = "\n".join(result.findings)
    for told in (
        "1 time annotation that was skipped or cancelled",
        "1 time annotation without one of right, wrong and cannot tell",
        "1 time annotation with a kind that is unknown, or with two",
        "1 time annotation of nobody",
        "1 time task without an annotation",
    ):
        assert told in text


def test_a_kind_of_a_right_step_is_none():
    assert mark_of(said("right", "misread")["result"]) == Mark(True, None, "")
    assert isinstance(mark_of([part("mark", "right", "wrong")]), str)
    assert isinstance(mark_of("right"), str)
    assert isinstance(mark_of([{"from_name": "mark", "value": "right"}]), str)


@pytest.mark.parametrize("kind", [["misread"], {"a": 1}, None, 5, "odd"])
def test_a_kind_that_is_no_word_of_ours_says_nothing(kind):
    assert mark_of([part("mark", "wrong"), part("kind", kind)]) == (
        "annotation with a kind that is unknown, or with two"
    )


def test_one_reviewer_is_compared_with_nobody(marked):
    result = from_outputs(marked([said("right")], [], [], []))
    assert "Reviewers" not in [table.title for table in result.tables]


def test_other_files_are_told(marked, tmp_path):
    folder = marked([said("right")], [], [], [])
    (folder / "other.json").write_text(json.dumps([{"data": {"id": "x"}}, {"a": 1}]))
    result = from_outputs(folder)
    assert "other.json: 2 of 2 records are no steps of a trace" in result.unread
    (folder / "export.json").unlink()
    with pytest.raises(InputError, match="holds no marked steps"):
        from_outputs(folder)


def test_from_the_command_line(marked, tmp_path, capsys):
    folder = marked([said("right")], [said("right")], [said("wrong", "unread")], [said("right")])
    line = ["eval", "traces", "--from-outputs", str(folder), "--out", str(tmp_path / "run")]
    assert main(line) == 0
    assert "steps of traces that people hold right: 0.750" in capsys.readouterr().out


def test_label_studio_takes_config_tasks_and_marks(marked):
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="no label-studio-sdk")
    interface = sdk.LabelInterface(config())
    interface.validate()
    for task in marked.tasks:
        assert interface.load_task(task["data"]).validate_task({"data": task["data"]})
    assert interface.validate_annotation(
        said("wrong", "misread", "no") | {"completed_by": 3, "created_at": "2026-11-30T10:00:00Z"}
    )
