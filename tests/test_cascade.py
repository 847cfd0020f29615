"""Reasoning in two turns, and replies that are no answers."""

import json

import numpy as np
import pytest

from safejudge import prompts
from safejudge.flow import drive
from safejudge.method.reasoning import outcome_of, read_reply, reason_flow
from safejudge.policy import Policy
from safejudge.types import Outcome, Picture, Precondition, ReasoningTrace

PICTURE = Picture.of(np.zeros((2, 2, 3), np.uint8))
LEAF = Precondition(statement="A dog is visible.")
GOOD = '{"rationale": "There is a dog.", "rating": "Yes"}'


def converse(*replies, caption=None, policy=Policy()):  # noqa: B008 - frozen
    asked = []
    answers = iter(replies)

    def answer(requests):
        asked.extend(requests)
        return [next(answers) for _ in requests]

    return drive(reason_flow(LEAF, PICTURE, caption, policy), answer), asked


def test_two_turns_of_one_conversation():
    trace, (first, second) = converse("I see a dog.", GOOD, caption="my pet")
    assert (trace.text, trace.rationale, trace.rating) == ("I see a dog.", "There is a dog.", "Yes")
    assert trace.problem is None
    assert first.images == second.images == (PICTURE,)
    assert first.schema is None
    assert first.max_tokens == Policy().max_reasoning_tokens
    assert second.schema is prompts.ReasonedAnswer
    assert second.messages[0] == first.messages[0]
    assert [m.role for m in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1].text == "I see a dog."
    assert "my pet" in first.messages[0].text


HOSTILE = {
    "truncated": GOOD[:-3],
    "text before": "Sure! " + GOOD,
    "text after": GOOD + " I hope this helps.",
    "code fence": f"```json\n{GOOD}\n```",
    "two objects": GOOD + GOOD,
    "extra key": '{"rationale": "r", "rating": "Yes", "safe": true}',
    "missing rating": '{"rationale": "r"}',
    "missing rationale": '{"rating": "Yes"}',
    "empty rationale": '{"rationale": "", "rating": "Yes"}',
    "rationale too long": json.dumps({"rationale": "x" * 201, "rating": "Yes"}),
    "lower case": '{"rationale": "r", "rating": "yes"}',
    "upper case": '{"rationale": "r", "rating": "YES"}',
    "padded": '{"rationale": "r", "rating": " Yes"}',
    "other word": '{"rationale": "r", "rating": "Maybe"}',
    "boolean": '{"rationale": "r", "rating": true}',
    "number": '{"rationale": "r", "rating": 1}',
    "list": '{"rationale": "r", "rating": ["Yes"]}',
    "null": '{"rationale": "r", "rating": null}',
    "NaN": '{"rationale": "r", "rating": NaN}',
    "bare NaN": "NaN",
    "nested": json.dumps({"answer": json.loads(GOOD)}),
    "in a list": f"[{GOOD}]",
    "a string of JSON": json.dumps(GOOD),
    "prose": "Yes",
    "JSON word": '"Yes"',
    "two ratings": '{"rationale": "r", "rating": "No", "rating": "Yes"}',
    "two rationales": '{"rationale": "r", "rationale": "s", "rating": "Yes"}',
    "single quotes": "{'rationale': 'r', 'rating': 'Yes'}",
    "empty": "",
    "blank": " \n ",
    "half a surrogate pair": '{"rationale": "\ud800", "rating": "Yes"}',
    "escaped half pair": '{"rationale": "\\ud800", "rating": "Yes"}',
    "deep": "[" * 100_000,
    "deep in a key": '{"rationale": '
    + "[" * 5000
    + "]" * 5000
    + ', "rationale": "r", "rating": "Yes"}',
    "huge": "Yes " * 100_000,
    "bytes": GOOD.encode(),
    "None": None,
    "parsed already": json.loads(GOOD),
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_reply_outside_the_schema_is_no_verdict(reply):
    trace, _ = converse("I see a dog. Yes.", reply)
    assert trace.rating is None
    assert trace.rationale is None
    assert trace.problem
    assert len(trace.problem) < 400
    trace.model_dump_json()
    assert outcome_of(trace, Policy()) is Outcome.UNDECIDED
    assert outcome_of(trace, Policy.clue()) is Outcome.NO


@pytest.mark.parametrize("thought", ["", "  \n", None, b"I see"])
def test_reasoning_that_says_nothing_is_not_summed_up(thought):
    trace, asked = converse(thought, GOOD)
    assert len(asked) == 1
    assert trace.rating is None
    assert trace.problem


def test_reasoning_text_can_always_be_written():
    trace, _ = converse("a \udfff b", GOOD)
    assert "a ? b" in trace.model_dump_json()
    assert trace.rating == "Yes"


def test_space_around_the_json_is_no_fault():
    assert read_reply("t", f"\n {GOOD}\n").rating == "Yes"


@pytest.mark.parametrize(
    ("rating", "default", "clue"),
    [
        ("Yes", Outcome.YES, Outcome.YES),
        ("No", Outcome.NO, Outcome.NO),
        ("Unsure", Outcome.UNDECIDED, Outcome.NO),  # Algorithm 1: anything but Yes
    ],
)
def test_ratings(rating, default, clue):
    trace = ReasoningTrace(text="t", rationale="r", rating=rating)
    assert outcome_of(trace, Policy()) is default
    assert outcome_of(trace, Policy.clue_tree()) is clue
