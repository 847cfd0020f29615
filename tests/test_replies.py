"""What judges write -> what they chose: honest forms are read, hedges are not."""

from __future__ import annotations

import pytest

from safejudge.evals.replies import (
    FIVE,
    TEN,
    read_choice,
    read_score,
    read_verdict,
    refuses,
    stored_rating,
    strict_choice,
    strict_rating,
)


@pytest.mark.parametrize(
    "said",
    [
        "RATING: 4",
        "Rating: 4.",
        "**RATING:** 4",
        "RATING = 4",
        "Rating is 4",
        "The rating is: 4",
        "RATING\uff1a4",
        "RATING\uff1a\uff14",
        "RATING: 4/5",
        "RATING: 4 / 10",
        "RATING: 4 out of 5",
        "RATING: 4 (two people are visible)",
        "RATING: 4, because 3 cats are shown",
        "RATING: [4]",
        "RATING: 4\n1 person to 5 cats",
        "RATING: 2\nRATING: 4",
        "RATING: 4 or 5\nRATING: 4",
        "ALIGNMENT-RATING: 4",
        "RATING: 4 - good light",
        "RATING: 4/5 - the sky is blue",
        "RATING: 4 to reward the light",
    ],
)
def test_a_rating_is_read(said):
    assert strict_rating(said, TEN) == 4


@pytest.mark.parametrize(
    "said",
    [
        "RATING: 4 or 5",
        "RATING: 4-5",
        "RATING: 4\u20135",
        "RATING: 4 - 5",
        "RATING: 4~5",
        "RATING: 1 to 5? I would say 4",
        "RATING: 4 to 5",
        "RATING: 4/3",
        "RATING: 4, 5",
        "RATING: 4 and 5",
        "RATING: 4 or maybe 5",
        "RATING: 4, or perhaps even 5",
        "RATING: 4?",
        "RATING: 4 or higher",
        "RATING: 4+",
        "RATING: 4...5",
        "RATING: 4/5 or 5/5",
        "RATING: **4** or **5**",
        "RATING: 4\nRATING: 3 or 4",
        "RATING: between 4 and 5",
        "RATING: (4) or (5)",
        "Rating is 4 or 5",
        "RATING: 4 & 5",
        "RATING: 4; 5",
        "RATING: 4 if not 5",
    ],
)
def test_a_hedge_is_no_rating(said):
    assert strict_rating(said, TEN) is None


def test_scales_of_words_are_read_likewise():
    assert strict_rating("RATING: Very  Poor", TEN) == 2
    assert strict_rating("Rating is Good.", FIVE) == 4
    assert strict_rating("RATING: Average - the cat is good", FIVE) == 3
    for hedge in ("Poor to Average", "Poor or Average", "Poor/Average", "Poor - Average",
                  "Poor, maybe Average", "Poor?"):  # fmt: skip
        assert strict_rating(f"RATING: {hedge}", FIVE) is None
        assert stored_rating(hedge, FIVE) is None or hedge == "Poor?"
    for stored in ("4 or 5", "4-5", "Poor to Average"):
        assert stored_rating(stored, FIVE) is None


def test_each_image_has_a_line_of_its_own():
    text = "IMAGE-1-RATING: 2 or 3\nIMAGE-2-RATING\uff1a5"
    assert strict_rating(text, TEN, 0) is None
    assert strict_rating(text, TEN, 1) == 5


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("BETTER IMAGE: 1", 1),
        ("BETTER-IMAGE: Image 2", 2),
        ("Better image is 2.", 2),
        ("BETTER IMAGE\uff1a1", 1),
        ("BETTER IMAGE: 0", 0),
        ("BETTER IMAGE: 1 (image 2 is dark)", 1),
        ("BETTER IMAGE: 1, since image 2 is dark", 1),
        ("BETTER IMAGE: 2 rather than 1", 2),
        ("BETTER IMAGE: 1 or 2", None),
        ("BETTER IMAGE: 1/2", None),
        ("BETTER IMAGE: 1 and 2", None),
        ("BETTER IMAGE: Image 1 or Image 2", None),
        ("BETTER IMAGE: 1, 2", None),
        ("BETTER IMAGE: 1-2", None),
        ("BETTER IMAGE: 1?", None),
        ("BETTER IMAGE: 1 & 2", None),
        ("BETTER IMAGE: 1 or perhaps image 2", None),
        ("BETTER IMAGE: both", None),
        ("BETTER IMAGE: 1 vs 2", None),
        ("BETTER IMAGE: 1 > 2", None),
        ("BETTER IMAGE: 1\nBETTER IMAGE: 1 or 2", None),
    ],
)
def test_a_choice_is_one(said, choice):
    assert strict_choice(said) == choice


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("Judgement: 4", "4"),
        ("Judgment: 4/5", "4"),
        ("[[4]]", "4"),
        ("4", "4"),
        ("Judgement: 4 or 5", None),
        ("Judgement: 4-5", None),
        ("[[4]] or [[5]]", None),
        ("[[4-5]]", None),
        ("Judgement: 4?", None),
        ("Judgement: 3 to 4", None),
    ],
)
def test_a_score_is_one(said, score):
    assert read_score(said) == score


def test_two_letters_are_no_choice_but_to_the_benchmark_that_takes_the_first():
    assert read_choice("[[A]] or [[B]]") is None
    assert read_choice("A or B") is None
    assert read_verdict("[[A]] or [[B]]") == "A"


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, I can't rate this.",
        "Sorry, but I cannot help with that.",
        "I am very sorry",
        "I apologize, but I cannot provide a rating.",
        "Unable to provide a rating",
        "As an AI model, I am not able to assess people.",
        "I won't rate people.",
        "We cannot judge it.",
        "I\u2019m not comfortable rating this.",
        "It is not appropriate to rate people.",
        "The request was blocked by the content filter.",
        "My apologies, I refrain from rating.",
    ],
)
def test_who_declines_refuses(said):
    assert refuses(said)


@pytest.mark.parametrize(
    "said",
    [
        "The dog is not sorry-looking at all, and the light is good.",
        "A sorry sight.",
        "One might feel sorry for the dog.",
        "The colours do not make sense.",
        "The people cannot help smiling.",
        "The sofa is not comfortable.",
        "The clothes are inappropriate.",
        "He seems to apologize.",
        "Nobody can refrain from laughing.",
        "",
        None,
        3,
    ],
)
def test_who_speaks_of_a_picture_does_not(said):
    assert not refuses(said)
