"""A server that wants no more requests, or gives no replies: the run ends, and says why."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import loopback
import pytest
from given import picture
from limits import Limits
from loopback import MODEL, Loopback
from PIL import Image
from test_server import (  # the fixtures clear keys and close what was opened
    RULES,
    Waits,
    ask,
    check,
    closed_in_the_end,
    connect,
    crowd,
    no_keys,
    server,
    think,
)

from safejudge.cli import app as cli
from safejudge.errors import EngineCallError

__all__ = ["closed_in_the_end", "no_keys", "server"]


def busy(retry_after: str | None, says: str = "daily quota exceeded") -> Any:
    """429 for every request with a picture, with or without a wait that is asked for."""

    def refuse(handler: loopback.Handler) -> bool:
        headers = {} if retry_after is None else {"Retry_After": retry_after}
        handler.refuse(says, 429, **headers)
        return True

    return refuse


@pytest.mark.parametrize(
    ("retry_after", "asked"),
    [
        ("7200", "7,200 s"),
        ("1e9", "1,000,000,000 s"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", r"\d,\d\d\d s"),
        ("Fri, 31 Dec 9999 23:59:59 -0000", r"\d,\d\d\d s"),
        ("inf", "inf s"),
    ],
)
def test_a_wait_longer_than_patience_is_not_begun_and_ends_the_run(
    server: Loopback, retry_after: str, asked: str
) -> None:
    waits = Waits()
    engine = connect(server, waits)
    server.behave(fault=busy(retry_after), sour="statement 1")
    with pytest.raises(EngineCallError, match=rf"daily quota exceeded \(it asks.*{asked}"):
        engine.answer_probs(crowd(3, 1))
    assert waits == []
    with pytest.raises(EngineCallError, match="429: daily quota exceeded"):
        engine.reason([think("statement 1")])
    server.behave(fault=None)
    check(crowd(3, 1), engine.answer_probs(crowd(3, 1)))


@pytest.mark.parametrize("retry_after", [None, "0", "-5", "nan", "soon", "Fri, 99 Dec 9999"])
def test_to_be_refused_again_and_again_ends_the_run(
    server: Loopback, retry_after: str | None
) -> None:
    waits = Waits()
    engine = connect(server, waits, tries=4)
    server.behave(fault=busy(retry_after), sour="statement 1")
    with pytest.raises(EngineCallError, match=r"wants no more requests.*daily quota exceeded"):
        engine.answer_probs(crowd(3, 1))
    assert len(waits) == 3


def test_a_run_that_ended_for_want_of_quota_goes_on_where_it_stopped(
    server: Loopback, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    names = [f"{i}.png" for i in range(12)]
    for i, name in enumerate(names):
        Image.fromarray(picture(i).pixels).save(name)
    uri = f"server:{server.base}#{MODEL}"
    command = ["judge", *names, "--constitution", "rules.yaml", "--engine", uri, "--out", "r.jsonl"]
    command += ["--window", "4", "--no-cascade"]
    served = []

    def six(handler: loopback.Handler) -> bool:
        served.append(1)
        return len(served) > 6 and bool(busy("3600")(handler))

    server.behave(fault=six, every=1)
    assert cli.main(command) == 3
    assert "429: daily quota exceeded (it asks to wait 3,600 s)" in capsys.readouterr().err
    recorded = (tmp_path / "r.jsonl").read_text().splitlines()[1:]
    assert len(recorded) < 12
    assert "quota" not in "".join(recorded)
    server.behave(fault=None, every=0)
    assert cli.main([*command, "--resume"]) in {0, 1, 4}
    labels = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [one["image"] for one in labels] == names
    assert "quota" not in (tmp_path / "r.jsonl").read_text()


@pytest.mark.parametrize("fault", ["crash", "babble", "reset", "stall"])
def test_twenty_failures_in_a_row_end_the_run(server: Loopback, fault: str) -> None:
    limits = Limits()
    server.on_stall = limits.hang
    engine = connect(
        server, Waits(), limits.limit if fault == "stall" else asyncio.timeout, tries=1
    )
    server.behave(fault=getattr(loopback, fault), sour="statement")
    few = engine.answer_probs(crowd(8, 2))
    assert all(answer.problem for answer in few)
    with pytest.raises(EngineCallError, match="no longer answers: the last 20 requests all failed"):
        engine.answer_probs(crowd(40, 8))
    with pytest.raises(EngineCallError, match="no longer answers"):
        engine.reason([think("statement 1")])


def test_one_reply_in_between_is_a_new_beginning(server: Loopback) -> None:
    engine = connect(server, tries=1)
    server.behave(fault=loopback.crash, sour=": statement")
    for _ in range(4):
        assert all(answer.problem for answer in engine.answer_probs(crowd(8, 2)))
        assert engine.answer_probs([ask(())])[0].problem is None


def test_what_is_refused_or_cannot_be_read_is_no_failure(server: Loopback) -> None:
    engine = connect(server, tries=1)
    server.behave(fault=loopback.refuse, sour="statement")
    assert all(answer.problem for answer in engine.answer_probs(crowd(30, 6)))
    server.behave(fault=None, twist=lambda _: {"choices": []})
    assert all(answer.problem for answer in engine.answer_probs(crowd(30, 6)))


def test_the_first_silence_is_told_of(server: Loopback) -> None:
    limits = Limits()
    server.on_stall = limits.hang
    engine = connect(server, Waits(), limits.limit, tries=2)
    server.behave(fault=loopback.stall, sour="statement 0")
    with pytest.warns(UserWarning, match="did not answer within 600 s; waiting and trying again"):
        engine.answer_probs(crowd(1, 1))
