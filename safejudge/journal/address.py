"""Which texts name a journal: addresses of databases, and SQLite files."""

from __future__ import annotations

from pathlib import Path

SCHEMES = ("sqlite:", "postgresql:", "postgresql+psycopg:")
"""What the address of a journal begins with; anything else is the path of an SQLite file."""
_SQLITE = b"SQLite format 3\x00"


def is_journal(text: str) -> bool:
    """Whether a path or an address is that of a journal."""
    if text.startswith(SCHEMES):
        return True
    try:
        with Path(text).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False
