"""What came of each rule, week by week: a summary that is brought up to date when somebody looks.

Takes the scores of a journal; gives counts by rule, week, outcome and tenth of the score. A week
begins on Monday, in UTC. Every judgment is counted once, whoever else writes or sums meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, case, cast, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from safejudge.journal.tables import JUDGMENTS, SCORES, SUMMED, WEEKS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from safejudge.journal.store import Journal

WEEK = 604_800
"""Seconds."""
_MONDAY = 259_200
"""Seconds from the Monday before 1970 to its first day, a Thursday."""
TOGETHER = 20_000
"""Judgments of one step: while one is taken, nobody else writes to SQLite."""


@dataclass(frozen=True, slots=True)
class WeekOfRule:
    """So many images, of one rule, week, outcome and tenth of the score."""

    rule: str
    week: int
    outcome: str
    tenth: int
    """0 to 9; -1 where there is no score."""
    count: int
    total: float
    """Of the scores."""


def week_of(at: float) -> int:
    """Number the week of a moment, in seconds since 1970."""
    return int((at + _MONDAY) // WEEK)


def monday(week: int) -> float:
    """When a week begins, in seconds since 1970."""
    return float(week * WEEK - _MONDAY)


def weeks(journal: Journal, *, since: int) -> list[WeekOfRule]:
    """Return the summary from a week on; see `bring_up_to_date`."""
    table = WEEKS.c
    key = (table.rule, table.week, table.outcome, table.tenth)
    wanted = (
        select(*key, func.sum(table.count), func.sum(table.total))
        .where(table.week >= since)
        .group_by(*key)
        .order_by(*key)
    )
    with journal.reading() as connection:
        found = connection.execute(wanted)
        return [
            WeekOfRule(rule, week, outcome, tenth, int(count), float(total))
            for rule, week, outcome, tenth, count, total in found
        ]


def first_weeks(journal: Journal) -> dict[int, int]:
    """Return in which week each head judged first, by its number."""
    wanted = select(WEEKS.c.head, func.min(WEEKS.c.week)).group_by(WEEKS.c.head)
    with journal.reading() as connection:
        return {int(head): int(week) for head, week in connection.execute(wanted)}


def bring_up_to_date(journal: Journal, together: int = TOGETHER) -> int:
    """Count what was judged since somebody looked last; return how many numbers that was.

    Raises `OutputError` where the journal cannot be written.
    """
    last = _settled(journal)
    counted = 0
    while True:
        with journal.writing() as connection:
            if connection.dialect.name == "postgresql":
                # One at a time; SQLite has one writer anyway.
                connection.execute(text(f"LOCK TABLE {SUMMED.name} IN EXCLUSIVE MODE"))
            start = connection.execute(select(func.max(SUMMED.c.judgment))).scalar() or 0
            if start >= last:
                return counted
            end = min(last, start + together)
            _sum(connection, start, end)
            connection.execute(SUMMED.delete())
            connection.execute(SUMMED.insert().values(judgment=end))
            counted += end - start


def _settled(journal: Journal) -> int:
    """Return the highest number below which none can come any more.

    PostgreSQL gives numbers before it commits, so a lower one may appear after a higher one. Its
    lock waits until all that were given are in or gone, and is let go of at once.
    """
    with journal.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"LOCK TABLE {JUDGMENTS.name} IN SHARE MODE"))
        return connection.execute(select(func.max(JUDGMENTS.c.id))).scalar() or 0


def _sum(connection: Connection, start: int, end: int) -> None:
    """Add the judgments above `start`, up to `end`; shadows answered nobody, and do not count."""
    score = SCORES.c.score
    week = _floor(connection, (JUDGMENTS.c.at + _MONDAY) / WEEK)
    tenth = case((score.is_(None), -1), (score >= 1, 9), else_=_floor(connection, score * 10))
    key: tuple[ColumnElement[Any], ...] = (
        SCORES.c.rule,
        week.label("week"),
        JUDGMENTS.c.head,
        SCORES.c.outcome,
        tenth.label("tenth"),
    )
    found = (
        select(
            *key, func.count().label("count"), func.coalesce(func.sum(score), 0.0).label("total")
        )
        .join(JUDGMENTS, JUDGMENTS.c.id == SCORES.c.judgment)
        .where(SCORES.c.judgment > start, SCORES.c.judgment <= end, JUDGMENTS.c.variant == "")
        .group_by(*(text(str(place)) for place in range(1, 6)))
    )
    known = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = known.insert(WEEKS).from_select([column.name for column in WEEKS.c], found)
    connection.execute(
        adding.on_conflict_do_update(
            index_elements=list(WEEKS.primary_key),
            set_={
                "count": WEEKS.c.count + adding.excluded.count,
                "total": WEEKS.c.total + adding.excluded.total,
            },
        )
    )


def _floor(connection: Connection, number: ColumnElement[Any]) -> ColumnElement[int]:
    """Round down what is not negative: one database cuts when it casts, the other rounds."""
    whole = func.floor(number) if connection.dialect.name == "postgresql" else number
    return cast(whole, Integer)
