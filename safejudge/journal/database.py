"""Where a journal is: an address -> an engine of SQLAlchemy, prepared for several writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from safejudge.journal.address import SCHEMES

if TYPE_CHECKING:
    from sqlalchemy import Connection

WRITES = {"safejudge_writes": True}
"""The options of a connection that is going to write."""


def plain(address: str) -> str:
    """Name a journal in a message: without the password that its address may hold."""
    if not address.startswith(SCHEMES):
        return address
    try:
        return make_url(address).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return address.partition(":")[0] + ":..."


def engine_of(address: str) -> Engine:
    """Open an address. Raises what SQLAlchemy raises for one that it cannot read."""
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
        writes = connection.get_execution_options().items() >= WRITES.items()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def insert_into(connection: Connection, table: Any) -> Any:
    """Insert, in the dialect that knows what to do about a row that is there already."""
    known = postgresql if connection.dialect.name == "postgresql" else sqlite
    return known.insert(table)
