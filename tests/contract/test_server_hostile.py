"""Replies of a server that contradict themselves, are no numbers, or are too long to keep."""

from __future__ import annotations

import json
from typing import Any

import loopback
import numpy as np
import pytest
from loopback import MODEL, Loopback
from test_server import (  # the fixtures clear keys and close what was opened
    MIXED,
    RED,
    SAYS_NO,
    TEXT_ONLY_LIST,
    ask,
    check,
    closed_in_the_end,
    connect,
    crowd,
    listing,
    no_keys,
    server,
    think,
    why_none,
)

from safejudge.errors import EngineCallError, EngineSetupError

__all__ = ["closed_in_the_end", "no_keys", "server"]


@pytest.mark.parametrize(
    "entry",
    [
        {"bytes": None},
        {"bytes": []},
        {"bytes": list(b"Yes")},
        {"token": "\u0120Yes", "bytes": list(b" Yes")},
        {"token": "\u2581Yes", "bytes": list(b"Yes")},
        {"token": "", "bytes": list(b"Yes")},
    ],
)
def test_tokens_are_written_in_many_ways(entry: dict[str, Any]) -> None:
    others = [
        {"token": "\ufffd", "bytes": [0xE2, 0x80], "logprob": -5.0},
        {"token": "\ufffd", "bytes": [0xE2, 0x80], "logprob": -6.0},
        {"token": "\u010a", "bytes": [10], "logprob": -7.0},
        {"token": "bytes:\\xe2", "bytes": [0xE2], "logprob": -7.0},
    ]
    with Loopback(**TEXT_ONLY_LIST) as server:
        engine = connect(server)
        server.behave(twist=lambda _: listing(entry, SAYS_NO, *others))
        (answer,) = engine.answer_probs([ask((RED,))])
    assert answer.problem is None
    assert answer.p_labels[0] == pytest.approx(np.exp(-0.7), abs=0.02)


TWICE = {
    "choices": ('"choices": [', '"choices": [], "choices": ['),
    "one token": ('"logprob": ', '"logprob": -0.1, "logprob": '),
    "escaped": ('"choices": [', '"ch\\u006fices": [], "choices": ['),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_reply_that_says_two_things_is_not_read(server: Loopback, name: str) -> None:
    engine = connect(server)
    plain = loopback.Handler.answer

    def doubled(handler: loopback.Handler, value: Any, status: int = 200, **headers: str) -> None:
        text = json.dumps(value).replace(*TWICE[name])
        plain(handler, text.encode(), status, **headers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loopback.Handler, "answer", doubled)
        (answer,) = engine.answer_probs([ask((RED,))])
        if name != "one token":
            assert "has one key twice" in why_none(engine, "a")
    assert "has one key twice" in str(answer.problem)
    assert answer.score is None
    check(MIXED, engine.answer_probs(MIXED))


# --- how much of it is kept -----------------------------------------------------------------------


def test_what_a_server_writes_into_records_is_bounded(server: Loopback) -> None:
    long = "x" * 1_000_000
    server.behave(writer=lambda _: long)
    engine = connect(server)
    assert len(engine.reason([think("a", max_tokens=16)])[0]) == 16 * 64
    for reply in (
        listing({"token": long}, {}),
        {"choices": [{"message": {"refusal": long}}]},
        {"choices": [{"message": {"refusal": {"why": [long]}}}]},
        listing({"logprob": long}),
    ):
        server.behave(twist=lambda _, reply=reply: reply)
        (answer,) = engine.answer_probs([ask((RED,))])
        assert len(answer.top) + len(answer.problem or "") < 500


def test_numbers_of_usage_that_are_no_counts_are_none(server: Loopback) -> None:
    engine = connect(server)
    for usage in (
        {"prompt_tokens": 10**4000},
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 10**4000}},
        {"prompt_tokens": -5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}},
    ):
        server.behave(twist=lambda reply, usage=usage: reply | {"usage": usage})
        assert engine.answer_probs([ask((RED,))])[0].problem is None
    assert (engine.tokens.prompt, engine.tokens.cached) == (10, None)


def saying(key: str, value: Any) -> Any:
    """A handler that puts a value in the place of every reply that has such a key."""
    plain = loopback.Handler.answer

    def answer(handler: loopback.Handler, said: Any, status: int = 200, **headers: str) -> None:
        told = {key: value} if isinstance(said, dict) and key in said else said
        plain(handler, told, status, **headers)

    return answer


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        (5, "serves no model"),
        (1.5, "serves no model"),
        (None, "serves no model"),
        ({"id": MODEL}, "serves no model"),
        ([5, None, {"id": 7}, {"id": "x" * 7_000_000}, {}], "serves no model"),
        ([{"id": f"{i}-{'y' * 290}"} for i in range(30)], "and 10 more"),
    ],
)
def test_a_list_of_models_that_is_none_is_refused_in_few_words(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, listed: Any, says: str
) -> None:
    monkeypatch.setattr(loopback.Handler, "answer", saying("data", listed))
    with pytest.raises(EngineSetupError, match=says) as caught:
        connect(server)
    assert len(str(caught.value)) < 3000


def test_a_version_is_short_and_plain(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "\x1b[2J" + "9" * 6_000_000
    monkeypatch.setattr(loopback.Handler, "answer", saying("version", long))
    version = connect(server).card.versions["vllm"]
    assert version.isprintable()
    assert len(version) <= 300


@pytest.mark.parametrize("ids", [5, [1.5], [True], [-1], [10**400], ["1"], None])
def test_tokens_that_are_no_ids_are_no_tokenizer(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, ids: Any
) -> None:
    monkeypatch.setattr(loopback.Handler, "answer", saying("tokens", ids))
    assert connect(server).answer_probs([ask((RED,))])[0].exact is False


# --- what is too long -----------------------------------------------------------------------------


def test_what_is_longer_than_the_model_takes_is_not_sent(server: Loopback) -> None:
    server.behave(context=600)
    engine = connect(server)
    short, long, endless = (ask((RED,), text) for text in ("short", "w " * 400, "w " * 60_000))
    server.seen.clear()
    answers = engine.answer_probs([short, long, endless])
    assert answers[0].problem is None
    assert "its text alone is 977 tokens long" in str(answers[1].problem)
    assert "the model takes 600" in str(answers[1].problem)
    assert "longer than the 600 tokens" in str(answers[2].problem)
    assert len(server.chats()) == 1
    assert len([r for r in server.seen if r.path == "/tokenize"]) == 2
    assert "600" in why_none(engine, "w " * 400)


@pytest.mark.parametrize("context", [None, 0, -1, True, 1.5, "600", 10**400])
def test_a_context_that_is_no_length_is_not_known(server: Loopback, context: Any) -> None:
    server.behave(context=context)
    assert connect(server).answer_probs([ask((RED,), "w " * 400)])[0].problem is None


def test_texts_are_counted_by_the_servers_tokenizer(server: Loopback) -> None:
    engine = connect(server)
    assert engine.text_tokens(["Yes No", "", "abc"]) == [2, 0, 3]
    assert engine.cut_text("Yes No Yes", 2) == "Yes No"
    assert engine.cut_text("a" * 1000, 7) == "a" * 7
    server.seen.clear()
    assert engine.cut_text("ab", 5) == "ab"
    assert engine.text_tokens(["Yes No"]) == [2]
    assert server.seen == []  # short by its bytes; and what was counted is known
    with Loopback(**TEXT_ONLY_LIST) as blind:
        engine = connect(blind)
        assert engine.text_tokens(["Yes No", "\u00e9"]) == [6, 2]
        assert engine.cut_text("Yes No Yes", 2) == "Ye"


def test_a_tokenizer_that_fails_leaves_the_bound(server: Loopback) -> None:
    engine = connect(server)
    server.behave(tokenizer=False)
    assert engine.text_tokens(["Yes No"]) == [6]
    assert engine.cut_text("Yes No Yes", 2) == "Ye"
    engine.close()
    with pytest.raises(EngineCallError, match="closed"):
        engine.text_tokens(["a"])


# --- the key --------------------------------------------------------------------------------------

KEY = "sk-secret-0123456789-abcdefghij"


@pytest.mark.parametrize("shown", [0, *range(360, 404, 4), 1970, 1990])
@pytest.mark.parametrize("form", ["json", "plain", "detail", "white space"])
def test_a_key_across_the_cut_of_an_error_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, shown: int, form: str
) -> None:
    monkeypatch.setenv("SAFEJUDGE_API_KEY", KEY)
    words = ("  " if form == "white space" else "x") * shown + KEY + " tail"
    said = {"json": {"error": {"message": words}}, "detail": {"detail": words}}.get(form)
    with Loopback(key=KEY) as server:
        engine = connect(server)

        def answer(handler: loopback.Handler) -> bool:
            handler.answer(words.encode() if said is None else said, 400)
            return True

        server.behave(fault=answer, sour="statement")
        problem = str(engine.answer_probs(crowd(1, 1))[0].problem)
    assert "sk-" not in problem
    assert "answered 400" in problem


def test_a_key_in_a_reply_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFEJUDGE_API_KEY", KEY)
    with Loopback(key=KEY) as server:
        engine = connect(server)
        server.behave(writer=lambda _: f"I was sent {KEY}.")
        assert engine.reason([think("a")]) == ["I was sent ***."]
        for reply in (
            listing({"token": f"my {KEY}"}, {}),
            {"choices": [{"message": {"refusal": {"to": [[KEY]], KEY: 1}}}]},
            {"choices": [{"message": {"refusal": f"no, {KEY}"}}]},
        ):
            server.behave(twist=lambda _, reply=reply: reply)
            (answer,) = engine.answer_probs([ask((RED,))])
            assert "secret" not in repr(answer)


def test_a_short_key_is_no_secret_and_stays_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFEJUDGE_API_KEY", "No")
    with Loopback(key="No") as server:
        check(MIXED, connect(server).answer_probs(MIXED))
