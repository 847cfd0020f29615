"""Charts and mistakes of MJ-Bench: nothing undefined is drawn, and what is shown is wrong."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from safejudge.errors import OutputError
from safejudge.evals.mjbench.cells import Options
from safejudge.evals.mjbench.charts import GROUPS, MIN_RATINGS, VALUES
from safejudge.evals.mjbench.mistakes import MISTAKES, is_mistaken, keep, mistakes
from safejudge.evals.mjbench.recorded.read import BiasRun, Outputs, PairRun
from safejudge.evals.mjbench.score import score
from safejudge.evals.page import page
from safejudge.evals.stats.fairness import Rated, Rules, fairness
from safejudge.evals.stats.preference import Answer, Pair
from safejudge.evals.suite import EvalResult
from safejudge.show.page.charts import svg
from safejudge.types import Picture

NAN = float("nan")
EVIL = '"><script>alert(1)</script>\x1b<img src=http://evil/x onerror=y>&'
QUICK = Options()


def bias_run(judge="j", scale="1-5", low=2.0, count=MIN_RATINGS, values=("male", "female")):
    """Of `values` the first is always rated 4, all others `low`."""
    rows = [
        Rated(f"group {n}", 4.0 if value == values[0] else low, attributes={"gender": value},
              flags=frozenset({"gender"}))
        for n in range(count)
        for value in values
    ]  # fmt: skip
    return BiasRun(judge, scale, "f", rows)


def pair_run(judge="j", scale="1-5", right=8, count=10, perspective="safety"):
    """Right where the better picture comes first in all of `count` pairs but the last few."""
    pairs = [
        Pair("nudity", Answer.FIRST, Answer.FIRST if n < right else Answer.SECOND, caption=str(n))
        for n in range(count)
    ]
    return PairRun(judge, scale, perspective, pairs, ["f"] * count)


def charted(bias=(), pairs=(), options=QUICK):
    found = score(Outputs(bias=list(bias), pairs=list(pairs)), options)
    return {chart.title: chart for chart in found.charts}


def bars_of(chart, group=0):
    return {bar.name: bar for bar in chart.series[group].bars}


# --- charts ---------------------------------------------------------------------------------------


def test_pairs_have_two_charts_with_whiskers_around_their_values():
    found = charted(pairs=[pair_run(), pair_run("k", right=3)])
    assert list(found) == ["Pairs, safety: accuracy", "Pairs, safety: does the order matter?"]
    chart = found["Pairs, safety: accuracy"]
    assert [series.name for series in chart.series] == ["j", "k"]
    bar = bars_of(chart)["with ties"]
    assert bar.value == 0.8
    assert 0 <= bar.low <= bar.value <= bar.high <= 1
    assert bar.low < bar.high


def test_what_is_read_alike_both_ways_is_one_row():
    runs = [
        pair_run("j", "choice multi written"),
        pair_run("j", "choice multi weighted"),
        pair_run("j", "1-5 single written"),
        pair_run("j", "1-5 single weighted", right=5),
        pair_run("j", "constitution score"),
        pair_run("k", "choice multi weighted"),
    ]
    found = score(Outputs(pairs=runs), QUICK)
    names = [row[0] for row in found.tables[0].rows if not row[0].startswith("(")]
    assert names == [
        "j, constitution score",
        "j, choice multi written = weighted",
        "j, 1-5 single written",
        "j, 1-5 single weighted",
        "k, choice multi weighted",
    ]
    chart = next(c for c in found.charts if c.title == "Pairs, safety: accuracy")
    assert [series.name for series in chart.series] == names
    assert found.headline.startswith("safety: 80.0 [")
    assert found.headline.endswith("] % of 10 pairs right (j, constitution score)")


def test_safety_comes_first_and_without_a_constitution_the_best_judge():
    runs = [
        pair_run("j", perspective="alignment"),
        pair_run("j", right=5),
        pair_run("k", right=9),
    ]
    found = score(Outputs(pairs=runs), QUICK)
    assert found.tables[0].rows[0][1] == "safety"
    assert found.headline.startswith("safety: 90.0 [")
    assert "(k, 1-5, the best of 2)" in found.headline


def test_a_rate_without_rows_is_a_dash_and_not_a_bar():
    chart = charted(pairs=[pair_run()])["Pairs, safety: does the order matter?"]
    bar = bars_of(chart)["better second"]
    assert math.isnan(bar.value)
    assert bar.low is bar.high is None
    drawn = svg(chart)
    assert drawn.count("<rect") == 1
    assert not re.search(r"\b(nan|inf)", drawn, re.IGNORECASE)


def test_who_is_rated_lower_is_seen():
    found = charted([bias_run()])
    bars = bars_of(found["Mean rating by gender"])
    assert (bars["male"].value, bars["female"].value) == (1.0, 0.0)
    metrics = bars_of(found["Bias"])
    assert list(metrics) == ["ACC", "NDS", "GES"]
    assert all(0 <= bar.low <= bar.value <= bar.high <= 1 for bar in metrics.values())
    assert bars_of(found["ACC by flagged attribute"])["gender"].value == 0.0


def test_means_are_on_the_scale_of_the_chart_whatever_is_in_the_tables():
    found = charted([bias_run()], options=Options(intervals=False, normalise="none"))
    assert bars_of(found["Mean rating by gender"])["male"].value == 1.0
    assert bars_of(found["Bias"])["ACC"].low is None


def test_judges_that_say_little_or_the_same_have_no_means():
    assert "Mean rating by gender" not in charted([bias_run(low=4.0)])
    assert "Mean rating by gender" not in charted([bias_run(count=MIN_RATINGS - 1)])
    rare = bias_run(values=("male", "female", "non-binary"))
    rare.rows = [row for row in rare.rows if row.attributes["gender"] != "non-binary"
                 or row.group == "group 0"]  # fmt: skip
    bars = bars_of(charted([rare])["Mean rating by gender"])
    assert math.isnan(bars["non-binary"].value)
    assert bars["female"].value == 0.0


def test_many_judges_are_cut_to_a_handful_and_that_is_told():
    runs = [bias_run(f"judge {n:02}", low=1 + n / 10) for n in range(GROUPS + 3)]
    found = charted(runs)
    chart = found["Mean rating by gender"]
    assert len(chart.series) == GROUPS
    assert f"The {GROUPS} of {GROUPS + 3} " in chart.note
    assert "judge 00" in {series.name for series in chart.series}  # its values lie furthest apart
    assert "Bias" not in found
    assert len(found["Bias, 1-5"].series) == GROUPS
    values = tuple(f"v{n}" for n in range(VALUES + 2))
    chart = charted([bias_run(values=values)])["Mean rating by gender"]
    assert len(chart.series[0].bars) == VALUES
    assert "2 rarer values are left out" in chart.note


def test_a_hostile_judge_stays_text():
    found = score(Outputs(bias=[bias_run(EVIL)], pairs=[pair_run(EVIL)]), QUICK)
    text = page("t", found, {}, None)
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text


# --- means of values ------------------------------------------------------------------------------


def rated(group, rating, value, state="rated"):
    return Rated(group, rating, state, {"age": value})


def test_means_of_values_count_every_group_once_and_leave_out_what_was_not_rated():
    rows = [
        rated("cook", 1.0, "old"), rated("cook", 3.0, "old"), rated("cook", 4.0, "young"),
        rated("nurse", 4.0, "old"), rated("nurse", 2.0, "young"),
        rated("nurse", None, "young", "unparsed"), rated("nurse", 5.0, "young", "refused"),
        rated("pilot", 1.0, "old"),
    ]  # fmt: skip
    found = fairness(rows, Rules(normalise="none")).by_value["age"]
    assert (found["old"].value, found["old"].n, found["old"].groups) == (3.0, 3, 2)
    assert (found["young"].value, found["young"].n, found["young"].groups) == (3.0, 2, 2)


def test_without_two_values_nobody_is_lower():
    assert fairness([rated("cook", 1.0, "old"), rated("nurse", 2.0, "young")]).by_value == {}
    assert fairness([]).by_value == {}


# --- mistakes -------------------------------------------------------------------------------------


def record(key="safety/0", label="0", perspective="safety", caption="a cat", **said):
    ways = {
        name.replace("_", " "): {"judge": "hf:x", "answers": answers}
        for name, answers in said.items()
    }
    return {
        "image": key, "label": label, "perspective": perspective, "subset": "nudity",
        "caption": caption, "pictures": ["../../a", "/etc/b"], "digests": ["a" * 64, "b" * 64],
        "said": ways,
    }  # fmt: skip


def rating(first, second, order="01"):
    return {"order": order, "ratings": [first, second]}


def choice(said, p_first=None, order="01"):
    return {"order": order, "choice": said} | ({} if p_first is None else {"p_first": p_first})


@pytest.mark.parametrize(
    ("label", "answer", "wrong"),
    [
        ("0", rating(1, 2), True),
        ("0", rating(2, 1), False),
        ("1", rating(2, 1), True),
        ("0", rating(2, 1, "10"), True),
        ("0", rating(1, 2, "10"), False),
        ("1", choice("1", order="10"), True),
        ("1", choice("0", order="10"), False),
        ("0", rating(2, 2), False),
        ("0", choice("tie"), False),
        ("0", choice("refused"), False),
        ("0", {"order": "01", "ratings": None}, False),
        ("tie", rating(1, 2), False),
        ("none", {"order": "0", "rating": 1.0}, False),
    ],
)
def test_only_a_choice_contrary_to_the_label_is_a_mistake(label, answer, wrong):
    one = record(label=label, way=[answer])
    assert is_mistaken(one) is wrong
    assert len(mistakes([one])) == wrong


def test_a_mistake_says_what_every_way_said_of_the_pictures_as_they_are_shown():
    turned = [choice("1", 0.2), choice("1", 0.1, "10")]
    (found,) = mistakes([record(label="1", choice=turned, score=[rating(0.1, 0.9)])])
    assert found.images == (f"{'a' * 64}.jpg", f"{'b' * 64}.jpg")
    assert found.target == "the second picture"
    assert found.answer == (
        "the first picture (probability of the first 0.90), by choice, shown the other way round"
    )
    assert found.trace == (
        "choice: the second picture (probability of the first 0.20)",
        "choice, shown the other way round: the first picture (probability of the first 0.90)",
        "score: the second picture (rated 0.1 and 0.9)",
    )


def test_the_worst_come_first_and_are_spread_over_ways_and_perspectives():
    records = [
        record(f"safety/{n}", score=[rating(0, n / 50)], other=[choice("1")] if n > 40 else [])
        for n in range(50)
    ]
    records += [record(f"quality/{n}", perspective="quality", score=[rating(1, 2)]) for n in (0, 1)]
    found = mistakes(records)
    titles = [one.title for one in found]
    assert len(titles) == len(set(titles)) == MISTAKES
    assert titles[0] == "safety/49"
    assert {"quality/0", "quality/1"} < set(titles)
    assert sum("by other" in one.answer for one in found) >= 4
    scores = [one.title for one in found if "safety" in one.title and "by score" in one.answer]
    assert scores == sorted(scores, key=lambda title: -int(title.partition("/")[2]))


def test_names_of_the_data_are_no_paths_and_captions_stay_text():
    bad = record("safety/" + EVIL, caption=EVIL, way=[rating(1, 2)])
    bad["said"]["way"]["answers"][0]["replies"] = [EVIL, "x" * 999]
    bad["digests"] = ["../../etc/passwd", "b" * 64]
    (found,) = mistakes([bad])
    assert found.images == ()
    assert max(map(len, found.trace)) < 400
    text = page("t", EvalResult((), (), {}, (), mistakes=(found,)), {}, None)
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    del bad["digests"]  # as in records of earlier runs
    assert mistakes([bad])[0].images == ()


def test_small_pictures_are_written_once_and_named_by_their_digest(tmp_path):
    pictures = [Picture.of(np.full((500, 400, 3), shade, dtype=np.uint8)) for shade in (9, 99)]
    keep(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    keep(tmp_path, [*pictures, pictures[0]])
    files = {path.name: path for path in (tmp_path / "pictures").iterdir()}
    assert set(files) == {f"{picture.digest}.jpg" for picture in pictures}
    assert all(path.stat().st_size < 12_000 for path in files.values())
    before = {name: path.stat().st_mtime_ns for name, path in files.items()}
    keep(tmp_path, pictures)
    assert {name: path.stat().st_mtime_ns for name, path in files.items()} == before
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        keep(tmp_path / "file", pictures)
