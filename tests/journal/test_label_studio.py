"""Tasks of Label Studio out of the journal, and annotations into it."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from safejudge import InputError
from safejudge.cli.app import main
from safejudge.journal.label_studio import addressed, config_of, read_annotations, take_in
from safejudge.journal.people import Said, decide, decisions, holding
from safejudge.journal.queue import open_counts
from safejudge.journal.rows import Need, Row, rule_digest
from safejudge.journal.store import Journal
from safejudge.types import Box

LATER = "2100-01-01T10:00:00.000000Z"
"""After every decision that a test makes."""


@pytest.fixture
def exported(tmp_path, judge, results):
    """A journal, and the tasks that it was written as."""
    db, out = str(tmp_path / "j.db"), tmp_path / "tasks.json"
    with Journal(db) as journal:
        needs = (Need("cat", "undecided", 1.0),)
        rows = [Row(one, needs=needs if n == 0 else ()) for n, one in enumerate(results)]
        journal.add(judge, rows)
    command = ["journal", "export", db, "--format", "label-studio", "--out", str(out)]
    assert main(command) == 0
    return db, json.loads(out.read_text(encoding="utf-8")), ET.parse(out.with_suffix(".xml"))  # noqa: S314 - our own


def choice(rule, verdict):
    return {
        "from_name": f"rule-{rule}",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [verdict]},
    }


def annotation(*results, who=None, **more):
    who = {"id": 3, "email": "ann@example.com"} if who is None else who
    made = {"id": 1, "completed_by": who, "was_cancelled": False, "updated_at": LATER}
    return made | {"result": list(results)} | more


def labelled(tmp_path, tasks, *annotations, number=0):
    """Write an export in which one task has these annotations."""
    file = tmp_path / "export.json"
    task = {"id": 7, **tasks[number], "annotations": list(annotations)}
    file.write_text(json.dumps([task]), encoding="utf-8")
    return file


# --- out ------------------------------------------------------------------------------------------


def test_a_task_says_what_the_judge_said_and_no_more(exported, results, judge):
    _, tasks, config = exported
    assert len(tasks) == 20  # the image that could not be read is none
    for task, result in zip(tasks, results, strict=False):
        assert task["data"]["id"] == result.id
        digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
        assert task["data"]["rules"] == digests
        (prediction,) = task["predictions"]
        assert prediction["score"] == result.score
        said = {r["from_name"]: r["value"]["choices"] for r in prediction["result"]}
        words = {"violated": ["violates"], "not_violated": ["does_not"]}
        assert said == {
            f"rule-{rule}": words[v.outcome]
            for rule, v in result.rules.items()
            if v.outcome in words
        }
    names = [tag.get("name") for tag in config.iter("Choices")]
    assert names == ["rule-cat", "rule-dog"]


def test_only_what_is_open_can_be_asked_for(exported, tmp_path, capsys, results):
    db, _, _ = exported
    out = tmp_path / "open.json"
    command = ["journal", "export", db, "--format", "label-studio", "--out", str(out), "--open"]
    assert main([*command, "--images", "https://p.example/x y/"]) == 0
    (task,) = json.loads(out.read_text())
    assert task["data"]["image"] == "https://p.example/x y/image%5B0%5D"
    assert "left out: 1 images that could not be judged" in capsys.readouterr().err
    assert main(command) == 2  # it is there already
    with Journal(db) as journal:
        decide(journal, Said(results[0].id, "cat", "d", "violates", "ann"))
    assert main([*command, "--overwrite"]) == 2
    assert "has nothing to write" in capsys.readouterr().err
    assert json.loads(out.read_text()) == [task]
    assert main([*command[:3], "--out", str(tmp_path / "r.jsonl"), "--open"]) == 2


def test_signs_of_a_name_mean_nothing_in_an_address():
    assert addressed("https://p.example/?d=", "a/b c&d#é.png") == (
        "https://p.example/?d=a/b%20c%26d%23%C3%A9.png"
    )


def test_boxes_are_in_percent_of_the_picture(tmp_path, judge):
    """Of a picture that lies there no more nobody knows the size, so its boxes are left out."""
    pixels = np.random.default_rng(0).integers(0, 255, (50, 200, 3), dtype=np.uint8)
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    (result,) = judge([str(path)])
    box = Box(word="tail", confidence=0.75, left=20, top=10, right=120, bottom=35)
    verdict = result.rules["cat"]
    leaf = verdict.preconditions[0].model_copy(update={"boxes": (box, box)})
    rules = result.rules | {"cat": verdict.model_copy(update={"preconditions": (leaf,)})}
    db, out = str(tmp_path / "j.db"), str(tmp_path / "tasks.json")
    with Journal(db) as journal:
        journal.add(judge, [Row(result.model_copy(update={"rules": rules}))])
    command = ["journal", "export", db, "--format", "label-studio", "--out", out, "--overwrite"]

    def drawn():
        assert main(command) == 0
        with open(out, encoding="utf-8") as stream:  # noqa: PTH123
            (task,) = json.load(stream)
        found = task["predictions"][0]["result"]
        return [one for one in found if one["type"] == "rectanglelabels"]

    (rectangle,) = drawn()
    assert rectangle["value"] == {
        "x": 10.0, "y": 20.0, "width": 50.0, "height": 50.0, "rotation": 0,
        "rectanglelabels": ["cat"],
    }  # fmt: skip
    assert (rectangle["original_width"], rectangle["original_height"]) == (200, 50)
    path.unlink()
    assert drawn() == []


# --- in -------------------------------------------------------------------------------------------


def test_annotations_come_in_as_decisions_of_those_who_made_them(
    exported, tmp_path, capsys, results, judge
):
    db, tasks, _ = exported
    box = {"type": "rectanglelabels", "from_name": "regions", "to_name": "image", "value": {}}
    file = labelled(
        tmp_path,
        tasks,
        annotation(choice("cat", "violates"), box),
        annotation(choice("cat", "violates"), choice("dog", "cannot_tell"), who=12, id=2),
        annotation(choice("dog", "violates"), was_cancelled=True, id=3),
        annotation(box, id=4),
    )
    command = ["journal", "import", db, str(file), "--label-studio", "--reviewers", "2"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "3 decisions in" in told.out
    assert "left out: 1 annotations that were skipped or cancelled" in told.err
    assert "left out: 1 annotations that answer no rule" in told.err
    digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
    with Journal(db) as journal:
        held = holding(journal, [results[0].id], digests, reviewers=2)
        assert held[results[0].id]["cat"].reviewers == ("ann@example.com", "user 12")
        assert open_counts(journal)["undecided"] == 0
        before = decisions(journal, standing=False)
    assert main(command) == 0
    assert "0 decisions in" in capsys.readouterr().out
    with Journal(db) as journal:
        assert decisions(journal, standing=False) == before


def test_the_latest_word_of_a_person_counts_wherever_it_was_said(exported, tmp_path, results):
    db, tasks, _ = exported
    early = "2001-01-01T10:00:00Z"
    with Journal(db) as journal:
        digest = tasks[0]["data"]["rules"]["cat"]
        decide(journal, Said(results[0].id, "cat", digest, "does_not", "ann@example.com"))
        old = labelled(tmp_path, tasks, annotation(choice("cat", "violates"), updated_at=early))
        found = read_annotations(old)
        assert take_in(journal, found) == 0
        assert "said something else since" in found.notes()[0]
        new = labelled(
            tmp_path,
            tasks,
            annotation(choice("cat", "cannot_tell"), id=2, updated_at="2100-01-02T00:00:00Z"),
            annotation(choice("cat", "violates"), id=1),
        )
        assert take_in(journal, read_annotations(new)) == 2
        assert [one.verdict for one in decisions(journal)] == ["cannot_tell"]


def test_an_answer_about_another_wording_holds_nothing(exported, tmp_path, results, judge):
    db, tasks, _ = exported
    tasks[0]["data"]["rules"]["cat"] = "0123456789abcdef"
    file = labelled(tmp_path, tasks, annotation(choice("cat", "violates")))
    with Journal(db) as journal:
        assert take_in(journal, read_annotations(file)) == 1
        digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
        assert holding(journal, [results[0].id], digests) == {}


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (annotation(choice("cat", "maybe")), "task 7: has the choice .*maybe.* of cat"),
        (annotation(choice("bird", "violates")), "task 7: has a choice of `rule-bird`"),
        (annotation({**choice("cat", "x"), "value": {"choices": []}}), "task 7"),
        (annotation(choice("cat", "violates"), choice("cat", "does_not")), "one rule twice"),
        (annotation({"type": "textarea"}), "neither a choice nor a box"),
        (annotation(choice("cat", "violates"), who=""), "of nobody"),
        (annotation(choice("cat", "violates"), who=True), "of nobody"),
        (annotation(choice("cat", "violates"), who="x" * 65), "task 7: is refused"),
        (annotation(choice("cat", "violates"), updated_at="soon"), "without a time"),
        ({"id": 1}, "without a list `result`"),
        (3, "without a list `result`"),
    ],
)
def test_what_cannot_be_meant_so_is_refused_whole_with_its_task(exported, tmp_path, made, told):
    db, tasks, _ = exported
    file = labelled(tmp_path, tasks, annotation(choice("dog", "violates"), id=9), made)
    with pytest.raises(InputError, match=told):
        read_annotations(file)
    assert main(["journal", "import", db, str(file), "--label-studio"]) == 2
    with Journal(db) as journal:
        assert decisions(journal) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "no list of tasks"),
        ("[1]", "no list of tasks"),
        ("[" * 100_000, "is no JSON"),
        ('[{"id": 1, "id": 2}]', "stands twice"),
        ('[{"id": 5, "image": "a.png", "rule-cat": "violates"}]', "task 5: has no `id` and"),
        (json.dumps([{"data": {"id": "a" * 64, "rules": {"cat": "d"}}}]), "no list `annotations`"),
        (json.dumps([{"data": {"id": "a" * 64, "rules": {"cat": 5}}}]), "has no `id` and"),
    ],
)
def test_other_files_are_refused(tmp_path, text, told):
    file = tmp_path / "export.json"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        read_annotations(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path / "missing.json")


def test_tasks_of_another_journal_are_refused(exported, tmp_path):
    _, tasks, _ = exported
    file = labelled(tmp_path, tasks, annotation(choice("cat", "violates")))
    with (
        Journal(str(tmp_path / "other.db")) as other,
        pytest.raises(InputError, match="none of the 1 answer"),
    ):
        take_in(other, read_annotations(file))


# --- beside the real one --------------------------------------------------------------------------


def test_label_studio_takes_the_config_and_the_tasks_and_writes_what_is_taken_in(
    exported, tmp_path, results
):
    """Its own checks of a config and of predictions, and its own converter's JSON."""
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="no label-studio-sdk")
    from label_studio_sdk.converter import Converter

    db, tasks, config = exported
    text = ET.tostring(config.getroot(), encoding="unicode")
    interface = sdk.LabelInterface(text)
    interface.validate()
    for task in tasks:
        loaded = interface.load_task(task["data"])
        assert loaded.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
    own = {**choice("cat", "violates"), "id": "r1"}
    made = annotation(own, who=5, created_at=LATER)
    assert interface.validate_annotation(made)
    assert not interface.validate_annotation(annotation({**own, "value": {"choices": ["maybe"]}}))
    file = labelled(tmp_path, tasks, made)
    out = tmp_path / "converted"
    Converter(config=text, project_dir=str(tmp_path)).convert_to_json(
        str(file), str(out), is_dir=False
    )
    with Journal(db) as journal:
        assert take_in(journal, read_annotations(out / "result.json")) == 1
        (said,) = decisions(journal)
        assert (said.image_id, said.rule, said.reviewer) == (results[0].id, "cat", "user 5")


def test_a_box_is_one_to_label_studio(rules_of):
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="no label-studio-sdk")
    from safejudge.journal.label_studio import _rectangle

    interface = sdk.LabelInterface(config_of(rules_of("cat", "dog")))
    box = {"confidence": 0.5, "left": 1, "top": 2, "right": 9, "bottom": 8}
    prediction = {"result": [_rectangle("cat", 0, box, (10, 10))], "score": 0.5}
    assert interface.validate_prediction(prediction, return_errors=True) == []
    prediction["result"][0]["value"]["rectanglelabels"] = ["bird"]
    assert interface.validate_prediction(prediction, return_errors=True) != []
