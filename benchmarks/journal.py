"""How a journal of a million judgments behaves: adding, searching, the queue, the weeks.

    python benchmarks/journal.py [--rows 1000000] [--database sqlite] [--database postgresql]

The database makes most rows itself, so that there are many soon: short records of four rules each,
over half a year, a tenth of them a question to people. How fast the library adds rows is measured
with some thousands. One reviewer has answered the 20,000 most urgent questions, which a second one
has yet to answer: the worst that a queue can be asked for. Times are the median and the slowest of
twenty calls. PostgreSQL is the one of `pgserver`, as it is installed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import measure
import numpy as np
from sqlalchemy import text

from safejudge import AllOf, Constitution, Judge, Precondition, Rule, Severity
from safejudge.engines.fake import FakeEngine
from safejudge.journal.queue import questions
from safejudge.journal.rows import Row, packed, rule_digest
from safejudge.journal.store import DAY, Journal
from safejudge.journal.weeks import bring_up_to_date
from safejudge.serve.review import lead, routes
from safejudge.serve.review.asked import Review
from safejudge.serve.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("cat", "dog", "fire", "knife")
ANSWERED = 20_000
TOGETHER = 50_000
SPAN = 182 * DAY
ADDED = 1000
CALLS = 20
PAGE = 50

SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :a UNION ALL SELECT i + 1 FROM n WHERE i < :b)",
    "postgresql": "WITH n(i) AS (SELECT generate_series(CAST(:a AS bigint), CAST(:b AS bigint)))",
}
ID = {
    "sqlite": "lower(hex(randomblob(32)))",
    "postgresql": "encode(sha256(CAST(CAST(i AS text) AS bytea)), 'hex')",
}


def rules() -> Constitution:
    """Four rules of one statement each."""
    made = [
        Rule(
            id=name,
            category="things",
            severity=Severity.LOW,
            text=f"No {name}.",
            objective=f"No {name}.",
            condition=AllOf(all=(Precondition(statement=f"a {name} is visible"),)),
        )
        for name in NAMES
    ]
    return Constitution(name="things", rules=tuple(made))


def pictures(count: int) -> list[Any]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 255, (count, 8, 8, 3), dtype=np.uint8))


# --- filling --------------------------------------------------------------------------------------


def added(journal: Journal, judge: Judge) -> dict[str, float]:
    """Rows a second that the library adds: one a call, and 64 a call."""
    results = judge(pictures(2 * ADDED))
    begun = time.perf_counter()
    for result in results[:ADDED]:
        journal.add(judge, [Row(result)])
    one = ADDED / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for start in range(ADDED, 2 * ADDED, 64):
        journal.add(judge, [Row(result) for result in results[start : start + 64]])
    return {"one": one, "many": ADDED / (time.perf_counter() - begun)}


def fill(journal: Journal, judge: Judge, count: int) -> float:
    """Have the database make rows; return the seconds it took."""
    begun = time.perf_counter()
    (result,) = judge(pictures(1))
    values = {"record": packed({"image": "x"} | result.model_dump(mode="json"))}
    with journal.writing() as connection:
        values["head"] = journal._head(connection, journal.made_by(judge))  # noqa: SLF001
    first_rule, *_ = judge.constitution.rules
    (first,) = _numbers(journal, "SELECT COALESCE(MAX(id), 0) FROM judgments")
    for start in range(first, first + count, TOGETHER):
        end = min(start + TOGETHER, first + count)
        _judgments(journal, values | {"a": start + 1, "b": end, "start": time.time() - SPAN,
                                      "step": SPAN / count, "first": first})  # fmt: skip
        _scores(journal, judge, start + 1, end)
    with journal.writing() as connection:
        connection.execute(text(NEEDS), {"first": first})
        said = {"now": time.time(), "most": ANSWERED, "digest": rule_digest(first_rule)}
        connection.execute(text(PEOPLE), said)
        connection.execute(text("ANALYZE"))
    return time.perf_counter() - begun


NEEDS = """
INSERT INTO needs (judgment, rule, why, image_id, rank, open)
SELECT id, 'cat', CASE (id / 10) % 4 WHEN 0 THEN 'undecided' WHEN 1 THEN 'between'
  WHEN 2 THEN 'shadow' ELSE 'audit' END, image_id, (id * 7919 % 1000) / 1000.0, 1
FROM judgments WHERE id > :first AND id % 10 = 1
"""
PEOPLE = """
INSERT INTO people (at, image_id, rule, rule_digest, verdict, reviewer, note)
SELECT :now, image_id, rule, :digest, 'violates', 'ann', '' FROM needs
WHERE open = 1 AND why = 'undecided' ORDER BY rank DESC, judgment DESC LIMIT :most
"""


def _judgments(journal: Journal, values: dict[str, Any]) -> None:
    name = journal.engine.dialect.name
    insert = f"""
    INSERT INTO judgments
      (id, at, image, image_id, head, caption, variant, client, label, score, record)
    {SERIES[name]}
    SELECT i, :start + (i - :first) * :step, 'upload', {ID[name]}, :head, '', '', 'shop',
      CASE i % 20 WHEN 0 THEN 'unsafe' WHEN 1 THEN 'undecided' ELSE 'safe' END, 0.5, :record
    FROM n
    """  # noqa: S608 - the words are those above
    if name == "sqlite":  # there the series stands before the statement
        insert = insert.replace(SERIES[name], "").replace("INSERT", f"{SERIES[name]} INSERT", 1)
    with journal.writing() as connection:
        connection.execute(text(insert), values)


def _scores(journal: Journal, judge: Judge, first: int, last: int) -> None:
    insert = """
    INSERT INTO scores (judgment, rule, rule_digest, outcome, score)
    SELECT id, :rule, :digest, CASE (id + :number) % 25 WHEN 0 THEN 'violated'
      WHEN 1 THEN 'undecided' ELSE 'not_violated' END,
      ((id * 7919 + :number * 104729) % 1000) / 1000.0
    FROM judgments WHERE id BETWEEN :first AND :last
    """
    with journal.writing() as connection:
        for number, rule in enumerate(judge.constitution.rules):
            values = {"rule": rule.id, "digest": rule_digest(rule), "number": number}
            connection.execute(text(insert), values | {"first": first, "last": last})


def _numbers(journal: Journal, query: str) -> list[int]:
    with journal.reading() as connection:
        return [int(row[0]) for row in connection.execute(text(query))]


# --- asking ---------------------------------------------------------------------------------------


def timed(does: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of some calls."""
    took = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        does()
        took.append(1000 * (time.perf_counter() - begun))
    return {"median": statistics.median(took), "slowest": max(took)}


def searches(journal: Journal) -> dict[str, dict[str, float]]:
    """How long what people look for takes."""
    (one,) = journal.search(newest=True, limit=1)
    day = time.time() - SPAN / 2
    wanted: dict[str, dict[str, Any]] = {
        "by image": {"image_id": one.image_id},
        "by the beginning of an image": {"image_id": one.image_id[:12]},
        "by rule, the newest 50": {"rule": "cat", "newest": True, "limit": PAGE},
        "by label, the newest 50": {"label": "unsafe", "newest": True, "limit": PAGE},
        "of a day, 50": {"since": day, "until": day + DAY, "limit": PAGE},
        "by rule, of a day, 50": {
            "rule": "cat", "since": day, "until": day + DAY, "limit": PAGE,
        },
    }  # fmt: skip
    return {
        name: timed(lambda values=values: list(journal.search(**values)))
        for name, values in wanted.items()
    }


def reviewer(journal: Journal, judge: Judge, who: str) -> Review:
    """Stand in for a request to the server."""
    version = SimpleNamespace(judge=judge)
    service = SimpleNamespace(latest=version, problem=None)
    context: Any = SimpleNamespace(settings=Settings(reviewers=2), service=service)
    return Review(context, journal, who)


def asked(journal: Journal, judge: Judge) -> dict[str, Any]:
    """Measure the page of a review."""
    fresh, ann = (reviewer(journal, judge, who) for who in ("eve", "ann"))
    first = questions(journal, "eve", limit=1)[0]
    found = {
        "queue": timed(lambda: routes.queue(fresh)),
        "queue, 20,000 answered": timed(lambda: routes.queue(ann)),
        "one question": timed(lambda: routes.item(fresh, first.judgment, first.rule)),
    }
    begun = time.perf_counter()
    rows = bring_up_to_date(journal)
    found["weeks"] = {"rows": rows, "seconds": time.perf_counter() - begun}
    found["weeks, nothing new"] = timed(lambda: bring_up_to_date(journal))
    found["view of the rules"] = timed(lambda: lead.rules(fresh, 26))
    return found


def run(name: str, rows: int) -> dict[str, Any]:
    """Measure one database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = str(folder / "journal.db")
        if name == "postgresql":
            import pgserver  # noqa: PLC0415 - only where it is measured

            server = pgserver.get_server(folder / "postgres")
            stack.callback(server.cleanup)
            address = server.get_uri()
        journal = stack.enter_context(Journal(address))
        judge = stack.enter_context(Judge.load(rules(), FakeEngine(), cache=None))
        found: dict[str, Any] = {"added": added(journal, judge)}
        found["fill"] = fill(journal, judge, rows)
        found["rows"] = journal.count()
        found["bytes"] = _size(folder, journal)
        print(f"{name}: {found['rows']} rows in {found['fill']:.0f} s", flush=True)
        return found | {"searches": searches(journal), "asked": asked(journal, judge)}


def _size(folder: Path, journal: Journal) -> int:
    if journal.engine.dialect.name == "sqlite":
        return sum(file.stat().st_size for file in folder.glob("journal.db*"))
    return _numbers(journal, "SELECT pg_database_size(current_database())")[0]


# --- telling --------------------------------------------------------------------------------------


def table(found: dict[str, dict[str, Any]]) -> str:
    """Write all of it as one table."""

    def of(get: Callable[[dict[str, Any]], str]) -> str:
        return " | ".join(get(one) for one in found.values())

    def times(kind: str, name: str) -> str:
        return of(lambda o: f"{o[kind][name]['median']:.1f} ({o[kind][name]['slowest']:.0f})")

    def line(name: str, get: Callable[[dict[str, Any]], str]) -> str:
        return f"| {name} | {of(get)} |"

    some = next(iter(found.values()))
    rows = [
        f"| | {' | '.join(found)} |",
        f"|---|{'---:|' * len(found)}",
        line("judgments", lambda o: f"{o['rows']:,}"),
        line("GB", lambda o: f"{o['bytes'] / 1e9:.2f}"),
        line("`add`, one a call: rows/s", lambda o: f"{o['added']['one']:.0f}"),
        line("`add`, 64 a call: rows/s", lambda o: f"{o['added']['many']:.0f}"),
        line("made by the database itself: rows/s", lambda o: f"{o['rows'] / o['fill']:.0f}"),
        *(f"| search {name}: ms | {times('searches', name)} |" for name in some["searches"]),
        *(
            f"| {name}: ms | {times('asked', name)} |"
            for name, one in some["asked"].items()
            if "median" in one
        ),
        line("weeks of all of it, once: s", lambda o: f"{o['asked']['weeks']['seconds']:.1f}"),
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", action="append", choices=list(SERIES))
    options = parser.parse_args()
    found = {name: run(name, options.rows) for name in options.database or SERIES}
    note = (
        "Median of twenty calls, the slowest in brackets. The queue's page is what the review page "
        "asks for, without HTTP: 50 questions, their names, and how many are open."
    )
    measure.record("journal", {"found": found}, f"{table(found)}\n\n{note}")


if __name__ == "__main__":
    main()
