"""Words, places, digits, pixels: the formulas that programs and suites share."""

import numpy as np
import pytest

from safejudge.programs.scoring import grids, layout, masks, texts

# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "seen", "whole", "published"),
    [
        ("Just do it", "JUST DO IT.", 1.0, 1.0),
        ("Just do it", "NIKE 1988", 0.0, 0.0),
        ("the best of the best", "The best of the best!", 1.0, 0.6),  # repeated words are lost
        ("go go go", "go go go", 1.0, 1 / 3),
        ("go go go", "go", 1 / 3, 1 / 3),  # each word that was seen is used once
        ("art", "start here", 0.0, 1.0),  # inside another word
        ("a cat", "concatenate", 0.0, 1.0),
        ("café", "cafe", 0.0, 1.0),
        ("café", "CAFE\u0301", 1.0, 1.0),  # one spelling of a letter as good as the other
        ("don't stop", "DON\u2019T STOP", 1.0, 1.0),
        ("24 hours", "24hours", 0.0, 1.0),
        ("open", "", 0.0, 0.0),
        ("!!!", "anything", None, 0.0),
        ("禁止入内", "禁止入内", 1.0, 0.0),  # nothing Latin to be found
        ("禁止入内", "禁止", 0.5, 0.0),
    ],
)
def test_words(reference, seen, whole, published):
    assert texts.word_share(reference, seen) == pytest.approx(whole)
    assert texts.published_share(reference, seen) == pytest.approx(published)


def test_which_words_are_missing():
    assert texts.missing_words("the best of the best", "best of the") == ["the", "best"]


def test_scripts_without_spaces_are_told():
    assert texts.is_spaced("HAPPY 24 café")
    assert not texts.is_spaced("no 禁止")


# --- counts and places ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "missing", "ours", "published"),
    [
        ({"dog": 2}, {"dog": 2}, [], True, True),
        ({"dog": 2}, {"dog": 3}, [], False, False),
        ({"dog": 2, "cat": 0}, {"dog": 2}, [], True, False),  # an expected 0 can be met
        ({"dog": 2, "cat": 0}, {"dog": 2}, ["cat"], True, False),
        ({"dog": 2}, {"dog": 2}, ["dog"], False, False),
    ],
)
def test_counts(expected, found, missing, ours, published):
    assert layout.counts_right(expected, found, missing) is ours
    assert layout.published_counts_right(expected, found, missing) is published


CAR = (100.0, 100.0, 140.0, 120.0)


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        ((300.0, 100.0, 340.0, 120.0), {"left"}),
        ((300.0, 300.0, 340.0, 320.0), {"left", "above"}),  # a diagonal counts both ways
        ((100.0, 300.0, 140.0, 320.0), {"above"}),  # y grows downwards
        ((110.0, 105.0, 150.0, 125.0), set()),  # hardly apart
    ],
)
def test_directions(other, holds):
    there = {d for d in ("left", "right", "above", "below") if layout.stands(d, [CAR], [other])}
    assert there == holds
    turned = {"left": "right", "right": "left", "above": "below", "below": "above"}
    for one, back in turned.items():
        assert layout.stands(one, [CAR], [other]) == layout.stands(back, [other], [CAR])


def test_a_group_is_the_box_that_holds_it_and_nothing_stands_nowhere():
    far = (500.0, 100.0, 540.0, 120.0)
    tree = (300.0, 100.0, 340.0, 120.0)
    assert layout.union_of([CAR, far]) == (100.0, 100.0, 540.0, 120.0)
    assert layout.stands("left", [CAR], [tree])
    assert not layout.stands("left", [CAR, far], [tree])
    assert not layout.stands("left", [], [tree])


def test_a_box_that_repeats_a_surer_one_is_no_object():
    again = (102.0, 101.0, 141.0, 121.0)
    beside = (130.0, 100.0, 170.0, 120.0)
    assert layout.distinct([CAR, again, beside]) == [0, 2]
    assert layout.overlap_of(CAR, CAR) == 1.0
    assert layout.overlap_of((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


# --- digits ---------------------------------------------------------------------------------------

QUESTION = ((1, 0), (0, 0))
ANSWER = ((1, 2), (2, 1))


def digits(rows, side):
    cell = side / len(rows)
    return [
        (str(number), (x + 0.5) * cell, (y + 0.5) * cell)
        for y, row in enumerate(rows)
        for x, number in enumerate(row)
        if number
    ]


def test_cells_of_each_pictures_own_size():
    for side in (64, 500):
        drawn = grids.in_cells(digits(((3, 2), (2, 0)), side), side, 2)
        assert drawn == ((3, 2), (2, 0))
        solved = grids.by_cell(QUESTION, ANSWER, drawn)
        assert (solved.right, solved.empty, solved.kept, solved.givens) == (2, 3, 0, 1)
    with pytest.raises(ValueError, match="one size"):
        grids.by_cell(QUESTION, ANSWER, ((1, 2, 3), (2, 1, 3), (3, 1, 2)))
    assert grids.in_cells([("x", 5, 5), ("7", 99, 5), ("1", 5, 5), ("2", 6, 6)], 64, 2)[0] == (1, 0)


def test_the_published_rule_breaks_where_the_answer_has_another_size():
    big, small = digits(ANSWER, 1024), digits(ANSWER, 512)
    asked = digits(QUESTION, 1024)
    assert grids.published_share(asked, big, big, 512) == 1.0
    assert grids.published_share(asked, big, small, 512) < 1.0
    assert grids.published_share([], [], [], 512) == 1.0


def test_nothing_to_do_is_done():
    assert grids.by_cell(ANSWER, ANSWER, ANSWER).share == 1.0
    assert grids.by_cell(((0, 0), (0, 0)), ANSWER, ANSWER).givens_kept == 1.0


# --- pixels ---------------------------------------------------------------------------------------


def test_masks():
    truth = np.zeros((10, 10, 3), np.uint8)
    truth[:5] = 255
    painted = np.zeros((20, 20, 3), np.uint8)
    painted[:10, :, 1] = 200  # within 100 of green, at twice the size
    painted[10:, :, 1] = 150  # too dark
    compared = masks.overlap(masks.painted(painted), masks.region(truth))
    assert (compared.iou, compared.precision, compared.recall) == (1.0, 1.0, 1.0)
    nothing = masks.overlap(masks.painted(np.zeros_like(painted)), masks.region(truth))
    assert (nothing.iou, nothing.precision, nothing.recall) == (0.0, None, 0.0)
    empty = np.zeros((4, 4), np.bool_)
    assert masks.overlap(empty, empty).iou == 1.0
    assert masks.is_black_and_white(truth)
    assert not masks.is_black_and_white(painted)
