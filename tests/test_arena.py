"""Ratings from games of two, and the command that rates a file of them."""

import json
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals import arena
from safejudge.evals.stats.ratings import MEAN, SCALE, Game, fit, rate

CASES = json.loads((Path(__file__).parent / "data" / "arena.json").read_text(encoding="utf-8"))
WON = {0: 1.0, 1: 0.5, 2: 0.0}


def games(pairs):
    return [Game(first, second, WON[code]) for first, second, code in pairs]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_ratings_are_those_that_somebody_else_worked_out(case):
    found = rate(games(case["pairs"]), resamples=0)
    if case["elo"] is None:
        assert not found.ratings
        assert found.reasons
    else:
        values = {player: value.value for player, value in found.ratings.items()}
        assert values == pytest.approx(case["elo"], abs=1e-5)
        assert np.mean([*values.values()]) == pytest.approx(MEAN)


@pytest.mark.parametrize("case", [c for c in CASES if c["elo"]], ids=lambda case: case["name"])
def test_ratings_are_those_of_choix(case):
    choix = pytest.importorskip("choix")
    players = sorted(case["elo"])
    wins = np.zeros((len(players), len(players)))
    for first, second, code in case["pairs"]:
        a, b = players.index(first), players.index(second)
        wins[a, b] += WON[code]
        wins[b, a] += 1 - WON[code]
    theirs = choix.ilsr_pairwise_dense(wins, max_iter=10_000, tol=1e-12)
    assert fit(wins) == pytest.approx(MEAN + SCALE * (theirs - theirs.mean()), abs=1e-4)


def test_a_rating_says_what_it_should_of_two():
    found = rate(games([("a", "b", 0)] * 3 + [("a", "b", 2)]), resamples=0)
    gap = found.ratings["a"].value - found.ratings["b"].value
    assert gap == pytest.approx(400 * math.log10(3))  # three to one, on Elo's scale
    assert found.games == {"a": 4, "b": 4}


def test_neither_order_of_games_nor_sides_matter():
    pairs = CASES[0]["pairs"]
    turned = [(second, first, 2 - code) for first, second, code in reversed(pairs)]
    one, two = (rate(games(p), resamples=0).ratings for p in (pairs, turned))
    assert {k: v.value for k, v in one.items()} == pytest.approx(
        {k: v.value for k, v in two.items()}
    )


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("a", "b", 0), ("a", "c", 0), ("b", "c", 1)], ["never lost or tied a game: a"]),
        ([("a", "c", 0), ("b", "c", 0), ("a", "b", 1)], ["never won or tied a game: c"]),
        ([("a", "b", 1), ("c", "d", 1)], ["2 groups", "a, b; c, d"]),
        (  # everybody won and lost, and yet two never took a point from the other two
            [("a", "b", 1), ("c", "d", 1), ("a", "c", 0), ("b", "d", 0)],
            ["c, d never won or tied a game against a, b"],
        ),
        ([], ["nobody played"]),
    ],
)
def test_where_there_is_no_rating_it_says_for_whom(pairs, named):
    found = rate(games(pairs), resamples=0)
    assert not found.ratings
    for words in named:
        assert words in "; ".join(found.reasons)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*permutations("abcd", 2)]), st.sampled_from([0, 1, 2]))))
def test_a_rating_is_finite_or_there_is_a_reason(drawn):
    found = rate([Game(*sides, WON[code]) for sides, code in drawn], resamples=0)
    assert bool(found.ratings) != bool(found.reasons)
    assert all(math.isfinite(value.value) for value in found.ratings.values())


def test_a_long_chain_of_one_sided_games_is_rated():
    chain = np.zeros((60, 60))
    for row in range(59):
        chain[row, row + 1], chain[row + 1, row] = 1000, 1
    ratings = fit(chain)
    assert -np.diff(ratings) == pytest.approx(SCALE * math.log(1000))


def test_a_player_cannot_meet_itself():
    with pytest.raises(ValueError, match="meets itself"):
        rate([Game("a", "a", 1.0)])


def test_intervals_hold_the_rating_and_are_the_same_each_time():
    first, second = (rate(games(CASES[0]["pairs"]), resamples=100) for _ in range(2))
    assert first == second
    assert all(value.low < value.value < value.high for value in first.ratings.values())


def test_games_of_one_group_are_drawn_together():
    pairs = CASES[0]["pairs"]
    alone = rate(games(pairs), resamples=100).ratings["a"]
    # The same games, each four times, as one item's: no more is known than of one each.
    several = [
        Game(a, b, WON[code], group=row) for row, (a, b, code) in enumerate(pairs) for _ in range(4)
    ]
    grouped = rate(several, resamples=100).ratings["a"]
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.3)
    apart = rate([Game(g.first, g.second, g.won) for g in several], resamples=100).ratings["a"]
    assert apart.high - apart.low < 0.7 * (grouped.high - grouped.low)


def test_where_draws_have_no_rating_an_end_lies_open():
    found = rate(games([("a", "b", 1), ("b", "c", 1), ("a", "c", 1)]), resamples=200)
    assert found.lost > 0.025
    assert all(math.isnan(value.low) for value in found.ratings.values())


# --- files ----------------------------------------------------------------------------------------


def put(path, records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def game(first, second, choice, **more):
    return {"first": first, "second": second, "choice": choice} | more


def test_each_judge_has_a_list_of_its_own_and_each_value_of_a_field(tmp_path):
    lines = [
        game(a, b, code, judge=judge, rubric=rubric)
        for judge, rubric in (("oak", "clarity"), ("oak", "creativity"), ("elm", "clarity"))
        for a, b, code in (("x", "y", 0), ("x", "y", 2), ("y", "x", 1))
    ]
    path = put(tmp_path / "pairs.jsonl", lines)
    assert [*arena.arena(path, resamples=0).ratings] == ["oak", "elm"]
    by = arena.arena(path, by="rubric", resamples=0)
    assert [*by.ratings] == ["oak, clarity", "oak, creativity", "elm, clarity"]
    with pytest.raises(InputError, match="no game has this field; there are judge, rubric"):
        arena.arena(path, by="colour", resamples=0)


def test_all_three_forms_are_read_and_the_rest_is_counted(tmp_path):
    lines = [
        {"model_pair": "a_vs_b", "choice": 0},
        {"model_pair": "a_vs_b_vs_c", "choice": 0},
        {"name": "list", "pairs": [["a", "b", 1], ["a", "b"]]},
        game("a", "b", "2"),
        game("a", "b", 2.0),
        game("a", "b", True),
        game("a", "a", 0),
        game("a", "", 0),
        {"first": "a"},
    ]
    found = arena.arena(put(tmp_path / "games.jsonl", lines), resamples=0)
    assert {part: ratings.games for part, ratings in found.ratings.items()} == {
        "": {"a": 2, "b": 2}, "list": {"a": 1, "b": 1},
    }  # fmt: skip
    assert found.left_out == {
        "a pair that is not FIRST_vs_SECOND": 1, "no [first, second, choice]": 1,
        "a choice other than 0, 1 and 2": 2, "a player against itself": 1,
        "a player without a name": 1, "no choice": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([game("a", "a", 0)], "'a' is the only player"),
        ([game("a", "b", 3)], "1 record left out: a choice other than"),
        ([], "is empty"),
        ([{"colour": "red"}], "no choice"),
    ],
)
def test_a_file_without_games_of_two_is_refused(tmp_path, lines, words):
    with pytest.raises(InputError, match=words):
        arena.arena(put(tmp_path / "games.jsonl", lines), resamples=0)


def test_the_command_says_who_has_no_rating_and_rates_without_them(tmp_path, capsys):
    three = [("a", "b", 0), ("a", "c", 0), ("b", "c", 0), ("b", "c", 2)]
    path = put(tmp_path / "games.jsonl", [game(*line) for line in three])
    assert cli.main(["arena", str(path)]) == 4
    shown = capsys.readouterr().out
    assert "no rating" in shown
    assert "never lost or tied a game: a" in shown
    out = tmp_path / "ratings.json"
    line = ["arena", str(path), "--without", "a", "--bootstrap", "20", "--out", str(out)]
    assert cli.main(line) == 0
    numbers = json.loads(out.read_text())
    assert {k: v["value"] for k, v in numbers["ratings"][""].items()} == {"b": 1500, "c": 1500}
    assert numbers["left_out"] == {"of a player who is left out by name": 2}
    assert cli.main(line) == 2  # the file is there
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["arena", str(tmp_path / "none.jsonl")]) == 2
