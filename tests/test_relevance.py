"""Which rules are asked: thresholds, texts, and what is no number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.errors import EngineCallError, InputError, PolicyError
from safejudge.flow import drive
from safejudge.method.relevance import (
    calibrated,
    compared_rules,
    doubtful,
    relevance_flow,
    relevance_text,
    relevant,
    threshold_of,
    unlearned,
)
from safejudge.policy import Policy
from safejudge.types import Constitution, Learned, Picture, Precondition, Rule, Severity

PICTURE = Picture.of(np.zeros((10, 10, 3), np.uint8))


def rule(name, relevance=None):
    return Rule(
        id=name, category="c", severity=Severity.LOW, text="t", objective=f"objective {name}",
        relevance=relevance, condition=Precondition(statement="s"),
    )  # fmt: skip


def test_the_short_text_stands_in_for_the_rule():
    assert relevance_text(rule("a")) == "objective a"
    assert relevance_text(rule("a", "short")) == "short"


def test_similarities_by_rule():
    def answer(requests):
        assert [r.text for r in requests] == ["objective a", "short"]
        return [0.25, math.nan]

    found = drive(relevance_flow([rule("a"), rule("b", "short")], PICTURE), answer)
    assert found == {"a": 0.25, "b": None}
    with pytest.raises(EngineCallError, match="str"):
        drive(relevance_flow([rule("a")], PICTURE), lambda _: ["0.25"])


@pytest.mark.parametrize(
    ("similar", "asked"),
    [
        ({"a": 0.23, "b": 0.1}, ["a"]),
        ({"a": 0.22, "b": 0.23}, ["b"]),
        ({"a": 0.1, "b": None, "c": 0.3}, ["b", "c"]),
        ({"a": 0.1, "b": 0.2, "c": -0.3}, ["b"]),
        ({"a": None, "b": None}, ["a", "b"]),
        ({"a": None, "b": -0.01, "c": -0.02}, ["a", "b"]),
        ({"a": -0.02, "b": math.nan, "c": -0.01}, ["b", "c"]),
        ({"a": None, "b": 0.3, "c": -0.02}, ["a", "b"]),
        ({}, []),
    ],
)
def test_no_number_skips_nothing_and_something_is_always_asked(similar, asked):
    assert relevant(similar, Policy(relevance_threshold=0.22)) == asked


def test_the_published_filter_may_skip_every_rule():
    clue = Policy.clue().model_copy(update={"relevance_threshold": 0.22})
    assert relevant({"a": 0.1, "b": 0.2}, clue) == []
    assert relevant({"a": 0.1, "b": 0.2}, Policy(always_asked=5, relevance_threshold=1.0)) == [
        "a", "b"
    ]  # fmt: skip


def test_what_is_never_skipped_is_asked_beside_the_likest():
    policy = Policy(relevance_threshold=0.22, never_skipped=("b",))
    assert relevant({"a": 0.1, "b": 0.2, "c": -0.3}, policy) == ["a", "b"]
    assert relevant({"a": 0.3, "b": None, "c": -0.3}, policy) == ["a", "b"]
    assert [r.id for r in compared_rules([rule("a"), rule("b")], policy)] == ["a"]
    # A replay that lacks its similarity need not: it is asked anyhow.
    assert doubtful(["a", "b"], {"a": 0.3}, policy) == frozenset()
    assert doubtful(["a", "b"], {}, policy) == {"a"}


def test_nothing_to_compare_asks_no_encoder():
    assert drive(relevance_flow([], PICTURE), lambda _: pytest.fail("was asked")) == {}


def test_a_rule_is_learned_as_it_stands():
    rules = Constitution(name="c", rules=(rule("a"), rule("b", "short")))
    learned = Learned(0.1, {"objective a": rule("a").digest(), "short": "of another condition"})
    assert unlearned(rules, learned) == ["b"]
    assert unlearned(rules, Learned(0.1, {})) == ["a", "b"]
    assert threshold_of("scorer:x", Policy(), learned) == 0.1
    assert threshold_of("scorer:x", Policy(relevance_threshold=0.3), learned) == 0.3
    with pytest.raises(PolicyError, match="which picture is preferred"):
        threshold_of("scorer:x", Policy())


def test_thresholds_belong_to_an_encoder():
    assert threshold_of("hf:openai/clip-vit-base-patch16", Policy()) == 0.22
    assert threshold_of("hf:some/other", Policy(relevance_threshold=0.1)) == 0.1
    with pytest.raises(PolicyError, match=r"hf:some/other.*--no-relevance"):
        threshold_of("hf:some/other", Policy())


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50, unique=True), st.floats(0.01, 0.99))
def test_calibration_keeps_the_share(values, keep):
    threshold = calibrated(values, keep)
    assert sum(value > threshold for value in values) == math.floor(keep * len(values))


@pytest.mark.parametrize(("values", "keep"), [([], 0.5), ([0.1], 0.0), ([0.1], 1.0)])
def test_calibration_needs_data(values, keep):
    with pytest.raises(InputError):
        calibrated(values, keep)
