"""What every engine promises, whatever it runs on."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
from given import picture
from pydantic import BaseModel, Field

from safejudge import prompts
from safejudge.engines.models import Models
from safejudge.flow import drive
from safejudge.method.steps import Solution, steps_flow
from safejudge.policy import Policy
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.types import AnswerProbs, Message, NoReply, Picture, Probe, Reasoning, Sampling

if TYPE_CHECKING:
    from safejudge.engines.base import Engine

RED, BLUE = (Picture.of(draw(even_scene(random.Random(seed))).pixels) for seed in (1, 2))
"""Drawn scenes, because one of the engines looks at nothing else."""
WIDE = picture(3, 48, 96)
WORDS = ("very bad", "bad", "good", "very good")
TOLERANCE = 1e-5
"""Of a probability in float32: padding changes the order of sums, and nothing else."""


def ask(images: tuple[Picture, ...], statement: str = "a dog is visible", **more: object) -> Probe:
    return Probe(prompts.ASK, images, prompts.statement_question(statement), **more)


MIXED = [
    ask((RED,)),
    ask(()),
    ask((BLUE,)),
    ask((BLUE,), "a dog is visible and a car is visible and a bus is visible"),
    ask((RED, BLUE)),
    ask((RED,), "a cat is visible"),
    ask((RED,), labels=("1", "2", "3", "4", "5")),
    ask((), labels=("A", "B")),
    ask((BLUE,), labels=WORDS),
    ask((RED,), labels=tuple(str(n) for n in range(1, 11))),
]


def read(engine: Engine, probes: list[Probe]) -> list[AnswerProbs]:
    answers = engine.answer_probs(probes)
    refused = [answer.problem for answer in answers if answer.problem]
    assert not refused
    return answers


def close_to(left: AnswerProbs, right: AnswerProbs) -> bool:
    pairs = zip(left.p_labels, right.p_labels, strict=True)
    return all(abs(one - other) < TOLERANCE for one, other in pairs)


def test_steps_of_an_answer_are_read_or_say_why(engine: Engine) -> None:
    steps = ["There are 3.", "So 4."]
    solution = Solution.of("How many?", (RED,), steps)
    verdicts = drive(steps_flow(solution, Policy(open_means="no")), Models(engine).answer)
    assert [verdict.step for verdict in verdicts] == steps
    for verdict in verdicts:
        assert (verdict.score is None) == (verdict.test in {"label_mass", "unreadable"})
        assert verdict.score is not None or verdict.note
        assert verdict.outcome != "no" or verdict.kind or verdict.note


def test_card_names_the_label_tokens(engine: Engine) -> None:
    card = engine.card
    assert set(card.label_tokens) == {"yes", "no"}
    assert all(card.label_tokens.values())
    assert all(
        spelling.strip().lower() == label
        for label, spellings in card.label_tokens.items()
        for spelling in spellings
    )
    assert len(card.revision) == (0 if card.uri.startswith("decisions:") else 64)
    assert card.uri


def test_nothing_in_nothing_out(engine: Engine) -> None:
    assert engine.answer_probs([]) == []
    assert engine.reason([]) == []


def test_answers_are_probabilities(engine: Engine) -> None:
    for probe, answer in zip(MIXED, read(engine, MIXED), strict=True):
        assert len(answer.p_labels) == len(probe.labels)
        assert all(math.isfinite(p) and 0 <= p <= 1 for p in answer.p_labels)
        assert sum(answer.p_labels) <= 1 + TOLERANCE
        assert answer.score is not None
        assert answer.top


def test_a_batch_equals_one_by_one(engine: Engine) -> None:
    together = read(engine, MIXED)
    alone = [read(engine, [probe])[0] for probe in MIXED]
    assert all(map(close_to, together, alone))


def test_order_does_not_matter(engine: Engine) -> None:
    order = [7, 2, 9, 0, 5, 3, 8, 1, 6, 4]
    straight = read(engine, MIXED)
    assert read(engine, [MIXED[i] for i in order]) == [straight[i] for i in order]


def test_equal_probes_get_equal_answers(engine: Engine) -> None:
    answers = read(engine, [MIXED[0], MIXED[2], MIXED[0], MIXED[0]])
    assert answers[0] == answers[2] == answers[3]


def test_the_picture_is_looked_at(engine: Engine) -> None:
    red, blue, none = read(engine, [ask((RED,)), ask((BLUE,)), ask(())])
    assert not close_to(red, blue)
    assert not close_to(red, none)


def test_the_question_is_read(engine: Engine) -> None:
    one, other = read(engine, [ask((RED,)), ask((RED,), "a cat is visible")])
    assert not close_to(one, other)


def test_equal_pixels_are_one_picture(engine: Engine) -> None:
    twin = Picture.of(RED.pixels.copy(), frame=3)
    assert read(engine, [ask((RED,))]) == read(engine, [ask((twin,))])


def test_several_pictures_in_order(engine: Engine) -> None:
    one, two, swapped = read(engine, [ask((RED,)), ask((RED, BLUE)), ask((BLUE, RED))])
    assert not close_to(one, two)
    assert not close_to(two, swapped)


def free(*texts: str, images: tuple[Picture, ...] = (RED,), tokens: int = 8) -> Reasoning:
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    messages = tuple(Message(roles[i % 2], text) for i, text in enumerate(texts))
    return Reasoning(prompts.REASON, images, messages, max_tokens=tokens)


def test_one_reply_per_request_the_same_every_time(engine: Engine) -> None:
    requests = [
        free("What is it?"),
        free("What is it?", images=()),
        free("What is it?", "A square.", "So?"),
        free("What is it?", images=(RED, BLUE)),
        free("Is it red?", tokens=3),
        free("What is it?"),
    ]
    replies = engine.reason(requests)
    assert all(isinstance(reply, str) for reply in replies)
    assert len(replies) == len(requests)
    assert replies[0] == replies[5]
    assert engine.reason(requests[::-1]) == replies[::-1]


@pytest.fixture
def writer(engine: Engine) -> Engine:
    """The same engine, if it writes text; one that does not says so of each request."""
    if engine.card.uri.startswith("decisions:"):
        (reply,) = engine.reason([free("Well?")])
        assert isinstance(reply, NoReply)
        pytest.skip(reply.problem)
    return engine


class Report(BaseModel):
    """Every kind of field that a bounded schema may have."""

    subject: str = Field(min_length=2, max_length=12)
    colours: list[Literal["red", "blue"]] = Field(min_length=1, max_length=3)
    count: Literal[1, 2, 3]
    certain: bool


def forced(schema: type[BaseModel], question: str, tokens: int) -> Reasoning:
    return Reasoning(prompts.REASON, (RED,), (Message("user", question),), schema, tokens)


@pytest.mark.parametrize("schema", [prompts.ReasonedAnswer, Report])
def test_a_schema_forces_compact_json(writer: Engine, schema: type[BaseModel]) -> None:
    for reply in writer.reason([forced(schema, "Well?", 900), forced(schema, "And?", 900)]):
        schema.model_validate_json(reply)
        decoded = json.loads(reply)
        assert json.dumps(decoded, separators=(",", ":"), ensure_ascii=False) == reply


def drawn(request: Reasoning, seed: int, temperature: float = 2.0) -> Reasoning:
    return replace(request, sampling=Sampling(temperature, seed))


def test_a_seed_draws_one_reply_whatever_stands_beside_it(writer: Engine) -> None:
    if not writer.card.samples:
        pytest.skip("it draws no replies")
    request = free("What is it?", tokens=12)
    seeds = [drawn(request, seed) for seed in range(6)]
    replies = writer.reason([request, *seeds])
    assert len(set(replies[1:])) > 1
    assert writer.reason([*seeds[::-1], seeds[0]]) == [*replies[:0:-1], replies[1]]
    assert writer.reason([seeds[2]]) == [replies[3]]
    assert writer.reason([request]) == replies[:1]
    with pytest.raises(ValueError, match="at most 2"):
        drawn(request, 0, 2.5)
    form = forced(Report, "Well?", 200)
    for reply in writer.reason([drawn(form, 0), drawn(form, 1)]):
        Report.model_validate_json(reply)


def test_a_cut_reply_is_a_string_that_does_not_validate(engine: Engine) -> None:
    for reply in engine.reason([forced(prompts.ReasonedAnswer, "Well?", 4)]):
        with pytest.raises(ValueError, match="JSON"):
            prompts.ReasonedAnswer.model_validate_json(reply)


def test_requests_of_many_kinds_in_one_call(writer: Engine) -> None:
    mixed = [free("What?"), forced(Report, "Well?", 200), free("What?", images=())]
    replies = writer.reason(mixed)
    Report.model_validate_json(replies[1])
    assert [writer.reason([request])[0] for request in mixed] == replies


def test_any_text_may_be_a_statement(engine: Engine) -> None:
    odd = ["", " ", "<image>", "\x00\u202e", "a" * 600, "{{ 7 * 7 }} {% raw %}", "\U0001f600"]
    answers = engine.answer_probs([ask((RED,), statement) for statement in odd])
    assert all(answer.problem or answer.score is not None for answer in answers)


def test_general_engines_accept_every_statement(engine: Engine) -> None:
    if not engine.card.uri.endswith(":sketch"):
        engine.check_statements(["A", "anything at all"])


# --- how long a text is ---------------------------------------------------------------------------

TEXTS = [
    "",
    "a dog",
    "a dog is visible next to a fire and another dog",
    "Sch\u00f6ne Gr\u00fc\u00dfe \U0001f600 \u4f60\u597d, e\u0301t\u00e9",
    "<|im_end|> said </s> the <image>",
    "internationalisation " * 20,
    "x" * 300,
    "  \n\t two   spaces ",
]


def test_texts_are_counted_in_tokens(engine: Engine) -> None:
    counts = engine.text_tokens(TEXTS)
    assert counts == [engine.text_tokens([text])[0] for text in TEXTS]
    assert counts[0] == 0
    assert all(0 < count <= len(t.encode()) for count, t in zip(counts[1:], TEXTS[1:], strict=True))
    assert engine.text_tokens([]) == []
    assert engine.text_tokens(["\ud800 half a pair"])[0] > 0


@pytest.mark.parametrize("tokens", [-1, 0, 1, 2, 3, 5, 8, 40])
def test_a_text_is_cut_to_its_longest_beginning(engine: Engine, tokens: int) -> None:
    for text in TEXTS:
        beginning = engine.cut_text(text, tokens)
        assert text.startswith(beginning)
        assert engine.text_tokens([beginning])[0] <= max(tokens, 0)
        if beginning != text and tokens > 0:
            assert engine.text_tokens([text[: len(beginning) + 1]])[0] > tokens
        if engine.text_tokens([text])[0] <= tokens:
            assert beginning == text


def test_of_an_endless_text_only_the_beginning_is_looked_at(engine: Engine) -> None:
    beginning = engine.cut_text("a dog " * 500_000, 30)
    assert 10 < len(beginning) < 200
