"""The tables of a journal, and how a newer version of them is made from an older one.

The same in SQLite and PostgreSQL, through SQLAlchemy Core. A journal says which version its tables
have; one that is newer than this program is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
)

from safejudge.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

VERSION = 1
"""Of the tables below."""

_ID = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only where the type is exactly INTEGER."""

META = MetaData()

VERSIONS = Table("journal_version", META, Column("version", Integer, primary_key=True))

HEADS = Table(
    "heads",
    META,
    Column("id", _ID, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("content", Text, nullable=False),
)
"""What made judgments: constitution, policy and models in full, as a head of records says it."""

JUDGMENTS = Table(
    "judgments",
    META,
    Column("id", _ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("image", Text, nullable=False),
    Column("image_id", String(64), nullable=False),
    Column("head", ForeignKey("heads.id"), nullable=False),
    Column("caption", String(64), nullable=False),
    Column("variant", String(64), nullable=False),
    Column("client", String(64), nullable=False),
    Column("label", String(16), nullable=False),
    Column("action", String(16)),
    Column("score", Float),
    Column("record", LargeBinary, nullable=False),
    Column("thumbnail", LargeBinary),
    # What is judged again by the same, is the same judgment.
    UniqueConstraint("image_id", "head", "caption", "variant", name="judged_once"),
    Index("judgments_at", "at", "id"),
    Index("judgments_label", "label", "id"),
    sqlite_autoincrement=True,  # a number that was let go of never names another image
)
"""One row an image: `at` in seconds since 1970 (UTC), `caption` a digest, `variant` the name of a
shadow or empty, `record` the compressed JSON of the record."""

SCORES = Table(
    "scores",
    META,
    Column("judgment", ForeignKey("judgments.id", ondelete="CASCADE"), primary_key=True),
    Column("rule", String(128), primary_key=True),
    Column("rule_digest", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("score", Float),
    Index("scores_rule", "rule", "outcome", "judgment"),
)
"""What came of each rule."""

NEEDS = Table(
    "needs",
    META,
    Column("judgment", ForeignKey("judgments.id", ondelete="CASCADE"), primary_key=True),
    Column("rule", String(128), primary_key=True),
    Column("why", String(16), primary_key=True),
    Column("image_id", String(64), nullable=False),
    Column("rank", Float, nullable=False),
    Column("open", Integer, nullable=False),
    Index("needs_open", "open", "why", "rank", "judgment"),
    Index("needs_image", "image_id", "rule"),
)
"""What people are asked: an image and a rule, why, how urgent (the highest first), and whether it
is still open (1) or answered (0)."""

PEOPLE = Table(
    "people",
    META,
    Column("id", _ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("image_id", String(64), nullable=False),
    Column("rule", String(128), nullable=False),
    Column("rule_digest", String(16), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reviewer", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("withdrawn_at", Float),
    Column("withdrawn_by", String(64)),
    Index("people_image", "image_id", "rule"),
    Index("people_rule", "rule", "at"),
    Index("people_at", "at"),
    sqlite_autoincrement=True,
)
"""What people decided: one row a decision, which is withdrawn and never changed."""

AUDIT = Table(
    "audit",
    META,
    Column("id", _ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("what", String(32), nullable=False),
    Column("content", Text, nullable=False),
)
"""Every change but a judgment that was added: who, when, what."""

WEEKS = Table(
    "weeks",
    META,
    Column("rule", String(128), primary_key=True),
    Column("week", Integer, primary_key=True),
    Column("head", ForeignKey("heads.id"), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("tenth", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("total", Float, nullable=False),
)
"""What was answered by rule, week (see `weeks.py`), outcome and tenth of the score (-1: none): how
often, and the sum of the scores; made when somebody looks, up to the judgment that `summed` names.
It stays when judgments are let go of."""

SUMMED = Table("summed", META, Column("judgment", _ID, primary_key=True))

MIGRATIONS: dict[int, Callable[[Connection], None]] = {}
"""How tables of a version become those of the next."""


def prepare(connection: Connection, name: str) -> None:
    """Make the tables where there are none, and bring older ones up to date.

    Raises `OutputError` for tables of a newer program, `InputError` for a database of another one.
    """
    found = set(inspect(connection).get_table_names())
    if VERSIONS.name not in found:
        if found:
            raise InputError(
                f"{name}: is a database, and no journal (it has {', '.join(sorted(found)[:3])}); "
                "name another"
            )
        META.create_all(connection)
        connection.execute(insert(VERSIONS).values(version=VERSION))
        return
    version = connection.execute(select(VERSIONS.c.version)).scalar_one()
    if version > VERSION:
        raise OutputError(
            f"{name}: its tables have version {version}, and this program knows {VERSION}; take "
            "the newer program that made it"
        )
    while version < VERSION:
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(VERSIONS.update().values(version=version))
