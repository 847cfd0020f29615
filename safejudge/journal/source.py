"""A path or an address -> its records: those of a file, or of a journal.

Nothing here takes sqlalchemy before a journal is named: who has no journal does not need it.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files.stored import open_stored
from safejudge.journal.address import is_journal

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.files.stored import Stored

_ADDRESS = re.compile(r"(postgresql(?:\+psycopg)?):/+(.*)", re.DOTALL)
_NUMBERED = re.compile(r"(.*)#([0-9]+)", re.DOTALL)


def open_records(path: Path, reviewers: int = 1) -> Stored:
    """Tell what a path holds, a journal's address among them. Raises `InputError` for no records.

    A path has one slash where an address has two. In a journal so many `reviewers` have to agree.
    """
    text = str(path)
    number = None
    if not path.exists() and (numbered := _NUMBERED.fullmatch(text)):
        text, number = numbered[1], int(numbered[2])
    if address := _ADDRESS.fullmatch(text):
        text = f"{address[1]}://{address[2]}"
    if not is_journal(text):
        return open_stored(path)
    if find_spec("sqlalchemy") is None:
        raise InputError(f"{path}: is a journal, which needs: pip install 'safejudge[journal]'")
    from safejudge.journal.stored import JournalRecords  # noqa: PLC0415 - it takes sqlalchemy

    return JournalRecords(text, number, reviewers)
