"""A journal read as records: what replays, reports and calibrates files does so with a journal.

Takes a path or an address; gives what `files.stored` gives. Of a journal that holds judgments of
several rules, policies or models, those of the latest are read, or of the one that `#N` names.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files.stored import Stored, StoredRecord, open_stored
from safejudge.journal.store import Journal, is_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import JSON

_ADDRESS = re.compile(r"(postgresql(?:\+psycopg)?):/+(.*)", re.DOTALL)
_NUMBERED = re.compile(r"(.*)#([0-9]+)", re.DOTALL)


def open_records(path: Path) -> Stored:
    """Tell what a path holds, a journal's address among them. Raises `InputError` for no records.

    A path has one slash where an address has two.
    """
    text = str(path)
    number = None
    if not path.exists() and (numbered := _NUMBERED.fullmatch(text)):
        text, number = numbered[1], int(numbered[2])
    if address := _ADDRESS.fullmatch(text):
        text = f"{address[1]}://{address[2]}"
    if not is_journal(text):
        return open_stored(path)
    return JournalRecords(text, number)


class JournalRecords:
    """The judgments of a journal that one version of rules, policy and models made."""

    def __init__(self, address: str, number: int | None = None) -> None:
        """Choose the head of this number, or the latest. Raises `InputError` where there is none.

        Warns of others that the journal has.
        """
        self._journal = Journal(address)
        self.path = Path(self._journal.name)
        heads = self._journal.heads()
        if not heads:
            raise InputError(f"{self.path}: holds no judgment yet; judge something first")
        if number is not None and number not in heads:
            raise InputError(
                f"{self.path}: has no head {number}; it has {', '.join(map(str, heads))}"
            )
        self._number = max(heads) if number is None else number
        self.head: JSON = heads[self._number]
        if len(heads) > 1 and number is None:
            warnings.warn(
                f"{self.path}: {len(heads)} versions of rules, policy or models judged; "
                f"what the latest made is read ({self._number}). {self.path}#N names another",
                UserWarning,
                stacklevel=3,
            )

    def __iter__(self) -> Iterator[StoredRecord]:
        """Read every judgment that was answered, in the order in which they came; no shadows."""
        for kept in self._journal.search(head=self._number):
            yield StoredRecord(f"{self.path}:{kept.id}", kept.record, None)
