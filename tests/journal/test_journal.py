"""A journal: what is added is found, once, by several writers, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import select

from safejudge import InputError, Judge, OutputError, Policy
from safejudge.decide.decision import decide as decide_by
from safejudge.engines.fake import FakeEngine
from safejudge.files import records
from safejudge.journal import tables
from safejudge.journal.address import is_journal
from safejudge.journal.database import plain
from safejudge.journal.held import Held, settled_actions, with_people
from safejudge.journal.people import (
    Said,
    agreed_on,
    decide,
    decisions,
    holding,
    outdated,
    withdraw,
)
from safejudge.journal.queue import needs_of, open_counts, questions
from safejudge.journal.retention import prune
from safejudge.journal.rows import Need, Row, rule_digest
from safejudge.journal.store import DAY, Journal
from safejudge.types import CaptionUse, Decision, Failure, Frames, RuleDecision

PATIENCE = 60


def test_what_is_added_is_found_again_whole(journal, judge, results):
    assert journal.add(judge, [Row(result, client="shop") for result in results]) == 21
    kept = list(journal.search())
    for one, result in zip(kept, results, strict=True):
        assert one.record == json.loads(records.to_line(records.record(result.image, result)))
        assert one.client == "shop"
    assert kept[-1].label == "failed"
    assert journal.count() == 21
    (head,) = journal.heads().values()
    assert head["constitution"] == judge.constitution.model_dump(mode="json")


def test_the_same_judgment_is_kept_once(journal, judge, results):
    journal.add(judge, [Row(result) for result in results])
    assert journal.add(judge, [Row(result) for result in results]) == 0
    assert journal.add(judge, [Row(results[0], caption="a cat")]) == 1
    assert journal.add(judge, [Row(results[0], variant="other")]) == 1
    with Judge.load(
        judge.constitution, FakeEngine(), Policy(accept_factor=0.7), cache=None
    ) as other:
        assert journal.add(other, [Row(results[0])]) == 1
        assert len(journal.heads()) == 2
    assert journal.count() == 24


def test_a_search_finds_what_fits_all_of_it(journal, judge, results):
    for number, result in enumerate(results):
        row = Row(result, client="a" if number % 2 else "b")
        journal.add(judge, [row], at=1000.0 + number)
    everything = list(journal.search())
    for label in ("safe", "unsafe", "undecided", "failed"):
        found = [one.id for one in journal.search(label=label)]
        assert found == [one.id for one in everything if one.label == label]
    for outcome in ("violated", "not_violated", "undecided"):
        found = [one.id for one in journal.search(rule="cat", outcome=outcome)]
        assert found == [
            one.id
            for one in everything
            if one.record.get("rules", {}).get("cat", {}).get("outcome") == outcome
        ]
    assert len(list(journal.search(client="a", since=1010.0, until=1015.0))) == 2
    first = everything[0]
    assert [o.id for o in journal.search(image_id=first.image_id[:12])] == [first.id]
    newest = list(journal.search(newest=True, limit=3))
    assert [one.id for one in newest] == [one.id for one in everything[:-4:-1]]
    assert journal.get(first.id) == first
    assert journal.get(10**6) is None


def test_old_judgments_are_let_go_of_and_it_is_written_down(journal, judge, results):
    for number, result in enumerate(results):
        journal.add(judge, [Row(result)], at=number * DAY)
    decide(journal, Said(results[0].id, "cat", "x", "violates", "ann"))
    assert prune(journal, 10.0, "ann", now=21 * DAY) == 11
    assert journal.count() == 10
    assert min(one.at for one in journal.search()) == 11 * DAY
    assert len(decisions(journal)) == 1
    assert journal.trail()[0]["what"] == "prune"
    assert journal.trail()[0]["judgments"] == 11


def test_tables_of_a_newer_program_are_refused(address):
    with Journal(address) as journal, journal.writing() as connection:
        connection.execute(tables.VERSIONS.update().values(version=tables.VERSION + 1))
    with pytest.raises(OutputError, match="newer program"):
        Journal(address)


def test_tables_of_an_older_program_are_brought_up_to_date(address, monkeypatch):
    Journal(address).close()
    monkeypatch.setattr(tables, "VERSION", 3)
    steps = []
    monkeypatch.setitem(tables.MIGRATIONS, 1, lambda _: steps.append(1))
    monkeypatch.setitem(tables.MIGRATIONS, 2, lambda _: steps.append(2))
    with Journal(address) as journal, journal.reading() as connection:
        assert connection.execute(select(tables.VERSIONS.c.version)).scalar() == 3
    assert steps == [1, 2]


def test_another_database_is_left_alone(tmp_path):
    import sqlite3

    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE accounts (id INTEGER)")
    with pytest.raises(InputError, match="no journal"):
        Journal(str(file))
    text = tmp_path / "records.jsonl"
    text.write_text("{}\n")
    with pytest.raises(InputError, match="cannot be opened"):
        Journal(str(text))
    assert is_journal(str(file))
    assert not is_journal(str(text))
    assert not is_journal(str(tmp_path / "missing"))


def test_no_password_is_shown():
    told = plain("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in told
    with pytest.raises(InputError) as error:
        Journal("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(error.value)


def test_several_writers_lose_nothing_and_double_nothing(address, judge, results):
    Journal(address).close()
    added, errors = [], []

    def write():
        try:
            with Journal(address) as journal:
                for result in results:
                    added.append(journal.add(judge, [Row(result)]))
                    journal.add(judge, [Row(result, client="x", variant=f"{len(added)}")])
        except Exception as error:  # noqa: BLE001 - the test fails on any
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    assert sum(added) == len(results)
    with Journal(address) as journal:
        assert len(list(journal.search())) == len(results)


def test_a_kill_loses_only_what_was_under_way(address, tmp_path):
    """Each row is told on a pipe once `add` has returned: all of those are there."""
    code = """
import sys
sys.path[:0] = sys.argv[2:]
import numpy as np
from conftest import rules
from safejudge import Judge
from safejudge.engines.fake import FakeEngine
from safejudge.journal.rows import Row
from safejudge.journal.store import Journal
judge = Judge.load(rules("cat"), FakeEngine(), cache=None)
journal = Journal(sys.argv[1])
number = 0
while True:
    picture = np.full((8, 8, 3), number % 256, np.uint8)
    picture[0, 0, 0] = number // 256
    (result,) = judge([picture])
    journal.add(judge, [Row(result)])
    print(result.id, flush=True)
    number += 1
"""
    here = os.path.dirname(__file__)  # noqa: PTH120 - a word of a command line
    process = subprocess.Popen(
        [sys.executable, "-c", code, address, here], stdout=subprocess.PIPE, text=True
    )
    told = [process.stdout.readline().strip() for _ in range(25)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    with Journal(address) as journal:
        kept = [one.image_id for one in journal.search()]
    assert kept[: len(told)] == told
    assert len(kept) <= len(told) + 1


# --- people -----------------------------------------------------------------------------------


def test_a_decision_holds_until_it_is_withdrawn(journal, judge, results):
    digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
    image = results[0].id
    said = Said(image, "cat", digests["cat"], "violates", "ann", "a tail")
    number = decide(journal, said)
    held = holding(journal, [image], digests)
    assert held[image]["cat"].verdict == "violates"
    assert held[image]["cat"].reviewers == ("ann",)
    assert holding(journal, ["other"], digests) == {}
    withdraw(journal, number, "bob")
    assert holding(journal, [image], digests) == {}
    with pytest.raises(InputError, match="no decision"):
        withdraw(journal, number, "bob")
    (gone,) = decisions(journal, standing=False)
    assert gone.withdrawn_by == "bob"
    assert [change["what"] for change in journal.trail()] == ["withdraw", "decide"]


def test_a_decision_expires_with_its_rule(journal, rules_of):
    before, after = rules_of("cat"), rules_of("cat", text="Neither {} nor tail.")
    old = {rule.id: rule_digest(rule) for rule in before.rules}
    new = {rule.id: rule_digest(rule) for rule in after.rules}
    decide(journal, Said("a" * 64, "cat", old["cat"], "does_not", "ann"))
    assert "a" * 64 in holding(journal, ["a" * 64], old)
    assert holding(journal, ["a" * 64], new) == {}
    assert len(outdated(decisions(journal), new)) == 1
    assert outdated(decisions(journal), old) == []


def test_reviewers_who_disagree_hold_nothing(journal):
    def say(reviewer, verdict):
        return decide(journal, Said("b" * 64, "cat", "d", verdict, reviewer))

    def held(**more):
        return holding(journal, ["b" * 64], {"cat": "d"}, **more)

    say("ann", "violates")
    assert held()
    assert not held(reviewers=2)
    say("bob", "cannot_tell")
    assert held()
    assert not held(reviewers=2)
    say("bob", "does_not")
    assert not held()
    say("bob", "violates")  # takes the place of what he said before
    assert held(reviewers=2)["b" * 64]["cat"].reviewers == ("ann", "bob")
    assert len(decisions(journal)) == 2
    assert agreed_on([], 1) is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"verdict": "perhaps"}, "verdict"),
        ({"reviewer": ""}, "name"),
        ({"note": "x" * 3000}, "note"),
    ],
)
def test_what_is_no_decision_is_refused(journal, changed, told):
    values = {"verdict": "violates", "reviewer": "ann", "note": ""} | changed
    with pytest.raises(InputError, match=told):
        decide(journal, Said("c" * 64, "cat", "d", **values))
    assert decisions(journal) == []


# --- the queue --------------------------------------------------------------------------------


def test_the_queue_asks_what_is_open_and_not_what_was_answered(journal, judge, results):
    judged = [result for result in results if not isinstance(result, Failure)]
    rows = [
        Row(result, needs=(Need("cat", "undecided" if n % 2 else "audit", n / 20),))
        for n, result in enumerate(judged)
    ]
    journal.add(judge, rows)
    asked = questions(journal, "ann", limit=100)
    assert [one.why for one in asked] == ["undecided"] * 10 + ["audit"] * 10
    assert [one.rank for one in asked[:10]] == sorted(
        (n / 20 for n in range(1, 20, 2)), reverse=True
    )
    assert open_counts(journal) == {"undecided": 10, "between": 0, "shadow": 0, "audit": 10}
    first = asked[0]
    number = decide(journal, Said(first.image_id, "cat", "d", "violates", "ann"), reviewers=2)
    assert first not in questions(journal, "ann", limit=100)
    assert first in questions(journal, "bob", limit=100)
    decide(journal, Said(first.image_id, "cat", "d", "violates", "bob"), reviewers=2)
    assert first not in questions(journal, "eve", limit=100)
    assert open_counts(journal)["undecided"] == 9
    withdraw(journal, number, "ann", reviewers=2)
    assert first in questions(journal, "eve", limit=100)


def test_needs_are_what_is_not_settled(judge, results):
    shares = {"undecided": 0, "audit": 0}
    for result in results:
        needs = needs_of(result, None)
        if isinstance(result, Failure) or result.label != "undecided":
            assert needs == ()
        else:
            open_rules = {r for r, v in result.rules.items() if v.outcome == "undecided"}
            assert {need.rule for need in needs} == open_rules
            assert all(0 <= need.rank <= 1 for need in needs)
        if not isinstance(result, Failure):
            (need, *_) = needs_of(result, None, audit=1.0)
            shares[need.why] += 1
            person = Decision(action="person", rules={"dog": RuleDecision(action="person")})
            assert [n.why for n in needs_of(result, person)] == ["between"]
            assert needs_of(result, Decision(action="block")) == ()
    assert sum(shares.values()) == 20


# --- what people decided counts ---------------------------------------------------------------


def test_a_judgment_goes_by_what_people_decided(judge, results):
    for result in results:
        if isinstance(result, Failure):
            every = {"cat": Held("does_not", ("ann",), 0.0), "dog": Held("does_not", ("ann",), 0.0)}
            assert with_people(result, every, judge.policy) is result
            continue
        assert with_people(result, {}, judge.policy) is result
        for verdict, label in (("violates", "unsafe"), ("does_not", "safe")):
            held = {rule: Held(verdict, ("ann",), 0.0) for rule in ("cat", "dog")}
            said = with_people(result, held, judge.policy)
            assert said.label == label
            assert {v.score for v in said.rules.values()} == {float(verdict == "violates")}
            assert said.id == result.id
        one = with_people(result, {"cat": Held("does_not", ("ann",), 0.0)}, judge.policy)
        assert one.rules["dog"] == result.rules["dog"]
        assert (one.label == "unsafe") == (result.rules["dog"].outcome == "violated")


def test_what_nobody_looked_at_stays_open_whatever_people_say_of_rules(judge, results):
    policy = judge.policy.model_copy(update={"every_frame": True})
    unseen = results[0].model_copy(update={"frames": Frames(looked_at=8, of=80)})
    held = {rule: Held("does_not", ("ann",), 0.0) for rule in ("cat", "dog")}
    said = with_people(unseen, held, policy)
    assert (said.label, said.undecided_by) == ("undecided", ("frames",))
    hidden = results[0].model_copy(update={"caption": CaptionUse(tokens=900, shown=0)})
    assert with_people(hidden, held, policy).undecided_by == ("caption",)


def test_thresholds_leave_to_people_what_they_settled(judge, results):
    judgment = results[0]
    held = {"cat": Held("violates", ("ann",), 0.0), "dog": Held("does_not", ("ann",), 0.0)}
    decision = decide_by(judgment, {}, judge.policy, settled_actions(held))
    assert decision.action == "block"
    assert decision.rules["cat"].why == "a person decided"
    both = {rule: Held("does_not", ("ann",), 0.0) for rule in held}
    assert decide_by(judgment, {}, judge.policy, settled_actions(both)).action == "pass"
    half = {"dog": both["dog"]}
    assert decide_by(judgment, {}, judge.policy, settled_actions(half)).action == "person"
