"""The summary by week counts every judgment once, whoever writes and sums meanwhile."""

import threading
from collections import Counter
from functools import partial

import pytest
from sqlalchemy import select

from safejudge.journal import weeks
from safejudge.journal.beside import answers, beside_the_judge
from safejudge.journal.people import Said, decide
from safejudge.journal.retention import prune
from safejudge.journal.rows import Need, Row, rule_digest
from safejudge.journal.store import DAY, Journal
from safejudge.journal.tables import SCORES
from safejudge.journal.weeks import bring_up_to_date, first_weeks, monday, week_of
from safejudge.types import Failure

PATIENCE = 60
MONDAY = 1_795_996_800.0
"""2026-11-30, 00:00 UTC."""


def test_a_week_begins_on_monday():
    assert week_of(MONDAY) == week_of(MONDAY + 7 * DAY - 1)
    assert week_of(MONDAY - 1) == week_of(MONDAY) - 1
    assert monday(week_of(MONDAY)) == MONDAY
    assert week_of(0.0) == 0


def by_hand(results, at):
    """What the summary should hold."""
    counts, totals = Counter(), Counter()
    for number, result in enumerate(results):
        if isinstance(result, Failure):
            continue
        for rule, verdict in result.rules.items():
            tenth = -1 if verdict.score is None else min(9, int(verdict.score * 10))
            key = (rule, week_of(at(number)), verdict.outcome, tenth)
            counts[key] += 1
            totals[key] += verdict.score or 0.0
    return counts, totals


def test_it_is_what_one_counts_by_hand(journal, judge, results):
    def at(number):
        return MONDAY + number * 2 * DAY

    for number, result in enumerate(results):
        journal.add(judge, [Row(result)], at=at(number))
        journal.add(judge, [Row(result, variant="other")], at=at(number))
        if number % 7 == 3:
            bring_up_to_date(journal, together=2)
    bring_up_to_date(journal)
    assert bring_up_to_date(journal) == 0
    counts, totals = by_hand(results, at)
    found = weeks.weeks(journal, since=0)
    assert {(o.rule, o.week, o.outcome, o.tenth): o.count for o in found} == counts
    for one in found:
        key = (one.rule, one.week, one.outcome, one.tenth)
        assert one.total == pytest.approx(totals[key])
    last = max(week for _, week, *_ in counts)
    assert {one.week for one in weeks.weeks(journal, since=last)} == {last}
    assert first_weeks(journal) == {1: week_of(MONDAY)}


def test_what_is_let_go_of_stays_counted(journal, judge, results):
    judged = [result for result in results if not isinstance(result, Failure)]
    journal.add(judge, [Row(result) for result in judged[:10]], at=MONDAY)
    # Nobody has looked yet: they are counted before they go.
    assert prune(journal, 1.0, "ann", now=MONDAY + 2 * DAY) == 10
    assert journal.count() == 0
    # Numbers go on, also where the table is empty: none of these may be passed over.
    journal.add(judge, [Row(result) for result in judged[10:]], at=MONDAY)
    bring_up_to_date(journal)
    total = sum(one.count for one in weeks.weeks(journal, since=0) if one.rule == "cat")
    assert total == len(judged)


def run(address, does, errors):
    try:
        with Journal(address) as journal:
            does(journal)
    except Exception as error:  # noqa: BLE001 - the test fails on any
        errors.append(error)


def write(judge, results, caption, journal):
    for result in results:
        journal.add(judge, [Row(result, caption=caption)])


def add_up(journal):
    for _ in range(12):
        bring_up_to_date(journal, together=3)


def test_nothing_is_lost_or_doubled_while_others_write_and_sum(address, judge, results):
    judged = [result for result in results if not isinstance(result, Failure)]
    Journal(address).close()
    works = [*(partial(write, judge, judged, str(n)) for n in range(3)), add_up, add_up]
    errors = []
    threads = [threading.Thread(target=run, args=(address, work, errors)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    with Journal(address) as journal:
        bring_up_to_date(journal)
        with journal.reading() as connection:
            there = Counter(connection.execute(select(SCORES.c.rule)).scalars())
        counted = Counter()
        for one in weeks.weeks(journal, since=0):
            counted[one.rule] += one.count
        assert counted == there
        assert there["cat"] == 3 * len(judged)


def test_a_number_that_comes_late_is_counted(postgresql, judge, results):
    """PostgreSQL gives numbers before it commits: a lower one may appear after a higher one."""
    from databases import fresh

    judged = [result for result in results if not isinstance(result, Failure)]
    place = fresh(postgresql)
    with Journal(place) as slow, Journal(place) as other:
        other.add(judge, [Row(judged[0])])
        with slow.writing() as connection:
            slow._add(connection, 1, slow.made_by(judge), Row(judged[1]), MONDAY)
            other.add(judge, [Row(judged[2])])
            thread = threading.Thread(target=bring_up_to_date, args=(other,))
            thread.start()
        thread.join(PATIENCE)
        bring_up_to_date(other)
        counted = sum(one.count for one in weeks.weeks(other, since=0) if one.rule == "cat")
    assert counted == 3


def test_people_stand_beside_the_judge_under_the_same_wording(journal, judge, results):
    digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
    judged = [result for result in results if not isinstance(result, Failure)]
    rows = [Row(result, needs=(Need("cat", "audit", 0.5),)) for result in judged[:2]]
    journal.add(judge, [*rows, *map(Row, judged[2:])])

    def say(place, verdict, who="ann", digest=digests["cat"]):
        decide(journal, Said(judged[place].id, "cat", digest, verdict, who))

    say(0, "violates")
    say(1, "violates")
    say(1, "does_not", "bob")
    say(2, "cannot_tell")
    say(3, "violates", digest="another")
    found = {one.image_id: one for one in beside_the_judge(journal, since=0.0)}
    assert {name: (one.people, one.why) for name, one in found.items()} == {
        judged[0].id: ("violates", "audit"),
        judged[1].id: ("split", "audit"),
        judged[2].id: ("cannot_tell", ""),
    }
    for place in range(3):
        assert found[judged[place].id].judge == judged[place].rules["cat"].outcome
    assert answers(journal)[judged[1].id, "cat", digests["cat"]] == {
        "ann": "violates",
        "bob": "does_not",
    }
    assert beside_the_judge(journal, since=1e12) == []
