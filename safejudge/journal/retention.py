"""What is let go of: judgments that are older than so many days.

What people decided stays, and so does what came of each rule by week: it is counted before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import select

from safejudge.journal.store import DAY, audit
from safejudge.journal.tables import JUDGMENTS, NEEDS, SCORES
from safejudge.journal.weeks import bring_up_to_date

if TYPE_CHECKING:
    from safejudge.journal.store import Journal

_TOGETHER = 500
"""Rows of one step: while one is taken, nobody else writes to SQLite."""


def prune(journal: Journal, days: float, who: str, *, now: float | None = None) -> int:
    """Delete judgments that are older than `days`; return how many. `who` stands in the trail.

    Raises `OutputError` where the journal cannot be written.
    """
    before = (time.time() if now is None else now) - days * DAY
    bring_up_to_date(journal)
    gone = 0
    while True:
        with journal.writing() as connection:
            old = select(JUDGMENTS.c.id).where(JUDGMENTS.c.at < before).limit(_TOGETHER)
            numbers = [row.id for row in connection.execute(old)]
            if numbers:
                for table in (SCORES, NEEDS):
                    connection.execute(table.delete().where(table.c.judgment.in_(numbers)))
                connection.execute(JUDGMENTS.delete().where(JUDGMENTS.c.id.in_(numbers)))
            gone += len(numbers)
            if len(numbers) < _TOGETHER:
                audit(connection, who, "prune", {"older_than_days": days, "judgments": gone})
                return gone
