"""Live runs of both benchmarks of judged answers: gone on with, limited, changed, refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from answer_judges import Honest, judged, mllm_folder, recorded, rewardbench_folder, told
from PIL import Image

from safejudge.engines.models import Models
from safejudge.errors import EngineCallError, InputError, OutputError
from safejudge.evals.mllm_judge import suite as mllm_judge_suite
from safejudge.evals.rewardbench import suite as rewardbench_suite
from safejudge.evals.variants import Blind
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.scene import Person, Placed, Scene

SUITES = [(mllm_judge_suite, mllm_folder), (rewardbench_suite, rewardbench_folder)]
both = pytest.mark.parametrize(("suite", "folder"), SUITES, ids=["mllm", "rewardbench"])


@both
def test_data_without_any_picture_is_refused_before_anybody_is_asked(tmp_path, suite, folder):
    shutil.rmtree(folder(tmp_path, 2) / ("image" if suite is mllm_judge_suite else "images"))
    engine = Honest()
    with pytest.raises(InputError, match=r"has none of the \d pictures"):
        judged(suite, tmp_path, engine)
    assert engine.asked == []


@both
def test_a_run_goes_on_where_it_was_and_asks_nothing_twice(tmp_path, suite, folder):
    folder(tmp_path)
    plain = Honest()
    suite.judge(told(tmp_path, plain))
    whole = (tmp_path / "out/records.jsonl").read_bytes()
    (tmp_path / "out/records.jsonl").unlink()

    engine = Honest()

    def fails(probe):
        if engine.waves > 1:
            raise EngineCallError("gone")
        return Honest.likely(engine, probe)

    engine.probs = fails
    with pytest.raises(EngineCallError):
        suite.judge(told(tmp_path, engine))
    suite.report(tmp_path / "out")  # what there is can be looked at
    torn = (tmp_path / "out/records.jsonl").read_bytes()
    assert torn.count(b"\n") == 3
    with (tmp_path / "out/records.jsonl").open("ab") as file:
        file.write(b'{"image": "to')
    engine = Honest()
    suite.judge(told(tmp_path, engine, resume=True))
    assert (tmp_path / "out/records.jsonl").read_bytes() == whole
    assert 0 < len(engine.asked) < len(plain.asked)
    assert engine.asked == plain.asked[-len(engine.asked) :]
    engine = Honest()
    suite.judge(told(tmp_path, engine, resume=True))
    assert engine.asked == []


@both
def test_a_run_is_not_gone_on_with_as_another(tmp_path, suite, folder):
    data = folder(tmp_path)
    suite.judge(told(tmp_path, Honest()))
    with pytest.raises(OutputError, match="exists"):
        suite.judge(told(tmp_path, Honest()))
    for changes in (
        {"args": {"readings": "written"}}, {"engine": Honest(uri="hf:another")},
    ):  # fmt: skip
        run = {"engine": Honest(), "resume": True} | changes
        with pytest.raises(OutputError, match="another"):
            suite.judge(told(tmp_path, **run))
    shutil.copytree(data, tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="another"):
        suite.judge(told(tmp_path, Honest(), data="elsewhere", resume=True))
    for path in data.glob("*.json*"):  # other words under the same keys
        path.write_text(path.read_text().replace("ball", "cube"))
    with pytest.raises(OutputError, match="another"):
        suite.judge(told(tmp_path, Honest(), resume=True))


@both
def test_the_report_asks_no_model_and_windows_change_nothing(tmp_path, suite, folder):
    folder(tmp_path)
    engine = Honest()
    suite.judge(told(tmp_path, engine, window=100))
    asked = len(engine.asked)
    whole = (tmp_path / "out/records.jsonl").read_bytes()
    first = suite.report(tmp_path / "out")
    shutil.rmtree(tmp_path / "data")
    assert suite.report(tmp_path / "out") == first
    assert len(engine.asked) == asked
    folder(tmp_path)
    suite.judge(told(tmp_path, Honest(), window=1, overwrite=True))
    assert (tmp_path / "out/records.jsonl").read_bytes() == whole


@both
def test_a_limit_takes_the_first_or_a_drawn_sample_of_each_part(tmp_path, suite, folder):
    folder(tmp_path)
    suite.judge(told(tmp_path, Honest(), limit=2))
    first = [one["image"] for one in recorded(tmp_path)]
    parts = 3 if suite is mllm_judge_suite else 1
    assert len(first) == 2 * parts
    assert {one[-1] for one in first} == {"0", "1"}
    suite.judge(told(tmp_path, Honest(), limit=2, seed=5, overwrite=True))
    drawn = [one["image"] for one in recorded(tmp_path)]
    assert len(drawn) == len(first)
    assert drawn != first
    suite.judge(told(tmp_path, Honest(), limit=2, seed=5, overwrite=True))
    assert [one["image"] for one in recorded(tmp_path)] == drawn
    with pytest.raises(InputError, match="limit=0"):
        suite.judge(told(tmp_path, Honest(), limit=0, overwrite=True))


@both
def test_a_change_of_pictures_reaches_the_judge(tmp_path, suite, folder):
    folder(tmp_path)
    engine, seen = Honest(), []

    def change(picture):
        seen.append(picture)
        return seen[0]

    suite.judge(told(tmp_path, engine, change=change, window=100))
    assert len(seen) == 6  # each picture once, however many questions there are about it
    assert {one.images for one in engine.asked} == {(seen[0],)}


@both
def test_a_judge_that_is_shown_no_picture_is_asked_the_same(tmp_path, suite, folder):
    folder(tmp_path)
    engine = Honest()
    plain = judged(suite, tmp_path, engine)
    blind = judged(suite, tmp_path, Blind(engine), overwrite=True)
    assert blind.predictions == plain.predictions
    half = len(engine.asked) // 2
    bare = [replace(one, images=()) for one in engine.asked[:half]]
    assert {*bare} == {*engine.asked[half:]}


@both
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"args": {"reading": "written"}}, "reading: .* takes readings"),
        ({"args": {"readings": "spoken"}}, "readings.0=spoken"),
        ({"args": {"readings": ()}}, "name written, weighted or voted"),
        ({"data": "nowhere"}, "is no folder"),
        ({"data": "empty"}, "can be judged"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, suite, folder, changes, says):
    folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=says):
        suite.judge(told(tmp_path, Honest(), **changes))
    assert not (tmp_path / "out/records.jsonl").exists()
    with pytest.raises(InputError, match=r"has no records\.jsonl"):
        suite.report(tmp_path / "out")


@both
def test_the_shipped_judge_says_nothing_readable_and_it_is_counted(tmp_path, suite, folder):
    data = folder(tmp_path, 2)
    # One picture of its own world, and a grey one.
    scene = draw(Scene("park", night=False, placed=(Placed(0, 1, Person()),))).pixels
    Image.fromarray(scene).save(min(data.rglob("*.png")))
    models = Models.opened("hf:sketch", None, None, None)
    try:
        scored = judged(suite, tmp_path, models.engine)
    finally:
        models.close()
    assert [one["image"] for one in recorded(tmp_path) if "error" in one] == []
    assert {one.answer for one in scored.predictions} == {None}
    (table,) = [one for one in scored.tables if one.title == "What could not be read"]
    for row in table.rows:
        assert sum(map(int, row[2:])) == int(row[1])
