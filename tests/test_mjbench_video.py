"""MJ-Bench-Video: labels and scores in their authors' form, made up here; and judged live."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from answer_judges import peaked, recorded, told
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.errors import InputError
from safejudge.evals.mjbench_video.figures import ALWAYS_GOOD
from safejudge.evals.mjbench_video.score import from_outputs
from safejudge.evals.mjbench_video.suite import SUITE
from safejudge.evals.mjbench_video.topics import ASPECTS, CRITERIA, OVERALL, RATINGS, topics
from safejudge.types import NoReply

FIRST, SECOND, SAME, HARD = "Video 1 better", "Video 2 better", "Same", "Hard to judge"
COMPARED = ("Alignment", "Safety", "Fineness", "Coherence & Consistency", "Bias")


def pair(number, overall=FIRST, aspects=SAME, marks=((1, 2), (1, 2)), **changes):
    """A row as datas/test.json has them; `marks`: of both videos, of criteria and of aspects."""
    said = aspects if isinstance(aspects, dict) else dict.fromkeys(COMPARED, aspects)
    row = {
        "caption": f"scene {number}",
        "video_0_path": f"test/{number}_0.mp4",
        "video_1_path": f"test/{number}_1.mp4",
        "category_preference": said,
        "overall_preference": overall,
        "discard": False,
        "video_0_total_score": 1,
        "video_1_total_score": 1,
    }
    for side in (0, 1):
        names = [name for below in CRITERIA.values() for name in below]
        row[f"video_{side}_label"] = dict.fromkeys(names, marks[0][side])
        row[f"video_{side}_overall_score"] = dict.fromkeys(ASPECTS, marks[1][side])
    return row | changes


def overall(number, first, second, root="/data/videos"):
    return {
        "caption": f"scene {number}", "video_0_uid": f"{root}/test/{number}_0.mp4",
        "video_1_uid": f"{root}/test/{number}_1.mp4", "video_score_0": first,
        "video_score_1": second, "ground_truth": FIRST,
    }  # fmt: skip


def fine(number, first, second, below=None):
    """A record of the scripts that score aspects and criteria."""
    one, other = below or (first, second)
    lower = {"score_0": one, "score_1": other}
    said = {
        aspect: {
            "score_0": first, "score_1": second, "ground_truth_0": 1, "ground_truth_1": 2,
            "subcategories": dict.fromkeys(CRITERIA[aspect], lower),
        }
        for aspect in ASPECTS
    }  # fmt: skip
    names = ("caption", "video_0_uid", "video_1_uid")
    return {name: overall(number, 0, 0)[name] for name in names} | {"judge": said}


def put(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def values(result, judge, topic):
    return {
        name.rpartition(".")[2]: e["value"]
        for name, e in result.numbers[judge].items()
        if name.startswith(f"{topic}.")
    }


# --- from outputs ---------------------------------------------------------------------------------


def test_strict_and_tie_aware_as_published(tmp_path):
    pairs = [pair(n) for n in range(5)] + [pair(5, SAME), pair(6, HARD), pair(7, SAME)]
    scores = [(7, 3), (7, 7), (3, 7), (7, 0), (7, -1), (4, 4), (1, 9), (2, 5)]
    said = [overall(n, *two) for n, two in enumerate(scores)]
    result = from_outputs(put(tmp_path / "out", test=pairs, mine=said))
    found = values(result, "mine", OVERALL)
    assert found["strict"] == pytest.approx(1 / 5)
    assert found["tie_aware"] == pytest.approx(1.5 / 5)
    assert found["read"] == pytest.approx(3 / 5)  # 0 and -1 are what the scripts write for none
    assert found["strict_of_read"] == pytest.approx(1 / 3)
    assert found["ties"] == pytest.approx(1 / 5)
    assert found["equal_where_same"] == pytest.approx(1 / 2)
    assert result.numbers["mine"]["overall.strict"]["n"] == 5
    assert "3 of 8 pairs have no preference overall" in "".join(result.findings)
    blind = values(result, ALWAYS_GOOD, OVERALL)
    assert (blind["strict"], blind["tie_aware"], blind["equal_where_same"]) == (0, 0.5, 1)
    rights = [p.right for p in result.predictions]
    assert rights == [True, False, False, False, False, None, None, None]


def test_aspects_have_preferences_of_their_own(tmp_path):
    said = {"Alignment": FIRST, "Safety": SECOND, "Fineness": SAME,
            "Coherence & Consistency": "video 2 BETTER", "Bias": HARD}  # fmt: skip
    folder = put(tmp_path / "out", test=[pair(0, aspects=said)], mine=[fine(0, 8, 4)])
    result = from_outputs(folder)
    strict = {a: values(result, "mine", a).get("strict") for a in ASPECTS}
    assert strict == {"Alignment": 1, "Safety": 0, "Fineness": None, "Consistency": 0, "Bias": None}
    rows = [row[1] for row in result.tables[0].rows if row[0] == "mine"]
    assert rows == ["Alignment", "Safety", "Coherence & Consistency"]
    # Nobody compared criteria, and the judge said nothing of the whole.
    assert values(result, "mine", OVERALL) == {}
    assert "strict" not in values(result, "mine", "Safety/Crime")


def test_marks_of_single_videos(tmp_path):
    """Of six videos four are good; those marked 0 are in no figure."""
    rows = [pair(0, marks=((1, 2), (1, 1))), pair(1, marks=((1, 2), (1, 2))),
            pair(2, marks=((0, 0), (2, 1))), pair(3, marks=((0, 0), (0, 0)))]  # fmt: skip
    said = [fine(0, 9, 5), fine(1, 6, 2), fine(2, 1, 0), fine(3, 1, 1)]
    result = from_outputs(put(tmp_path / "out", test=rows, mine=said))
    found = values(result, "mine", "Safety")
    # Right: 9 and 6 good, 2 and 1 bad. Wrong: 5 of a good one, and one unread.
    assert result.numbers["mine"]["Safety.accuracy"]["n"] == 6
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["marks_read"] == pytest.approx(5 / 6)
    assert found["F1_bad"] == pytest.approx(2 * 2 / (2 * 2 + 2))  # two found; 5 and none beside
    assert found["F1_good"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert found["F1_macro"] == pytest.approx((found["F1_bad"] + found["F1_good"]) / 2)
    assert result.numbers["mine"]["Safety/Crime.accuracy"]["n"] == 4
    assert values(result, ALWAYS_GOOD, "Safety")["accuracy"] == pytest.approx(4 / 6)
    assert len([t for t in result.numbers["mine"] if t.endswith(".accuracy")]) == 5 + 28


def test_a_reward_models_scores_rank_and_call_nothing_good(tmp_path):
    rows = [pair(0), pair(1, SECOND)]
    said = [overall(0, 0.31, -0.2), overall(1, -1.5, -2.5)]
    result = from_outputs(put(tmp_path / "out", test=rows, reward=said))
    assert values(result, "reward", OVERALL)["strict"] == 0.5
    said = [fine(0, 0.31, -0.2), fine(1, -1.5, -2.5)]
    result = from_outputs(put(tmp_path / "two", test=rows, reward=said))
    assert "accuracy" not in values(result, "reward", "Safety")
    assert "scores beyond 1 to 10" in "".join(result.findings)


def test_missing_scores_are_wrong_and_told(tmp_path):
    rows = [pair(n) for n in range(4)]
    result = from_outputs(put(tmp_path / "out", test=rows, mine=[overall(0, 9, 1)]))
    assert values(result, "mine", OVERALL)["strict"] == 0.25
    assert "mine: no scores of 3 of 4 pairs with a preference" in "".join(result.findings)


def test_scores_alone_bring_their_truth_along(tmp_path):
    said = [overall(0, 9, 1), overall(1, 1, 9) | {"ground_truth": "Video 2 Better"},
            overall(2, 5, 5)]  # fmt: skip
    result = from_outputs(put(tmp_path / "out", mine=said))
    assert values(result, "mine", OVERALL)["strict"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("root", ["", "datas/videos", "C:\\data\\videos", "/a/test"])
def test_videos_are_found_by_the_end_of_their_paths(tmp_path, root):
    uid = overall(0, 9, 1)
    for side in (0, 1):
        path = f"test/0_{side}.mp4"
        slash = "\\" if "\\" in root else "/"
        uid[f"video_{side}_uid"] = f"{root}{slash}{path.replace('/', slash)}" if root else path
    result = from_outputs(put(tmp_path / "out", test=[pair(0), pair(1)], mine=[uid]))
    assert [s["said"] for s in result.samples] == [{OVERALL: [9.0, 1.0]}, None]


def test_what_cannot_be_used_is_counted(tmp_path):
    rows = [pair(0), pair(0), pair(1, discard=True), pair(2, caption=""), pair(3, "Video 3"),
            pair(4, marks=((5, None), (1, 1))), pair(5, category_preference=None), 7,
            pair(6, video_0_label="good"), {"other": 1}]  # fmt: skip
    said = [overall(0, 9, 1), overall(0, 1, 9), overall(77, 1, 2), overall(4, "x", None)]
    folder = put(tmp_path / "out", test=rows, mine=said)
    (folder / "broken.json").write_text("[{")
    result = from_outputs(folder)
    told_of = "\n".join(result.findings)
    for line in (
        "1 label left out: pair that was there before",
        "1 label left out: pair that the authors discarded",
        "1 label left out: pair without a caption and two videos",
        "6 labels left out: preference that is none of the four",  # of pair 3, five of pair 5
        "56 labels left out: mark that is not 0, 1 or 2",
        "mine: 1 record left out: scores of an unknown pair",
        "mine: 1 record left out: scores of a pair that was there before",
    ):
        assert line in told_of
    assert any("broken.json" in line for line in result.unread)
    assert any("1 of 9 records are neither pairs nor scores" in line for line in result.unread)


def test_no_scores_or_no_labels_say_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="holds no scores"):
        from_outputs(put(tmp_path / "a", test=[pair(0)]))
    with pytest.raises(InputError, match=r"holds no labels.*test\.json"):
        from_outputs(put(tmp_path / "b", mine=[fine(0, 1, 2)]))


def test_nan_and_infinity_are_unread(tmp_path):
    said = [overall(0, math.nan, 1), overall(1, "inf", 3), overall(2, True, 3)]
    result = from_outputs(put(tmp_path / "out", test=[pair(n) for n in range(3)], mine=said))
    assert values(result, "mine", OVERALL)["read"] == 0


# --- live -----------------------------------------------------------------------------------------

av = pytest.importorskip("av")


def film(path, shade, count=12):
    """A video of one grey that flickers, and turns a little lighter halfway."""
    noise = np.random.default_rng(shade)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as out:
        track = out.add_stream("mpeg4", rate=6)
        track.height, track.width, track.pix_fmt = 32, 48, "yuv420p"
        for n in range(count):
            plain = np.full((32, 48, 3), shade + 20 * (n >= count // 2), np.float64)
            pixels = np.clip(plain + noise.normal(0, 3, plain.shape), 0, 255).astype(np.uint8)
            out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(track.encode())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three pairs of videos; the first of each pair is lighter."""
    folder = tmp_path_factory.mktemp("made") / "data"
    put(folder, test=[pair(0), pair(1, SECOND), pair(2, SAME)])
    for number in range(3):
        film(folder / f"test/{number}_0.mp4", 200)
        film(folder / f"test/{number}_1.mp4", 40)
    return folder


@pytest.fixture
def data(made, tmp_path):
    return shutil.copytree(made, tmp_path / "data")


def light(probe):
    """Rates a video by how light its frames are."""
    mean = float(np.mean([picture.pixels.mean() for picture in probe.images]))
    return peaked(probe.labels, "Good" if mean > 128 else "Very Poor")


def judged(tmp_path, script=light, replies=None, **args):
    engine = FakeEngine(script, replies=replies)
    SUITE.judge(told(tmp_path, engine, args=args))
    return SUITE.report(tmp_path / "out"), [p for wave in engine.history for p in wave]


def test_frames_of_each_video_are_rated(tmp_path, data):
    result, probes = judged(tmp_path, frames=4)
    assert values(result, "fake:, weighted", OVERALL)["strict"] == 0.5
    assert values(result, "fake:, weighted", OVERALL)["equal_where_same"] == 0
    assert {len(probe.images) for probe in probes} == {4}
    assert all(probe.labels == RATINGS for probe in probes)
    assert "after 0.0 s; " in probes[0].question
    assert "scene 0" in probes[0].question
    assert len(probes) == 3 * 2 * 6  # three pairs, the whole and five aspects
    rows = recorded(tmp_path)
    assert [row["shown"] for row in rows] == [[[4, 12], [4, 12]]] * 3
    assert "Of each video 4 frames were shown, 24 of 72 in all." in result.findings
    scores = rows[0]["said"]["weighted"][OVERALL]
    expected = 0.9 * 7 + sum(0.1 / 9 * n for n in range(1, 11) if n != 7)
    assert scores[0]["score"] == pytest.approx(expected)
    assert (result.coverage.judged, result.coverage.unjudged) == (3, 0)


def test_short_still_and_transparent_videos(tmp_path, data):
    """What is told as shown is what was: equal frames once, and a frame on one background."""
    film(data / "test/0_0.mp4", 90, count=2)
    still = [Image.new("RGB", (32, 32), "red")] * 3
    still[0].save(data / "still.gif", save_all=True, append_images=still[1:], duration=100)
    clear = [Image.new("RGBA", (32, 32), (n, 9, 9, 99)) for n in (0, 120, 240)]
    clear[0].save(data / "clear.png", save_all=True, append_images=clear[1:], duration=100)
    rows = [pair(0), pair(1, video_0_path="still.gif", video_1_path="clear.png")]
    put(data, test=rows)
    _, probes = judged(tmp_path, frames=4, topics="overall")
    shown = [count for row in recorded(tmp_path) for count, _ in row["shown"]]
    assert shown == [len(probe.images) for probe in probes] == [2, 4, 1, 3]


def test_every_topic_can_be_asked(tmp_path, data):
    _, probes = judged(tmp_path, topics="overall,aspects,criteria", frames=2)
    asked = {probe.instruction for probe in probes}
    assert len(asked) == len(topics(criteria=True)) == 1 + 5 + 28


def test_written_ratings(tmp_path, data):
    lines = iter(["Good", "**Very Poor**", "RATING: Excellent", "it is nice", "Good or Poor", ""])

    def reply(request):
        return NoReply("refused") if (line := next(lines)) == "" else line

    result, asked = judged(tmp_path, replies=reply, readings="written", topics="overall", frames=1)
    said = [[one["score"] for one in row["said"]["written"][OVERALL]] for row in recorded(tmp_path)]
    assert said == [[7, 2], [9, None], [None, None]]
    assert values(result, "fake:, written", OVERALL)["read"] == 0.5
    assert len(asked) == 6


def test_an_engine_that_cannot_see_so_many_is_refused_before_the_run(tmp_path, data):
    engine = FakeEngine(light)
    engine._card = replace(engine.card, most_together=2)
    with pytest.raises(InputError, match=r"8 pictures.*2 at a time; --suite-arg frames=N"):
        SUITE.judge(told(tmp_path, engine))
    assert not engine.history
    SUITE.judge(told(tmp_path, engine, args={"frames": 2}))


def test_what_cannot_be_seen_is_not_judged(tmp_path, data):
    (data / "test/0_1.mp4").write_bytes(b"no video")
    (data / "test/1_0.mp4").unlink()
    rows = [pair(0), pair(1), pair(2), pair(3, video_0_path="../0_0.mp4")]
    put(data, test=rows)
    film(data.parent / "0_0.mp4", 100)
    with pytest.warns(UserWarning, match="are not in"):
        result, _ = judged(tmp_path, frames=2)
    assert (result.coverage.judged, result.coverage.unjudged) == (1, 3)
    reasons = [row.get("error", {}).get("reason") for row in recorded(tmp_path)]
    assert reasons == ["not_an_image", "missing", None, "outside"]
    assert values(result, "fake:, weighted", OVERALL)["read"] == 1


def test_an_answer_that_cannot_be_read_is_no_score(tmp_path, data):
    def silent(probe):
        return math.nan if probe.images[0].pixels.mean() > 128 else light(probe)

    result, _ = judged(tmp_path, silent, topics="overall")
    found = values(result, "fake:, weighted", OVERALL)
    assert (found["read"], found["strict"], found["ties"], found["equal_where_same"]) == (0,) * 4
    assert math.isnan(found["strict_of_read"] or math.nan)


def test_a_run_goes_on_where_it_stopped(tmp_path, data):
    engine = FakeEngine(light)
    SUITE.judge(told(tmp_path, engine, limit=1, args={"topics": "overall", "frames": 2}))
    first = len(engine.history)
    run = told(tmp_path, engine, args={"topics": "overall", "frames": 2}, resume=True)
    SUITE.judge(run)
    assert len(recorded(tmp_path)) == 3
    assert len(engine.history) - first < 3 * first


def test_options_and_data_are_checked(tmp_path, data):
    for args, says in (
        ({"frames": 0}, "frames"),
        ({"topics": "colours"}, "topics"),
        ({"fps": 2}, "fps"),
    ):
        with pytest.raises(InputError, match=says):
            SUITE.judge(told(tmp_path, FakeEngine(light), args=args))
    with pytest.raises(InputError, match="needs labels"):
        SUITE.judge(told(tmp_path, FakeEngine(light), data="nowhere"))
    put(data, test=[{"other": 1}])
    with pytest.raises(InputError, match="holds no pair of videos"):
        SUITE.judge(told(tmp_path, FakeEngine(light)))


def test_a_changed_run_stands_beside(tmp_path, data, capsys):
    line = ["eval", "mj-bench-video", "--data", str(data / "test.json"), "--engine", "fake:"]
    line += ["--suite-arg", "topics=overall", "--suite-arg", "frames=2"]
    line += ["--variant", "grey", "--variant", "blind", "--out", str(tmp_path / "run")]
    assert cli.main(line) == 0
    text = capsys.readouterr().out
    assert "grey" in text
    assert "blind" in text


def test_the_command_line(tmp_path, data, capsys):
    out = str(tmp_path / "run")
    arguments = ["eval", "mj-bench-video", "--data", str(data / "test.json"), "--engine", "fake:"]
    assert cli.main([*arguments, "--suite-arg", "frames=3", "--out", out]) == 0
    assert "Which of two videos is better" in capsys.readouterr().out
    folder = put(tmp_path / "scores", test=[pair(0)], mine=[overall(0, 9, 1)])
    assert cli.main(["eval", "mj-bench-video", "--from-outputs", str(folder)]) == 0
    assert "the preferred video, overall" in capsys.readouterr().out
