"""SugarCrepe live: both captions put to an engine and an encoder, and what cannot be."""

import json
import math

import pytest
from answer_judges import draw, recorded, told

from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.errors import InputError
from safejudge.evals.sugarcrepe.suite import SUITE
from safejudge.prompts import CHOOSE


def entry(name, right, wrong):
    return {"filename": name, "caption": right, "negative_caption": wrong}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    draw(folder / "a.png", 40)
    draw(folder / "b.png", 80)
    put(folder, replace_obj={"0": entry("a.png", "good a", "bad a"),
                             "1": entry("b.png", "good b", "bad b")},
        swap_att={"0": entry("a.png", "good c", "bad c")})  # fmt: skip
    return folder


def put(folder, **files):
    for name, entries in files.items():
        (folder / f"{name}.json").write_text(json.dumps(entries), encoding="utf-8")


def honest(probe):
    """Good captions are likely by themselves; of two the good one, but always A where it says c."""
    if probe.instruction != CHOOSE:
        return 0.9 if "good" in probe.question else 0.2
    if " c" in probe.question:
        return 0.8
    return 0.7 if probe.question.startswith("A: good") else 0.1


def near(request):
    return 0.3 if request.text in {"good a", "bad b"} else 0.3 - 0.1 * ("bad" in request.text)


def judged(tmp_path, script=honest, encoder=near, **changes):
    engine = FakeEngine(script)
    run = told(tmp_path, engine, **changes)
    if encoder is not None:
        run.models.encoder = FakeEncoder(encoder)
    SUITE.judge(run)
    return SUITE.report(tmp_path / "out"), [p for wave in engine.history for p in wave]


def test_three_ways_to_compare(tmp_path, data):
    result, probes = judged(tmp_path)
    match, choice, encoder = (
        {n: v["value"] for n, v in values.items()} for values in result.numbers.values()
    )
    assert [*result.numbers] == ["fake:, match", "fake:, choice", "fake:encoder, encoder"]
    assert (match["all.strict"], match["compositional"]) == (1, 1)
    # Always A is no choice: in both orders together it is a tie.
    assert choice["all.strict"] == pytest.approx(2 / 3)
    assert choice["all.ties"] == pytest.approx(1 / 3)
    assert (encoder["all.strict"], encoder["all.ties"]) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    assert "choice: the same caption in both orders in 2 of 3 pairs." in result.findings
    rows = {row["image"]: row for row in recorded(tmp_path)}
    assert rows["replace_obj/0"]["said"]["choice"] == pytest.approx([0.8, 0.2])
    assert len(probes) == 12
    assert (result.coverage.judged, result.coverage.unjudged) == (3, 0)


def test_without_an_encoder_the_engine_is_asked_alone(tmp_path, data):
    result, _ = judged(tmp_path, encoder=None)
    assert [*result.numbers] == ["fake:, match", "fake:, choice"]
    with pytest.raises(InputError, match="there is no encoder"):
        judged(tmp_path, encoder=None, args={"ways": "encoder"}, overwrite=True)


def test_what_was_not_read_is_no_win_and_is_asked_again(tmp_path, data):
    def silent(probe):
        return math.nan if "good b" in probe.question else honest(probe)

    result, _ = judged(tmp_path, silent, args={"ways": "match"})
    found = result.numbers["fake:, match"]
    assert found["all.unread"]["value"] == pytest.approx(1 / 3)
    assert found["all.strict"]["value"] == pytest.approx(2 / 3)
    result, probes = judged(tmp_path, args={"ways": "match"}, resume=True)
    assert {probe.question for probe in probes} == {"Statement: good b", "Statement: bad b"}
    assert result.numbers["fake:, match"]["all.strict"]["value"] == 1


def test_what_cannot_be_judged_is_told_by_name(tmp_path, data):
    (data / "b.png").write_bytes(b"no picture")
    put(data, add_obj={"0": entry("a.png", "same", " same "), "1": entry("a.png", "x", None),
                       "2": entry("../a.png", "x", "y"), "3": ["a.png"]}, other=[1])  # fmt: skip
    result, _ = judged(tmp_path)
    assert (result.coverage.judged, result.coverage.unjudged) == (2, 1)
    assert set(result.findings) >= {
        "entry whose captions are the same: 1 left out.",
        "entry without a picture and two captions: 2 left out.",
        "entry whose picture lies outside the folder: 1 left out.",
    }
    assert result.unread == ("other.json: holds no entries by number",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": "none"}, "--data DIR"),
        ({"data": "empty"}, "holds no captions"),
        ({"args": {"ways": "guess"}}, "--suite-arg ways"),
        ({"args": {"way": "match"}}, "--suite-arg way"),
    ],
)
def test_what_it_cannot_begin_with_is_refused(tmp_path, data, changes, says):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=says):
        judged(tmp_path, **changes)
