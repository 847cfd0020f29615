"""What is true stands beside what is said; the scene that `make demo` explains is a right one."""

import json
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import CHOICES, YAML, brightness, read

from safejudge import Judge, load_constitution
from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.evals.labelled.beside import Truths
from safejudge.method.logic import answered
from safejudge.show import reasons, terminal, wording
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes
from safejudge.sketch.world.statements import grammar, normal
from safejudge.types import Outcome

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "safejudge" / "sketch" / "models" / "vlm" / "model.safetensors"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the weights of sketch are not here")
def test_the_scene_that_is_explained_is_judged_rightly_and_for_the_right_reasons():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    number = int(re.search(r"^EXPLAINED := demo/scene-(\d+)\.png$", makefile, re.MULTILINE)[1])
    count, seed = map(int, re.search(r"--count (\d+) --seed (\d+)", makefile).groups())
    assert number < count
    rules = load_constitution("sketch")
    scene, truth = next(islice(mixed_scenes(rules, f"scenes-{seed}"), number, None))
    with Judge.load(rules, "hf:sketch", cache=None) as judge:
        (result,) = judge([draw(scene).pixels])
    assert result.violations == truth.violations != ()
    settled = 0
    for rule in rules.rules:
        verdict = result.rules[rule.id]
        if verdict.outcome != "violated":
            continue
        answers = answered(rule.condition, verdict.preconditions)
        for answer in wording.settling(rule.condition, answers):
            holds = grammar()[normal(answer.statement)].holds(scene) == 1.0
            assert (answer.outcome is Outcome.YES) == holds, answer.statement
            settled += 1
    assert settled >= 2


def test_the_readme_shows_the_same_scene():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = re.search(r"^EXPLAINED := (\S+)$", makefile, re.MULTILINE)[1]
    unsafe = set(re.findall(r"demo/scene-\d+\.png", readme)) - {"demo/scene-0002.png"}  # safe
    assert unsafe == {explained}


# --- what is true ---------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(YAML)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, value in (("a", 0), ("b", 255), ("deep/c", 255), ("d", 0)):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(f"in/{name}.png")
    rows = "image,label,violations\na.png,safe,\n./b.png,,bright\ndeep/c.png,safe,\n"
    (tmp_path / "in" / "labels.csv").write_text(rows)
    fake = FakeEngine(brightness)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
    return tmp_path


def test_labels_beside_pictures_say_what_is_true(place):
    truths = Truths(["bright"])
    assert truths.of("in/a.png") == "safe"
    assert truths.of(str(place / "in/b.png")) == "unsafe (bright)"
    assert truths.of("in/deep/c.png") == "safe"  # of the folder above
    assert truths.of("deep/c.png", str(place / "in")) == "safe"
    assert truths.of("in/d.png") is None
    assert truths.of("elsewhere/a.png") is None
    assert Truths(["other"]).of("in/a.png") is None  # labels of other rules say nothing


@pytest.mark.parametrize("text", ["", "junk", "image,label\na.png,perhaps\n", "\xff"])
def test_labels_that_cannot_be_read_say_nothing(place, text):
    (place / "in/labels.csv").write_text(text, encoding="latin-1")
    assert Truths(["bright"]).of("in/a.png") is None


@pytest.mark.parametrize("size", [0, 2**30])
def test_labels_of_no_sensible_size_are_not_read(place, size, monkeypatch):
    """They came with the pictures: reading a gigabyte of them would take ten of memory."""
    with (place / "in/labels.csv").open("r+b") as file:
        file.truncate(size)  # with holes; it takes no room
    monkeypatch.setattr("pathlib.Path.read_bytes", None)
    assert Truths(["bright"]).of("in/a.png") is None


def test_the_truth_stands_on_the_page_and_in_a_trace(place, capsys):
    assert cli.main(["judge", "in", *CHOICES, "--out", "r.jsonl", "--report", "p.html"]) == 1
    assert cli.main(["report", "r.jsonl", "--out", "q.html"]) == 0
    for page in ("p.html", "q.html"):
        told = {
            a["data-name"]: [(p.text, p["class"]) for p in a.all("span", class_="truth")]
            for a in read(page).all("article")
        }
        assert told == {
            "in/a.png": [("labelled: safe", "truth")],
            "in/b.png": [("labelled: unsafe (bright)", "truth")],
            "in/d.png": [],
            "in/deep/c.png": [("labelled: safe", "truth wrong")],
        }
        coverage = read(page).one("ul", class_="coverage").text
        assert "1 of 3 images with a label judged otherwise than it says" in coverage
    capsys.readouterr()
    assert cli.main(["explain", "in/b.png", *CHOICES]) == 1
    assert "labelled: unsafe (bright)" in capsys.readouterr().out
    assert cli.main(["explain", "in/d.png", *CHOICES]) == 0
    assert "labelled" not in capsys.readouterr().out


def test_the_table_has_a_column_for_it_where_something_is_known(place):
    from test_show import drawn

    assert cli.main(["judge", "in", *CHOICES, "--out", "r.jsonl"]) == 1
    lines = [json.loads(line) for line in (place / "r.jsonl").read_text().splitlines()[1:]]
    assert {line["image"] for line in lines} == {
        "in/a.png", "in/b.png", "in/d.png", "in/deep/c.png"
    }  # fmt: skip
    judge = Judge.load("rules.yaml", FakeEngine(brightness), cache=None)
    names = ["in/a.png", "in/deep/c.png"]
    results = list(zip(names, judge(names), strict=True))
    for width in (90, 120):
        text = drawn(terminal.Rows(names, width, Truths(["bright"]).of).table(results), width)
        head, *rows = [line.split() for line in text.splitlines() if line.strip()]
        assert head[:4] == ["image", "label", "score", "truth"]
        assert [row[1:4:2] for row in rows] == [["safe", "safe"], ["unsafe", "safe"]]
    assert "truth" not in drawn(terminal.Rows(names, 100).table(results), 100)


def test_what_is_said_differs_from_what_is_true(place):
    judge = Judge.load("rules.yaml", FakeEngine(brightness), cache=None)
    safe, unsafe, failed = judge(["in/a.png", "in/b.png", "in/none.png"])
    for result, truth, other in (
        (safe, "safe", False),
        (safe, "unsafe", True),
        (safe, "unsafe (bright)", True),
        (unsafe, "unsafe", False),
        (unsafe, "unsafe (bright)", False),
        (unsafe, "unsafe (bright, dark)", True),
        (failed, "safe", True),
    ):
        assert reasons.differs(result, truth) is other
