"""Databases for tests of the journal: SQLite in a file, and a real PostgreSQL on this machine."""

from __future__ import annotations

import itertools
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NUMBERS = itertools.count(1)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL of its own, and give its address. Skips where none can be had."""
    try:
        import pgserver
    except ImportError as error:
        pytest.skip(f"no PostgreSQL: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it keeps its socket is its own affair
        try:
            server = pgserver.get_server(folder)
        except Exception as error:  # noqa: BLE001 - a machine without it is no fault of ours
            pytest.skip(f"PostgreSQL does not start: {error}")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def fresh(address: str) -> str:
    """Make a new database in a PostgreSQL, and give its address."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    name = f"journal{next(_NUMBERS)}"
    engine = create_engine(
        address.replace("postgresql:", "postgresql+psycopg:", 1), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(address).set(database=name).render_as_string(hide_password=False)
