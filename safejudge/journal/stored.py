"""A journal read as records: what replays, reports and calibrates files does so with a journal.

Takes a path or an address; gives what `files.stored` gives. Of a journal that holds judgments of
several rules, policies or models, those of the latest are read, or of the one that `#N` names. That
the list of what is shown to no model has grown makes no other judgment.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files.stored import Stored, StoredRecord, open_stored
from safejudge.journal.database import is_journal
from safejudge.journal.rows import judged_by
from safejudge.journal.store import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        latest = max(heads) if number is None else number
        made_by = {number: judged_by(head) for number, head in heads.items()}
        same = [n for n, made in made_by.items() if made == made_by[latest]]
        self.numbers = [latest] if number is not None else same
        """Of the heads whose judgments are read."""
        self.head: JSON = _joined([heads[n] for n in self.numbers])
        versions = len(set(made_by.values()))
        if versions > 1 and number is None:
            warnings.warn(
                f"{self.path}: {versions} versions of rules, policy or models judged; "
                f"what the latest made is read ({latest}). {self.path}#N names another",
                UserWarning,
                stacklevel=3,
            )

    def __iter__(self) -> Iterator[StoredRecord]:
        """Read every judgment that was answered, in the order in which they came; no shadows."""
        for kept in self._journal.search(heads=self.numbers):
            yield StoredRecord(f"{self.path}:{kept.id}", kept.record, None)


def _joined(heads: Sequence[JSON]) -> JSON:
    """Return the last of some heads; without a list of hashes, where theirs differ."""
    head = heads[-1]
    lists = {other["provenance"].get("skip_hashes") for other in heads}
    if len(lists) == 1:
        return head
    made = {n: value for n, value in head["provenance"].items() if n != "skip_hashes"}
    return head | {"provenance": made}
