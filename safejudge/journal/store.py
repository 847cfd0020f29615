"""A journal: judgments are added, found, and let go of.

Takes results with what made them; keeps a row each in SQLite (one file) or PostgreSQL. What was
added is on disk when `add` returns. Several processes may write at once.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from sqlalchemy import func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from safejudge.errors import InputError, OutputError
from safejudge.journal.database import WRITES, engine_of, insert_into, plain
from safejudge.journal.rows import (
    FAILED,
    Kept,
    MadeBy,
    Row,
    digest_of,
    image_id_of,
    kept_of,
    made_by,
    unpacked,
    values_of,
)
from safejudge.journal.tables import AUDIT, HEADS, JUDGMENTS, NEEDS, PEOPLE, SCORES, prepare
from safejudge.text import cut, one_line
from safejudge.types import Judgment
from safejudge.types.pictures import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection

    from safejudge.judge import Judge
    from safejudge.types import JSON

_MANY = 500
"""Rows of one statement."""
DAY = 86_400.0
"""Seconds."""


class Journal:
    """A journal that is open. Thread-safe; a context manager."""

    def __init__(self, address: str) -> None:
        """Open a journal, or make one: the path of a file, or an address of SQLAlchemy.

        Raises `InputError` for an address that cannot be opened, `OutputError` for tables of a
        newer program.
        """
        self.name = plain(address)
        try:
            self.engine = engine_of(address)
            with self.engine.execution_options(**WRITES).begin() as connection:
                prepare(connection, self.name)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise InputError(
                f"{self.name}: cannot be opened as a journal ({cut(one_line(str(error)), 200)}); "
                "name a file, sqlite:///FILE or postgresql://USER@HOST/DATABASE (it takes "
                "pip install 'safejudge[journal]')"
            ) from error
        self._heads: dict[str, int] = {}
        self._made: WeakKeyDictionary[Judge, MadeBy] = WeakKeyDictionary()

    # --- adding -------------------------------------------------------------------------------

    def add(self, judge: Judge, rows: Sequence[Row], *, at: float | None = None) -> int:
        """Keep judgments of one judge; return how many were new.

        The same image with the same caption, judged by the same rules, policy and models, is kept
        once. Raises `OutputError` where the journal cannot be written.
        """
        return self.add_made(self.made_by(judge), rows, at=at)

    def add_made(self, made: MadeBy, rows: Sequence[Row], *, at: float | None = None) -> int:
        """Keep judgments of what made them; see `add`."""
        if not rows:
            return 0
        now = time.time() if at is None else at
        with self.writing() as connection:
            head = self._head(connection, made)
            return sum(self._add(connection, head, made, row, now) for row in rows)

    def made_by(self, judge: Judge) -> MadeBy:
        """Say what a judge makes; worked out once."""
        made = self._made.get(judge)
        if made is None:
            made = self._made[judge] = made_by(judge)
        return made

    def _add(self, connection: Connection, head: int, made: MadeBy, row: Row, now: float) -> int:
        result = row.result
        added = connection.execute(
            insert_into(connection, JUDGMENTS)
            .values(values_of(row) | {"at": now, "head": head})
            .on_conflict_do_nothing()
            .returning(JUDGMENTS.c.id)
        ).scalar()
        if added is None:
            return 0
        if not isinstance(result, Judgment) and result.reason == LISTED:
            _hide(connection, image_id_of(result))
        if isinstance(result, Judgment):
            scores = [
                {
                    "judgment": added,
                    "rule": rule,
                    "rule_digest": made.rules.get(rule, ""),
                    "outcome": verdict.outcome,
                    "score": verdict.score,
                }
                for rule, verdict in result.rules.items()
            ]
            connection.execute(insert(SCORES), scores)
        if row.needs:
            image_id = image_id_of(result)
            asked = [
                {"judgment": added, "image_id": image_id, "open": 1, **asdict(need)}
                for need in row.needs
            ]
            connection.execute(insert(NEEDS), asked)
        return 1

    def _head(self, connection: Connection, made: MadeBy) -> int:
        """Return the row of what made judgments, which is written once."""
        known = self._heads.get(made.digest)
        if known is None:
            values = {"digest": made.digest, "content": json.dumps(made.head)}
            connection.execute(
                insert_into(connection, HEADS).values(values).on_conflict_do_nothing()
            )
            known = self._known_head(connection, made)
            assert known is not None  # noqa: S101 - it was there, or was just written
            # Kept once the transaction stands: another call may find out for itself meanwhile.
            self._heads[made.digest] = known
        return known

    @staticmethod
    def _known_head(connection: Connection, made: MadeBy) -> int | None:
        wanted = select(HEADS.c.id).where(HEADS.c.digest == made.digest)
        found = connection.execute(wanted).scalar()
        return None if found is None else int(found)

    # --- reading ------------------------------------------------------------------------------

    def get(self, number: int) -> Kept | None:
        """Return one judgment by its number."""
        return next(self.search(numbers=[number]), None)

    def search(  # noqa: PLR0913 - one argument for each thing that is looked for
        self,
        *,
        numbers: Sequence[int] | None = None,
        image_id: str | None = None,
        label: str | None = None,
        rule: str | None = None,
        outcome: str = "violated",
        since: float | None = None,
        until: float | None = None,
        client: str | None = None,
        reviewer: str | None = None,
        variant: str | None = "",
        heads: Sequence[int] | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> Iterator[Kept]:
        """Yield the judgments that fit all that is named; in the order in which they came.

        `image_id` may be a beginning of one. `rule` finds images of which it has this `outcome`.
        `heads` are numbers of what made them. `variant` None: shadows, too. `since` and `until`
        are seconds since 1970.
        """
        wanted = select(JUDGMENTS)
        table = JUDGMENTS.c
        plain_terms: Sequence[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = (
            (numbers, table.id.in_),
            (heads, table.head.in_),
            (label, table.label.__eq__),
            (client, table.client.__eq__),
            (variant, table.variant.__eq__),
            (since, table.at.__ge__),
            (until, table.at.__lt__),
        )
        for value, holds in plain_terms:
            if value is not None:
                wanted = wanted.where(holds(value))
        if image_id is not None:
            wanted = wanted.where(table.image_id >= image_id, table.image_id < image_id + "g")
        if rule is not None:
            wanted = wanted.join(SCORES, SCORES.c.judgment == table.id).where(
                SCORES.c.rule == rule, SCORES.c.outcome == outcome
            )
        if reviewer is not None:
            seen = select(PEOPLE.c.image_id).where(PEOPLE.c.reviewer == reviewer)
            wanted = wanted.where(table.image_id.in_(seen))
        # By time, where that is asked for: else PostgreSQL looks at all that came before.
        timed = since is not None or until is not None
        order = [table.at, table.id] if timed else [table.id]
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=100).execute(
                wanted.order_by(*(column.desc() if newest else column for column in order)).limit(
                    limit
                )
            )
            for row in rows:
                yield kept_of(row)

    def known(self, judge: Judge, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JSON]:
        """Return records of images that were judged by the same rules, policy and models.

        Keys are image id and caption, which is empty where there is none. Failures are not there.
        """
        found: dict[tuple[str, str], JSON] = {}
        with self.reading() as connection:
            head = self._known_head(connection, self.made_by(judge))
            table = JUDGMENTS.c
            for image_id, caption in dict.fromkeys(keys) if head is not None else ():
                wanted = select(table.record).where(
                    table.image_id == image_id,
                    table.head == head,
                    table.caption == (digest_of(caption) if caption else ""),
                    table.variant == "",
                    table.label != FAILED,
                )
                if (record := connection.execute(wanted).scalar()) is not None:
                    found[image_id, caption] = unpacked(record)
        return found

    def heads(self) -> dict[int, JSON]:
        """Return everything that made judgments, by number, the earliest first."""
        with self.reading() as connection:
            found = connection.execute(select(HEADS.c.id, HEADS.c.content).order_by(HEADS.c.id))
            return {number: json.loads(content) for number, content in found}

    def count(self) -> int:
        """Return how many judgments there are."""
        with self.reading() as connection:
            return connection.execute(select(func.count()).select_from(JUDGMENTS)).scalar_one()

    def thumbnail(self, number: int) -> bytes | None:
        """Return the small picture of a judgment, where one was kept."""
        with self.reading() as connection:
            wanted = select(JUDGMENTS.c.thumbnail).where(JUDGMENTS.c.id == number)
            return connection.execute(wanted).scalar()

    # --- letting go ---------------------------------------------------------------------------

    def trail(self, limit: int = 100) -> list[JSON]:
        """Return the latest changes: when, who, what."""
        with self.reading() as connection:
            found = connection.execute(select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit))
            return [
                {"at": row.at, "who": row.who, "what": row.what, **json.loads(row.content)}
                for row in found
            ]

    # --- the database -------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Change something, all or nothing. Raises `OutputError` where it cannot be written."""
        try:
            with self.engine.execution_options(**WRITES).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise OutputError(
                f"{self.name}: cannot be written ({cut(one_line(str(error)), 200)}); see to the "
                "disk or the database, and try again"
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look something up. Raises `InputError` where it cannot be read."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise InputError(
                f"{self.name}: cannot be read ({cut(one_line(str(error)), 200)})"
            ) from error

    def close(self) -> None:
        """Close every connection. Calling it twice is fine."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def audit(connection: Connection, who: str, what: str, content: JSON) -> None:
    """Write down a change, in the transaction that makes it."""
    values = {"at": time.time(), "who": who, "what": what, "content": json.dumps(content)}
    connection.execute(insert(AUDIT).values(values))


def _hide(connection: Connection, image_id: str) -> None:
    """Show nobody an image that is on a list now: no small picture of it, and no question."""
    of_image = JUDGMENTS.c.image_id == image_id
    connection.execute(JUDGMENTS.update().where(of_image).values(thumbnail=None))
    connection.execute(NEEDS.update().where(NEEDS.c.image_id == image_id).values(open=0))
