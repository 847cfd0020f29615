"""The judge that uploads share, forks, thresholds, and what is imported."""

import os
import subprocess
import sys
import threading

import pytest
from colours import PATIENCE, RULES, png

from safejudge.errors import BusyError
from safejudge.guards.refusals import Refusal, refusal_of
from safejudge.guards.shared import Opened
from safejudge.types import Decision, RuleDecision


def result(opened, name):
    return opened.front.submit(png(name)).result(PATIENCE)


def test_it_is_opened_once_and_closed_and_opened_again(shared):
    judge = shared()
    assert judge.ready is None
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(judge.opened(PATIENCE))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in seen}) == 1
    judge.close()
    judge.close()
    assert judge.ready is None
    assert result(judge.opened(PATIENCE), "green").label == "safe"


def test_who_does_not_wait_for_the_opening_is_told(shared):
    judge = shared()
    with judge._lock, pytest.raises(BusyError, match="being opened"):
        judge.opened(0.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_opens_its_own(shared):
    judge = shared()
    before = judge.opened(PATIENCE)

    def works():
        assert judge.ready is None
        after = judge.opened(PATIENCE)
        labels = [result(after, name).label for name in ("green", "red")]
        judge.close()
        return after is not before and labels == ["safe", "unsafe"]

    for _ in range(2):
        with judge._lock:  # a thread of the parent is just opening it
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = 0 if works() else 2
                finally:
                    os._exit(code)
        guard = threading.Timer(PATIENCE, os.kill, (child, 9))
        guard.start()
        _, status = os.waitpid(child, 0)
        guard.cancel()
        assert os.waitstatus_to_exitcode(status) == 0
    assert judge.ready is before
    assert result(before, "blue").label == "unsafe"


@pytest.mark.parametrize(
    ("actions", "refusal"),
    [
        ({}, None),
        ({"no-orange": "block"}, Refusal("unsafe", ("warm",))),
        ({"no-blue": "block", "no-orange": "block"}, Refusal("unsafe", ("warm", "cold"))),
        ({"no-blue": "person"}, Refusal("unsettled")),
    ],
)
@pytest.mark.parametrize("label", ["green", "red", "fog"])
def test_thresholds_decide_in_place_of_labels(shared, actions, refusal, label):
    opened = shared(policy={"allow_undecided": True}).opened(PATIENCE)
    said = {rule.id: RuleDecision(action=actions.get(rule.id, "pass")) for rule in RULES.rules}
    worst = next((a for a in ("block", "person") if a in actions.values()), "pass")
    decider = lambda _: Decision(action=worst, rules=said)  # noqa: E731
    deciding = Opened(opened.judge, opened.front, decider)
    assert refusal_of(result(opened, label), deciding) == refusal


def test_the_log_says_which_rule_and_the_refusal_does_not(shared, caplog):
    opened = shared().opened(PATIENCE)
    found = result(opened, "red")
    with caplog.at_level("INFO", "safejudge.guards"):
        refusal = refusal_of(found, opened)
    assert refusal == Refusal("unsafe", ("warm",))
    assert caplog.messages == [f"refused {found.id}: unsafe (no-red)"]


def test_no_framework_is_needed_until_one_is_used():
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = sys.modules['django'] = sys.modules['starlette'] = None\n"
        "import safejudge.guards, safejudge.guards.refusals\n"
        "safejudge.guards.SharedJudge('sketch', 'hf:sketch')\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
