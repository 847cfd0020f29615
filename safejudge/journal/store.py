"""A journal: judgments are added, found, and let go of.

Takes results with what made them; keeps a row each in SQLite (one file) or PostgreSQL. What was
added is on disk when `add` returns. Several processes may write at once.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine, create_engine, event, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from safejudge.errors import InputError, OutputError
from safejudge.files import records
from safejudge.journal.tables import (
    AUDIT,
    HEADS,
    JUDGMENTS,
    NEEDS,
    PEOPLE,
    SCORES,
    prepare,
)
from safejudge.text import cut, one_line
from safejudge.types import Judgment
from safejudge.types.pictures import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from safejudge.judge import Judge
    from safejudge.types import JSON, Decision, Result, Rule

SCHEMES = ("sqlite:", "postgresql:", "postgresql+psycopg:")
"""What the address of a journal begins with; anything else is the path of an SQLite file."""
FAILED = "failed"
"""The label of an image that could not be judged."""
_SQLITE = b"SQLite format 3\x00"
_WRITES = "safejudge_writes"
"""The option of a connection that is going to write."""
_MANY = 500
"""Rows of one statement."""
DAY = 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Need:
    """A question to people about one image."""

    rule: str
    why: str
    """undecided, between (thresholds), shadow or audit."""
    rank: float
    """How urgent it is, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Row:
    """One judgment to be kept."""

    result: Result
    decision: Decision | None = None
    """What thresholds said."""
    caption: str | None = None
    """Of which a digest is kept."""
    client: str = ""
    variant: str = ""
    """The name of a shadow; empty for what was answered."""
    needs: tuple[Need, ...] = ()
    """What people should look at."""
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """One judgment as the journal has it."""

    id: int
    at: float
    image: str
    image_id: str
    head: int
    variant: str
    client: str
    label: str
    action: str | None
    record: JSON = field(repr=False)
    """As `judge --out` writes it."""


class Journal:
    """A journal that is open. Thread-safe; a context manager."""

    def __init__(self, address: str) -> None:
        """Open a journal, or make one: the path of a file, or an address of SQLAlchemy.

        Raises `InputError` for an address that cannot be opened, `OutputError` for tables of a
        newer program.
        """
        self.name = plain(address)
        try:
            self.engine = _engine(address)
            with self.engine.execution_options(**{_WRITES: True}).begin() as connection:
                prepare(connection, self.name)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise InputError(
                f"{self.name}: cannot be opened as a journal ({cut(one_line(str(error)), 200)}); "
                "name a file, sqlite:///FILE or postgresql://USER@HOST/DATABASE (it takes "
                "pip install 'safejudge[journal]')"
            ) from error
        self._heads: dict[str, int] = {}

    # --- adding -------------------------------------------------------------------------------

    def add(self, judge: Judge, rows: Sequence[Row], *, at: float | None = None) -> int:
        """Keep judgments of one judge; return how many were new.

        The same image with the same caption, judged by the same rules, policy and models, is kept
        once. Raises `OutputError` where the journal cannot be written.
        """
        digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
        return self.add_made(head_of(judge), digests, rows, at=at)

    def add_made(
        self,
        head: JSON,
        digests: Mapping[str, str],
        rows: Sequence[Row],
        *,
        at: float | None = None,
    ) -> int:
        """Keep judgments of what a head of records says, with the digests of its rules."""
        if not rows:
            return 0
        now = time.time() if at is None else at
        with self.writing() as connection:
            number = self._head(connection, head)
            return sum(self._add(connection, number, digests, row, now) for row in rows)

    def _add(
        self, connection: Connection, head: int, digests: Mapping[str, str], row: Row, now: float
    ) -> int:
        result = row.result
        added = connection.execute(
            _insert(connection, JUDGMENTS)
            .values(_values(row) | {"at": now, "head": head})
            .on_conflict_do_nothing()
            .returning(JUDGMENTS.c.id)
        ).scalar()
        if added is None:
            return 0
        if not isinstance(result, Judgment) and result.reason == LISTED:
            _hide(connection, _image_id(result))
        if isinstance(result, Judgment):
            scores = [
                {
                    "judgment": added,
                    "rule": rule,
                    "rule_digest": digests.get(rule, ""),
                    "outcome": verdict.outcome,
                    "score": verdict.score,
                }
                for rule, verdict in result.rules.items()
            ]
            connection.execute(insert(SCORES), scores)
        if row.needs:
            image_id = _image_id(result)
            asked = [
                {"judgment": added, "image_id": image_id, "open": 1, **asdict(need)}
                for need in row.needs
            ]
            connection.execute(insert(NEEDS), asked)
        return 1

    def _head(self, connection: Connection, head: JSON) -> int:
        """Return the row of what made judgments, which is written once."""
        text = json.dumps(head)
        digest = digest_of(json.dumps(_compared(head), sort_keys=True))
        known = self._heads.get(digest)
        if known is None:
            connection.execute(
                _insert(connection, HEADS).values(digest=digest, content=text)
                .on_conflict_do_nothing()
            )  # fmt: skip
            known = connection.execute(select(HEADS.c.id).where(HEADS.c.digest == digest)).scalar()
            assert known is not None  # noqa: S101 - it was there, or was just written
            # Kept once the transaction stands: another call may find out for itself meanwhile.
            self._heads[digest] = int(known)
        return int(known)

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
                yield _kept(row)

    def known(self, judge: Judge, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JSON]:
        """Return records of images that were judged by the same rules, policy and models.

        Keys are image id and caption, which is empty where there is none. Failures are not there.
        """
        found: dict[tuple[str, str], JSON] = {}
        with self.reading() as connection:
            digest = digest_of(json.dumps(_compared(head_of(judge)), sort_keys=True))
            head = connection.execute(select(HEADS.c.id).where(HEADS.c.digest == digest)).scalar()
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

    def prune(self, days: float, who: str, *, now: float | None = None) -> int:
        """Delete judgments that are older; return how many. What people decided stays."""
        before = (time.time() if now is None else now) - days * DAY
        gone = 0
        while True:
            with self.writing() as connection:
                old = select(JUDGMENTS.c.id).where(JUDGMENTS.c.at < before).limit(_MANY)
                numbers = [row.id for row in connection.execute(old)]
                if numbers:
                    for table in (SCORES, NEEDS):
                        connection.execute(table.delete().where(table.c.judgment.in_(numbers)))
                    connection.execute(JUDGMENTS.delete().where(JUDGMENTS.c.id.in_(numbers)))
                gone += len(numbers)
                if len(numbers) < _MANY:
                    audit(connection, who, "prune", {"older_than_days": days, "judgments": gone})
                    return gone

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
            with self.engine.execution_options(**{_WRITES: True}).begin() as connection:
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


def is_journal(text: str) -> bool:
    """Whether a path or an address is that of a journal."""
    if text.startswith(SCHEMES):
        return True
    try:
        with Path(text).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def plain(address: str) -> str:
    """Name a journal in a message: without the password that its address may hold."""
    if not address.startswith(SCHEMES):
        return address
    try:
        return make_url(address).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return address.partition(":")[0] + ":..."


def head_of(judge: Judge) -> JSON:
    """Say what made judgments, as the head of a file of records."""
    made = judge.provenance
    return records.header(made.versions["safejudge"], made, None, judged_by=judge.described())


def rule_digest(rule: Rule) -> str:
    """Return what a decision about a rule hangs on: what it says, and by what it is judged."""
    said = rule.model_dump(mode="json", include={"text", "objective", "condition"})
    return digest_of(json.dumps(said, sort_keys=True))[:16]


def digest_of(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def packed(record: JSON) -> bytes:
    """Compress a record."""
    return zlib.compress(records.to_line(record).encode(), 6)


def unpacked(content: bytes) -> JSON:
    """Read a compressed record."""
    record: JSON = json.loads(zlib.decompress(content))
    return record


def audit(connection: Connection, who: str, what: str, content: JSON) -> None:
    """Write down a change, in the transaction that makes it."""
    values = {"at": time.time(), "who": who, "what": what, "content": json.dumps(content)}
    connection.execute(insert(AUDIT).values(values))


def judged_by(head: JSON) -> str:
    """Digest what made judgments, but for the list of what was shown to nobody, which grows."""
    made = _compared(head)
    del made["provenance"]["skip_hashes"]
    return digest_of(json.dumps(made, sort_keys=True))


def _hide(connection: Connection, image_id: str) -> None:
    """Show nobody an image that is on a list now: no small picture of it, and no question."""
    of_image = JUDGMENTS.c.image_id == image_id
    connection.execute(JUDGMENTS.update().where(of_image).values(thumbnail=None))
    connection.execute(NEEDS.update().where(NEEDS.c.image_id == image_id).values(open=0))


def _compared(head: JSON) -> JSON:
    """Leave of a head what makes another judgment: versions and days may move on."""
    made = head["provenance"]
    named = {name: made.get(name) for name in (*records.COMPARED, *records.BESIDE)}
    return {"provenance": named} | {name: head.get(name) for name in ("constitution", "policy")}


def _values(row: Row) -> JSON:
    """Return what the row of a judgment holds, but when it came and what made it."""
    result, decision = row.result, row.decision
    record = records.record(
        result.image, result, None, None if decision is None else decision.record()
    )
    return {
        "image": record["image"],
        "image_id": _image_id(result),
        "caption": digest_of(row.caption) if row.caption else "",
        "variant": row.variant,
        "client": row.client,
        "label": result.label if isinstance(result, Judgment) else FAILED,
        "action": None if decision is None else decision.action,
        "score": result.score if isinstance(result, Judgment) else None,
        "record": packed(record),
        "thumbnail": row.thumbnail,
    }


def _image_id(result: Result) -> str:
    """Name an image by its bytes; where nobody had any, each try is one of its own."""
    return result.id or digest_of(f"none:{uuid.uuid4()}")


def _kept(row: Any) -> Kept:
    return Kept(
        row.id, row.at, row.image, row.image_id, row.head, row.variant, row.client, row.label,
        row.action, unpacked(row.record),
    )  # fmt: skip


def _insert(connection: Connection, table: Any) -> Any:
    """Insert, in the dialect that knows what to do about a row that is there already."""
    known = postgresql if connection.dialect.name == "postgresql" else sqlite
    return known.insert(table)


def _engine(address: str) -> Engine:
    if not address.startswith(SCHEMES):
        address = f"sqlite:///{address}"
    if address.startswith("postgresql:"):
        address = address.replace("postgresql:", "postgresql+psycopg:", 1)
    if not address.startswith("sqlite:"):
        return create_engine(address, pool_pre_ping=True)
    engine = create_engine(address, connect_args={"timeout": 60.0})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # Readers do not wait for the writer; a process that is killed loses what it had not
        # committed. Who writes waits for others a minute.
        connection.isolation_level = None
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Who will write asks for it at once: a reader that becomes a writer would be refused.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
