"""Opening engines by URI, and the engine without a model."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from safejudge import prompts
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.engines.open import open_engine
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.types import AnswerProbs, Message, Picture, Probe, Reasoning, Similarity

if TYPE_CHECKING:
    from pathlib import Path

BLACK = Picture.of(np.zeros((4, 4, 3), dtype=np.uint8))
GREY = Picture.of(np.full((4, 4, 3), 90, dtype=np.uint8))
PINNED = (0.8067497817773007, 0.15951475517413613)
"""What `fake:` makes of the question x without a picture."""


def ask(question: str, *images: Picture, labels: tuple[str, ...] = ("yes", "no")) -> Probe:
    return Probe("Answer.", images, question, labels)


def say(text: str, schema: type[BaseModel] | None = None, tokens: int = 100) -> Reasoning:
    return Reasoning("Think.", (BLACK,), (Message("user", text),), schema, tokens)


def test_a_mapping_is_asked_by_probe_then_by_question() -> None:
    script = {ask("dog?"): 0.1, "dog?": 0.7, "cat?": AnswerProbs((0.2, 0.2), top="hm")}
    engine = FakeEngine(script)
    answers = engine.answer_probs([ask("dog?"), ask("dog?", BLACK), ask("cat?"), ask("dog?")])
    assert [answer.p_labels[0] for answer in answers] == [0.1, 0.7, 0.2, 0.1]
    assert [answer.top for answer in answers] == ["no", "yes", "hm", "no"]


def test_a_function_and_a_sequence_are_scripts_too() -> None:
    engine = FakeEngine(lambda probe: len(probe.images) / 2, replies=["one", "two"])
    assert [a.score for a in engine.answer_probs([ask("x", BLACK), ask("x")])] == [0.5, 0.0]
    assert engine.reason([say("a"), say("a")]) == ["one", "two"]


def test_a_script_that_runs_out_fails_instead_of_repeating() -> None:
    engine = FakeEngine([0.5], replies={"hello": "yes"})
    engine.answer_probs([ask("x")])
    with pytest.raises(EngineCallError, match="ran out at 'y'"):
        engine.answer_probs([ask("y")])
    with pytest.raises(EngineCallError, match="nothing for 'goodbye'"):
        engine.reason([say("hello"), say("goodbye")])


def test_every_wave_is_kept() -> None:
    engine = FakeEngine()
    probes, requests = (ask("x"), ask("y", BLACK)), (say("a"),)
    engine.answer_probs(list(probes))
    engine.reason(list(requests))
    engine.answer_probs([])
    assert engine.history == [probes, requests, ()]


def test_faults_can_be_scripted() -> None:
    engine = FakeEngine(
        {"nan?": math.nan, "boom?": EngineCallError("boom")}, replies=[EngineCallError("bang")]
    )
    (answer,) = engine.answer_probs([ask("nan?")])
    assert answer.problem == "scripted: NaN logits"
    assert answer.score is None
    with pytest.raises(EngineCallError, match="boom"):
        engine.answer_probs([ask("boom?")])
    with pytest.raises(EngineCallError, match="bang"):
        engine.reason([say("a")])


@pytest.mark.parametrize(("score", "labels"), [(1.5, ("yes", "no")), (0.5, ("1", "2", "3"))])
def test_a_number_that_is_no_score_is_refused(score: float, labels: tuple[str, ...]) -> None:
    with pytest.raises(EngineCallError, match="give AnswerProbs"):
        FakeEngine([score]).answer_probs([ask("x", labels=labels)])


def test_made_up_answers_hang_on_picture_and_question_only() -> None:
    probes = [ask("x"), ask("x", BLACK), ask("x", GREY), ask("y", BLACK), ask("x", BLACK, GREY)]
    answers = FakeEngine().answer_probs(probes)
    assert len({answer.p_labels for answer in answers}) == len(probes)
    assert FakeEngine().answer_probs(probes[::-1]) == answers[::-1]
    # Pinned: runs on other machines and other days are compared byte by byte.
    assert answers[0].p_labels == PINNED


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=9, unique=True))
def test_made_up_answers_are_probabilities(question: str, labels: list[str]) -> None:
    (answer,) = FakeEngine().answer_probs([ask(question, BLACK, labels=tuple(labels))])
    assert answer.score is not None
    assert all(0 <= p <= 1 for p in answer.p_labels)
    assert sum(answer.p_labels) <= 1 + 1e-9


class Nested(BaseModel):
    kind: Literal["a"]
    many: list[Literal["x", "y"]] = Field(min_length=2, max_length=4)
    name: str = Field(min_length=12, max_length=14)
    level: int = Field(ge=3, le=5)
    maybe: bool | None


class Outer(BaseModel):
    inner: Nested


@pytest.mark.parametrize("schema", [prompts.ReasonedAnswer, Outer])
def test_made_up_replies_fit_their_schema(schema: type[BaseModel]) -> None:
    replies = FakeEngine().reason([say(f"question {i}", schema) for i in range(20)])
    for reply in replies:
        schema.model_validate_json(reply)
    assert len(set(replies)) > 1


def test_replies_are_cut() -> None:
    (reply,) = FakeEngine().reason([say("a", prompts.ReasonedAnswer, tokens=4)])
    with pytest.raises(ValueError, match="JSON"):
        prompts.ReasonedAnswer.model_validate_json(reply)


def test_fake_opens_by_uri() -> None:
    engine = open_engine("fake:")
    assert engine.card.uri == "fake:"
    assert engine.answer_probs([ask("x")])[0].p_labels == PINNED


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "none is assumed"),
        ("hf:", "none is assumed"),
        ("hf", "none is assumed"),
        ("HuggingFaceTB/SmolVLM-Instruct", "none is assumed"),
        ("gpt:anything", "none is assumed"),
        ("fake:x", "none is assumed"),
        ("server:", "none is assumed"),
    ],
)
def test_no_engine_is_assumed(uri: str, says: str) -> None:
    with pytest.raises(EngineSetupError, match=says) as caught:
        open_engine(uri)
    assert "hf:ORG/MODEL" in str(caught.value)
    assert "fake:" in str(caught.value)


def test_an_option_that_means_nothing_is_refused() -> None:
    with pytest.raises(EngineSetupError, match="takes no option batch_size"):
        open_engine("fake:", batch_size=4)


def test_a_folder_without_a_model_names_it(tmp_path: Path) -> None:
    with pytest.raises(EngineSetupError, match="not a folder with a model"):
        open_engine(f"hf:{tmp_path}")


def test_importing_engines_loads_no_model_library() -> None:
    code = (
        "import sys, safejudge.engines, safejudge.engines.fake, safejudge.engines.local.hf;"
        "print(sorted({'torch', 'transformers', 'outlines'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_long_run_is_not_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safejudge.engines.fake._KEPT", 20 * 8 * 8 * 3)
    monkeypatch.setattr("safejudge.engines.fake._REQUEST", 0)
    engine, encoder = FakeEngine(), FakeEncoder(lambda _: 0.5)
    pictures = [Picture.of(np.full((8, 8, 3), shade, np.uint8)) for shade in range(60)]
    for one, other in zip(pictures, pictures[1:] + pictures[:1], strict=True):
        engine.answer_probs([Probe("", (one, other), "q"), Probe("", (one,), "r")])
        encoder.similarities([Similarity(one, "a"), Similarity(one, "b")])
    assert len(engine.history) == 10
    assert engine.history[-1][1] == Probe("", (pictures[-1],), "r")
    assert len(encoder.history) == 20
    large = Picture.of(np.zeros((400, 400, 3), np.uint8))
    engine.answer_probs([Probe("", (large,), "q")])
    assert engine.history == [(Probe("", (large,), "q"),)]
