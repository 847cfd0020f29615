"""Texts in tokens: bounds without a tokenizer, and the longest beginning by any count."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge import Judge
from safejudge.engines.cached import CachedEngine
from safejudge.engines.fake import FakeEngine
from safejudge.engines.lengths import byte_tokens, cut_bytes, cut_tokens
from safejudge.engines.wrapped import WrappedEngine, whole
from safejudge.types import AnswerProbs, EngineCard

TEXT = st.text(max_size=60)


@given(TEXT, st.integers(-1, 80))
def test_bytes_bound_tokens(text, tokens):
    beginning = cut_bytes(text, tokens)
    assert text.startswith(beginning)
    assert byte_tokens([beginning])[0] <= max(tokens, 0)
    if beginning != text:
        assert byte_tokens([text[: len(beginning) + 1]])[0] > tokens


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("a\u00e9", 3), ("\U0001f600", 4), ("\ud800", 3)]
)
def test_bytes_of_a_text(text, size):
    assert byte_tokens([text]) == [size]
    assert cut_bytes(text, size) == text
    assert cut_bytes(text + "\u4f60", size + 2) == text


def words(texts):
    """A count that falls again: a whole word is one token, its beginning a token a letter."""
    whole_words = re.compile(r"\b(?:cat|horses)\b|\w")
    return [len(whole_words.findall(text)) for text in texts]


@pytest.mark.parametrize(
    ("tokens", "beginning"),
    [(0, ""), (1, "cat "), (2, "cat horses "), (3, "cat horses a "), (4, "cat horses a b ")],
)
def test_more_of_a_word_may_be_fewer_tokens(tokens, beginning):
    assert cut_tokens("cat horses a b cat", tokens, words) == beginning
    assert words([cut_tokens("cat horses a b cat", tokens, words, longer=0)])[0] <= tokens


@given(TEXT, st.integers(0, 20))
def test_a_text_that_fits_is_whole(text, tokens):
    beginning = cut_tokens(text, tokens, words)
    assert text.startswith(beginning)
    assert words([beginning])[0] <= tokens
    if tokens and words([text])[0] <= tokens:
        assert beginning == text


class Plain:
    """An engine of another package, made before texts were counted."""

    card = EngineCard("plain:", "plain", "")
    tokens = None

    def check_statements(self, statements):
        pass

    def answer_probs(self, probes):
        shades = [float(np.mean([p.pixels for p in probe.images] or [99])) for probe in probes]
        return [AnswerProbs((shade / 300, 0.9 - shade / 300)) for shade in shades]

    def reason(self, requests):
        return ["" for _ in requests]

    def close(self):
        pass


@pytest.mark.parametrize("wrap", [whole, WrappedEngine, lambda e: WrappedEngine(WrappedEngine(e))])
def test_an_engine_that_cannot_count_gets_the_bound(wrap):
    engine = wrap(Plain())
    assert engine.text_tokens(["a\u00e9", ""]) == [3, 0]
    assert engine.cut_text("a\u00e9b", 3) == "a\u00e9"
    assert engine.card.uri == "plain:"


def test_one_that_can_is_left_as_it_is():
    engine = FakeEngine()
    assert whole(engine) is engine
    assert engine.text_tokens(["a\u00e9"]) == [3]
    assert engine.cut_text("a\u00e9b", 1) == "a"


class Counting(FakeEngine):
    def text_tokens(self, texts):
        return words(texts)

    def cut_text(self, text, tokens):
        return cut_tokens(text, tokens, words)


def test_wrappers_ask_the_engine_inside(tmp_path):
    for engine in (WrappedEngine(Counting()), CachedEngine(Counting(), tmp_path / "answers")):
        assert engine.text_tokens(["horses", "hors"]) == [1, 4]
        assert engine.cut_text("horses hors", 1) == "horses "


def test_a_judge_has_an_engine_that_counts(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: x\nrules:\n  - id: r\n    category: c\n    severity: low\n    text: t\n"
        "    objective: o\n    condition: a dog is visible\n"
    )
    with Judge.load(rules, Plain(), cache=None) as judge:
        assert judge.models.engine.text_tokens(["abc"]) == [3]
