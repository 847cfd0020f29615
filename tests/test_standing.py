"""Which records still stand when a run goes on: by name, by content, by what was answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.files.records import read_records
from safejudge.types import AnswerProbs

RULES = """\
name: one
rules:
  - id: bright
    category: c
    severity: low
    text: Nothing bright.
    objective: The picture is bright.
    condition: the picture is bright
"""


class Sees(FakeEngine):
    """Says yes of what is bright; says nothing while it is `down`."""

    def __init__(self):
        super().__init__(self.say)
        self.down = False

    def say(self, probe):
        if not probe.images:
            return AnswerProbs((0.5, 0.5))
        if self.down:
            return AnswerProbs((0.0, 0.0), problem="the server is busy")
        score = probe.images[0].pixels.mean() / 255
        return AnswerProbs((score, 1 - score))


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    made = Sees()
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda *_, **__: made)
    return made


def shade(name, value):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(name, "PNG")


def judge(*paths, resume=True, out="r.jsonl"):
    more = ["--resume"] if resume else []
    told = ["--constitution", "rules.yaml", "--engine", "fake:", "--out", out, *more]
    return cli.main(["judge", *paths, *told])


def labels(out="r.jsonl"):
    return [(line["image"], line.get("label")) for line in
            map(json.loads, Path(out).read_text().splitlines()[1:])]  # fmt: skip


def looked_at(engine):
    return sum(bool(probe.images) for wave in engine.history for probe in wave)


def test_nothing_is_asked_again_that_stands(engine):
    shade("a.png", 9)
    assert judge("a.png") == 0
    before = looked_at(engine)
    assert judge("a.png") == 0
    assert looked_at(engine) == before
    assert labels() == [("a.png", "safe")]


def test_a_replaced_file_is_judged_anew_and_its_old_record_goes(engine):
    shade("a.png", 9)
    shade("b.png", 8)
    assert judge("a.png", "b.png") == 0
    shade("a.png", 250)
    assert judge("a.png", "b.png") == 1
    assert sorted(labels()) == [("a.png", "unsafe"), ("b.png", "safe")]


@pytest.mark.parametrize("first", [None, b"broken"])
def test_what_failed_is_tried_again(engine, first):
    if first is not None:
        Path("a.png").write_bytes(first)
    assert judge("a.png") == 2  # nothing was judged at all
    shade("a.png", 250)
    assert judge("a.png") == 1
    assert labels() == [("a.png", "unsafe")]


def test_what_an_engine_did_not_answer_is_asked_again(engine):
    shade("a.png", 250)
    engine.down = True
    assert judge("a.png") == 4
    engine.down = False
    assert judge("a.png") == 1
    assert labels() == [("a.png", "unsafe")]


def test_one_file_under_other_spellings_is_one_image(engine, tmp_path):
    shade("a.png", 9)
    for spelling in ("a.png", "./a.png", str(tmp_path / "a.png"), "../" + tmp_path.name + "/a.png"):
        assert judge(spelling) == 0
    assert labels() == [("a.png", "safe")]


def test_another_folder_with_the_same_names_is_refused_and_loses_nothing(
    engine, tmp_path, monkeypatch, capsys
):
    for site, value in (("one", 9), ("two", 250)):
        shade(f"{site}/in/a.png", value)
        Path(site, "rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path / "one")
    assert judge("in", out="../r.jsonl") == 0
    monkeypatch.chdir(tmp_path / "two")
    assert judge("in", out="../r.jsonl") == 2
    assert "holds the record of another in/a.png" in capsys.readouterr().err
    assert labels("../r.jsonl") == [("in/a.png", "safe")]


def test_data_that_moved_is_the_same(engine, tmp_path, monkeypatch):
    shade("one/in/a.png", 9)
    Path("one/rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path / "one")
    assert judge("in", out="r.jsonl") == 0
    (tmp_path / "one").rename(tmp_path / "two")
    monkeypatch.chdir(tmp_path / "two")
    before = looked_at(engine)
    assert judge("in", out="r.jsonl") == 0
    assert looked_at(engine) == before


def test_names_keep_their_meaning_when_a_run_goes_on_elsewhere(engine, tmp_path, monkeypatch):
    shade("one/in/a.png", 9)
    shade("two/in/b.png", 9)
    for site in ("one", "two"):
        Path(site, "rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path / "one")
    assert judge("in", out="../r.jsonl") == 0
    monkeypatch.chdir(tmp_path / "two")
    assert judge("in", out="../r.jsonl") == 0
    assert judge("in", str(tmp_path / "one/in"), out="../r.jsonl") == 0
    before = looked_at(engine)
    monkeypatch.chdir(tmp_path / "one")
    assert judge("in", "../two/in", out="../r.jsonl") == 0
    assert looked_at(engine) == before
    assert len(labels("../r.jsonl")) == 2


def test_other_images_of_the_file_stay_and_do_not_count(engine, capsys):
    shade("a.png", 250)
    shade("b.png", 9)
    assert judge("a.png") == 1
    assert judge("b.png") == 0
    assert "1 record of other images in r.jsonl" in capsys.readouterr().err
    assert set(read_records(Path("r.jsonl"))) == {"a.png", "b.png"}


@pytest.mark.parametrize("change", [{"label": "fine"}, {"label": None}, {"label": ["safe"]}])
def test_a_record_without_a_verdict_counts_for_nothing(engine, change):
    shade("a.png", 10)
    shade("b.png", 20)
    judge("a.png", "b.png", resume=False)
    head, first, second = Path("r.jsonl").read_text().splitlines()
    broken = json.dumps(json.loads(first) | change)
    Path("r.jsonl").write_text(f"{head}\n{broken}\n{second}\n")
    assert judge("a.png", "b.png") == 0
    assert {name: one["label"] for name, one in read_records(Path("r.jsonl")).items()} == {
        "a.png": "safe",
        "b.png": "safe",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"rules": 5},
        {"rules": {"bright": 5}},
        {"usage": {"probes": "x"}},
        {"frames": 5},
        {"image": 5},
    ],
)
def test_a_record_of_another_form_is_named_and_ends_in_no_traceback(engine, change, capsys):
    shade("a.png", 10)
    judge("a.png", resume=False)
    head, first = Path("r.jsonl").read_text().splitlines()
    Path("r.jsonl").write_text("\n".join((head, json.dumps(json.loads(first) | change), "")))
    capsys.readouterr()
    assert judge("a.png") == 2
    assert "error: r.jsonl:2: is no record of safejudge; restore" in capsys.readouterr().err
