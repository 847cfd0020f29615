"""Whatever a model replies: what the compiler writes can be read, and nothing is taken for done."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safejudge.compile import prompts
from safejudge.compile.run import compile_constitution
from safejudge.constitution.load import load_constitution, lock_path, read_lock
from safejudge.constitution.lock import dump_lock, parse_lock
from safejudge.engines.fake import FakeEngine
from safejudge.errors import ConstitutionError, EngineCallError

RULES = """\
name: wild
rules:
  - {id: a, category: c, severity: low, text: "No dogs, except on a lead."}
  - {id: b, category: c, severity: low, text: "No cats.", objective: A cat is visible.}
"""
ODD = st.text(max_size=60) | st.sampled_from(
    ["a dog is visible", "010", "1e3", "yes", "~", "- x", "a: b", "#", "'", "\u202e", "\ud800", "é"]
)
LOGIC = st.lists(
    st.sampled_from(["1", "2", "3", "and", "or", "not", "(", ")", "x"]), min_size=1, max_size=9
).map(" ".join)
REPLIES = {
    prompts.Score: st.fixed_dictionaries({"explanation": ODD, "score": st.integers(0, 11)}),
    prompts.Wording: st.fixed_dictionaries({"objective": ODD}),
    prompts.Statement: st.fixed_dictionaries(
        {"statement": ODD, "look_at": ODD, "more": st.booleans()}
    ),
    prompts.Logic: st.fixed_dictionaries({"combined": LOGIC | st.just("1") | st.just("1 or 2")}),
    prompts.Comparison: st.fixed_dictionaries(
        {"difference": ODD, "verdict": st.sampled_from(["same", "misses", "adds", "?"])}
    ),
}


class Wild(FakeEngine):
    """Replies with anything, most of it in the form that was asked for."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def reason(self, requests):
        return [self.reply(request) for request in requests]

    def reply(self, request):
        if request.schema is None or self.data.draw(st.integers(0, 19)) == 0:
            return self.data.draw(ODD)
        return json.dumps(self.data.draw(REPLIES[request.schema]))


@pytest.mark.filterwarnings("ignore:.*marked for review")
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_reply_makes_a_lock_that_cannot_be_read(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("wild") / "wild.yaml"
    file.write_text(RULES)
    results = compile_constitution(file, Wild(data), rounds=2, self_test=False)
    assert [result.id for result in results] == ["a", "b"]
    failed = [result.id for result in results if result.state == "failed"]
    lock = read_lock(lock_path(file))
    assert (lock is None) == (failed == ["a", "b"])
    if lock is not None:
        assert parse_lock("again", dump_lock(lock).encode()) == lock
        assert [entry.id for entry in lock.rules] == [name for name in "ab" if name not in failed]
        assert not any(entry.edited for entry in lock.rules)
    if failed:
        assert all(result.problem for result in results if result.state == "failed")
        with pytest.raises(ConstitutionError, match="has no `condition`"):
            load_constitution(file)
    else:
        for rule, entry in zip(load_constitution(file).rules, lock.rules, strict=True):
            assert (rule.objective, rule.condition) == (entry.objective, entry.condition)


class Short(FakeEngine):
    def reason(self, requests):  # noqa: ARG002 - what it is for
        return []


def test_an_engine_that_leaves_replies_out_is_not_believed(tmp_path):
    file = tmp_path / "wild.yaml"
    file.write_text(RULES)
    with pytest.raises(EngineCallError, match="0 replies to 1 requests"):
        compile_constitution(file, Short())
    with pytest.raises(EngineCallError, match="0 replies to 2 requests"):
        compile_constitution(file, Short(), self_test=False)
    assert not lock_path(file).exists()
