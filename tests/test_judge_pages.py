"""Pages are judged by what they show at given times, on the command line and in order."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_series import opened

from safejudge.cli.app import main
from safejudge.engines.fake import FakeEngine

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    reason="there is no Chromium",
)

TURNING = """<!doctype html><html><body style="margin:0;background:#f00"><script>
let n = 0;
setInterval(() => { document.body.style.background = ['#f00', '#0f0', '#00f'][++n]; }, 1000);
</script></body></html>"""
GREEN = (
    "<svg xmlns='http://www.w3.org/2000/svg'><rect width='9999' height='9999' fill='#0f0'/></svg>"
)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "turning.html").write_text(TURNING, encoding="utf-8")
    (tmp_path / "in" / "still.svg").write_text(GREEN, encoding="utf-8")
    Image.fromarray(np.full((6, 8, 3), (255, 0, 0), np.uint8)).save(tmp_path / "in" / "red.png")
    return opened(tmp_path, monkeypatch)


def run(*words):
    return main(["judge", *words, "--constitution", "rules.yaml", "--engine", "fake:"])


def records():
    lines = Path("out.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    return {record["image"]: record for record in map(json.loads, lines)}


def test_a_page_is_judged_over_time_beside_pictures(engine):
    Path("in/leaves.html").write_text("<script>location.reload()</script>", encoding="utf-8")
    assert run("in", "--at", "0.5,1.5,2.5", "--out", "out.jsonl", "--report", "page.html") == 1
    found = records()
    assert found["in/turning.html"]["violations"] == ["red", "story"]
    assert found["in/turning.html"]["frames"] == {"looked_at": 3, "of": 3}
    assert found["in/still.svg"]["label"] == "safe"
    assert found["in/red.png"]["violations"] == ["red"]
    assert found["in/leaves.html"]["error"]["reason"] == "not_rendered"
    told = [probe for wave in engine.history for probe in wave if len(probe.images) == 3]
    assert all("1: after 0.5 s; 2: after 1.5 s; 3: after 2.5 s" in one.question for one in told)
    Path("in/leaves.html").unlink()
    before = len(engine.history)
    run("in", "--at", "0.5,1.5,2.5", "--out", "out.jsonl", "--resume")
    assert not [p for wave in engine.history[before:] for p in wave if p.images]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("<body style='margin:0'><div style='height:9000px'></div>", "clipped: 1280 x 9000"),
        ("<img src='http://127.0.0.1:9/red.png'>", "data: addresses"),
        ("<iframe src='file:///etc/hostname'></iframe>", "data: addresses"),
    ],
)
def test_of_a_page_that_is_not_seen_whole_nothing_is_judged(engine, page, told):
    Path("part.html").write_text(page, encoding="utf-8")
    assert run("part.html", "--at", "0", "--out", "out.jsonl") == 2
    error = records()["part.html"]["error"]
    assert error["reason"] == "not_rendered"
    assert told in error["message"]


def test_an_engine_that_sees_one_picture_judges_each_by_itself(engine, monkeypatch, capsys):
    card = replace(engine.card, most_together=1)
    monkeypatch.setattr(FakeEngine, "card", property(lambda _: card))
    assert run("in/turning.html", "--at", "0.5,1.5", "--out", "out.jsonl") == 1
    assert "each of the 2 pictures of a page is judged by itself" in capsys.readouterr().err
    assert records()["in/turning.html"]["violations"] == ["red"]
    assert run("in", "--at", "0", "--series", "apart") == 2
