"""Which words are looked for, and which boxes are believed."""

import numpy as np
import pytest

from safejudge.errors import EngineCallError
from safejudge.flow import drive
from safejudge.method.regions import believed, region_flow, words_of
from safejudge.policy import Policy
from safejudge.types import Box, Picture

PICTURE = Picture.of(np.zeros((10, 10, 3), np.uint8))


def box(word, confidence, left=0):
    return Box(word=word, confidence=confidence, left=left, top=0, right=left + 1, bottom=1)


@pytest.mark.parametrize(
    ("look_at", "words"),
    [
        ("knife", ("knife",)),
        ("gun and person", ("gun", "person")),
        ("teeth, mouth, and throat", ("teeth", "mouth", "throat")),
        ("dog or cat or dog", ("dog", "cat")),
        ("police officer", ("police officer",)),
        ("band of android orcs", ("band of android orcs",)),
    ],
)
def test_words(look_at, words):
    assert words_of(look_at) == words


def test_faint_boxes_are_none():
    assert believed((box("knife", 0.05),), Policy()) == ()
    assert believed((box("knife", 0.04),), Policy(minimum_confidence=0.03)) != ()


def test_all_copies_of_an_object_count_and_doubtful_ones_do_not():
    two = box("knife", 0.6), box("knife", 0.8, 3)
    assert believed((*two, box("knife", 0.39, 6)), Policy()) == two[::-1]


def test_each_word_has_its_own_best_box():
    knife, person = box("knife", 0.1), box("person", 0.9)
    assert believed((knife, person), Policy()) == (person, knife)


def test_the_detector_is_asked_for_all_words_at_once():
    asked = []

    def answer(requests):
        asked.extend(requests)
        return [(box("gun", 0.5),)]

    assert drive(region_flow("gun and person", PICTURE, Policy()), answer) == (box("gun", 0.5),)
    assert [request.words for request in asked] == [("gun", "person")]


def test_an_answer_that_is_no_boxes_is_an_error():
    with pytest.raises(EngineCallError, match="float"):
        drive(region_flow("gun", PICTURE, Policy()), lambda _: [0.5])
