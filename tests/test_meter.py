"""Where the time of a run goes: what is counted, and what is said of it."""

import json

import pytest
from PIL import Image

from safejudge.engines.fake import FakeEngine
from safejudge.engines.meter import IMAGES, Meter, Tokens, account, together
from safejudge.engines.server.topk import tokens_used
from safejudge.errors import EngineCallError
from safejudge.judge import Judge
from safejudge.show import terminal as show
from safejudge.types import AllOf, Constitution, Precondition, Rule, Severity


def constitution(*statements):
    leaves = tuple(Precondition(statement=statement) for statement in statements)
    rule = Rule(
        id="r", category="c", severity=Severity.HIGH, text="t", objective="o",
        condition=AllOf(all=leaves),
    )  # fmt: skip
    return Constitution(name="one", rules=(rule,))


def test_a_judge_counts_by_stage(tmp_path):
    engine = FakeEngine(lambda probe: 0.99 if probe.images else 0.5)
    judge = Judge.load(constitution("A.", "B."), engine, cache=None)
    judge([tmp_path / "missing.png"])
    assert judge.models.meter.requests == {IMAGES: 1}
    judge([b"neither", b"of both"])
    assert judge.models.meter.requests == {IMAGES: 3}
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    judge([tmp_path / "a.png"] * 2)  # equal pictures are asked once
    requests = judge.models.meter.requests
    assert requests == {IMAGES: 5, "questions": 4}  # A and B, each with its prior
    assert set(judge.models.meter.seconds) == {IMAGES, "questions"}
    assert all(seconds > 0 for seconds in judge.models.meter.seconds.values())


def test_what_fails_is_counted_too():
    meter = Meter()
    with pytest.raises(EngineCallError), meter.stage("questions", 3):
        raise EngineCallError("gone")
    assert meter.requests["questions"] == 3
    assert meter.seconds["questions"] > 0


def test_costs_add_up_and_leave_out_what_nobody_knows():
    meter = Meter()
    assert show.costs(meter, None, 5.0) == ""
    meter.seconds.update({"questions": 3.0, IMAGES: 0.5})
    meter.requests.update({"questions": 40, IMAGES: 2})
    text = show.costs(meter, None, 4.0)
    assert text == "4.00 s: questions 3.00, reading images 0.50, the rest 0.50; 10 questions/s"
    tokens = Tokens()
    assert show.costs(meter, tokens, 4.0) == text
    tokens.add(1500, None)
    assert show.costs(meter, tokens, 4.0) == f"{text}; 1,500 prompt tokens"
    tokens.add(500, 500)
    assert show.costs(meter, tokens, 4.0) == f"{text}; 2,000 prompt tokens, 25% cached"
    for prompt, cached in ((10**4000, 10**3999), (-5, None), (10**20, 0)):
        assert show.costs(meter, Tokens(prompt, cached), 4.0) == text
    for cached in (10**4000, -1, 2001):
        assert show.costs(meter, Tokens(2000, cached), 4.0) == f"{text}; 2,000 prompt tokens"
    # Threads that wait beside one another: more seconds than the clock, and no negative rest.
    assert "the rest 0.00" in show.costs(meter, None, 1.0)


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 64}}, (90, 64)),
        ({"prompt_tokens": 90, "prompt_tokens_details": None}, (90, None)),
        ({"prompt_tokens": "90", "prompt_tokens_details": {"cached_tokens": True}}, (0, None)),
        ({"prompt_tokens": 10**4000}, (0, None)),
        ({"prompt_tokens": -1}, (0, None)),
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 10**30}}, (90, None)),
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": -1}}, (90, None)),
        (None, (0, None)),
        ([], (0, None)),
    ],
)
def test_a_server_tells_its_tokens_or_does_not(usage, found):
    assert tokens_used({"usage": usage}) == found
    assert tokens_used({}) == (0, None)


def test_an_engine_that_does_not_count_is_no_fault():
    assert FakeEngine(lambda _: 0.5).tokens is None


def test_the_accounts_of_several_judges_add_up():
    one, two = Meter(), Meter()
    one.seconds["questions"], two.seconds["questions"] = 1.0, 2.0
    two.seconds["regions"] = 4.0
    one.requests["questions"], two.requests["questions"] = 10, 20
    accounts = [account(one, Tokens(100, 50)), account(two, Tokens(300, None))]
    meter, tokens = together(json.loads(json.dumps(accounts)))
    assert meter.seconds == {"questions": 3.0, "regions": 4.0}
    assert meter.requests == {"questions": 30}
    assert tokens == Tokens(400, 50)
    said = show.costs(meter, None, 5.0, judges=2)
    assert said == "5.00 s x 2 actors: regions 4.00, questions 3.00, the rest 3.00; 6 questions/s"
    assert together([account(one, None)])[1] is None
    assert show.costs(*together([]), 5.0, judges=2) == ""
