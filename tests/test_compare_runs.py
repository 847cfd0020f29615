"""Runs beside each other by ranks: what agrees, what is warned of, what is refused."""

import json

import pytest

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals import compare
from safejudge.evals.results import write_results
from safejudge.evals.stats.agreement import footrule_consistency
from safejudge.evals.suite import EvalResult, Ranking


def put(folder, values, judge="fir", by="mean", suite="artifactsbench"):
    numbers = {entry: {"mean": {"value": v, "n": 9}} for entry, v in values.items()}
    ranking = None if by is None else Ranking(by, judge)
    write_results(folder, suite, EvalResult((), (), numbers, ({},), ranking=ranking), {})
    return folder


SCORES = {"a": 57.0, "b": 55.5, "c": 52.0, "d": 40.0}


@pytest.mark.parametrize(
    ("left", "right", "consistency"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], 0.0),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], 0.0),  # floor(25 / 2) is what the reverse comes to
        ([1, 2, 3, 4], [2, 1, 3, 4], 0.75),
        ([10, 20, 30, 40], [0.2, 0.1, 0.3, 0.4], 0.75),  # only ranks count
    ],
)
def test_consistency_is_the_footrule_over_its_largest(left, right, consistency):
    assert footrule_consistency(left, right) == pytest.approx(consistency)


def test_consistency_of_less_than_two_is_undefined():
    assert footrule_consistency([1], [1]) != footrule_consistency([1], [1])


def test_another_judge_is_warned_of_and_ranks_are_compared(tmp_path, capsys):
    lower = {entry: value - 2.3 for entry, value in SCORES.items()}
    runs = [put(tmp_path / "may", SCORES), put(tmp_path / "june", lower, judge="larch")]
    found = compare.compare(runs)
    assert len(found.warnings) == 1
    assert "may: fir; june: larch" in found.warnings[0]
    agreed = compare.agreements(*found.runs)
    assert agreed["consistency"] == 1
    assert agreed["mean_shift"] == pytest.approx(-2.3)
    assert cli.main(["compare", *map(str, runs)]) == 0
    shown = capsys.readouterr()
    assert "compare ranks, not scores" in shown.err
    assert "1.0000" in shown.out


def test_the_same_judge_is_not_warned_of_and_an_unknown_one_is(tmp_path):
    runs = [put(tmp_path / "a", SCORES), put(tmp_path / "b", SCORES)]
    assert not compare.compare(runs).warnings
    runs.append(put(tmp_path / "c", SCORES, judge=""))
    (warning,) = compare.compare(runs).warnings
    assert "not told by c" in warning
    judges = [put(tmp_path / name, SCORES, judge=None) for name in "de"]
    assert not compare.compare(judges).warnings  # the entries are judges


def test_runs_that_share_no_entries_stand_in_one_order(tmp_path):
    one, two = put(tmp_path / "one", {"a": 50.0}), put(tmp_path / "two", {"b": 60.0})
    (table,) = compare.tables(compare.compare([one, two]))
    assert [row[:2] for row in table.rows] == [("b (two)", "1"), ("a (one)", "2")]


def test_an_entry_of_one_run_alone_and_one_without_a_value(tmp_path):
    one = put(tmp_path / "one", SCORES | {"e": None})
    two = put(tmp_path / "two", {"b": 1.0, "a": 2.0})
    found = compare.compare([one, two])
    assert any("no rank for e" in warning for warning in found.warnings)
    ranks, agreement = compare.tables(found)
    cells = {row[0]: row[1:] for row in ranks.rows}
    assert cells["c"] == ("3", "52.0000", "-", "-")
    assert agreement.rows[0][1] == "2"


def test_equal_values_share_their_rank():
    ranked = compare.Ranked("r", None, {"a": 1.0, "b": 2.0, "c": 1.0})
    assert ranked.ranks() == {"a": 2.5, "b": 1, "c": 2.5}


def test_what_cannot_be_compared_is_refused(tmp_path):
    one, two = put(tmp_path / "one", SCORES), put(tmp_path / "two", SCORES, suite="mj-bench")
    plain = put(tmp_path / "plain", SCORES, by=None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text(json.dumps({"results": []}))
    for runs, by, words in [
        ([one], None, "two runs at least"),
        ([one, one], None, "named twice"),
        ([one, two], None, "several suites"),
        ([one, tmp_path / "empty"], None, "has no results.json"),
        ([one, tmp_path / "broken"], None, "has no results.json"),
        ([plain, one], None, "--by FIGURE"),
        ([one, plain], "median", "no entry has the figure median; there are mean"),
    ]:
        with pytest.raises(InputError, match=words):
            compare.compare(runs, by)
    assert compare.compare([plain, one], "mean").by == "mean"
