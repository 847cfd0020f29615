"""A journal read as records: what replays, reports and calibrates files does so with a journal.

Takes a path or an address; gives what `files.stored` gives. Of a journal that holds judgments of
several rules, policies or models, those of the latest are read, or of the one that `#N` names. That
the list of what is shown to no model has grown makes no other judgment.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files.records import PEOPLE
from safejudge.files.stored import StoredRecord
from safejudge.journal.held import people_of, with_people
from safejudge.journal.people import holding
from safejudge.journal.rows import judged_by, rule_digests
from safejudge.journal.store import Journal
from safejudge.policy import Policy
from safejudge.show.page.recorded import result_of_content
from safejudge.types import Constitution, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.journal.held import Held
    from safejudge.types import JSON

_TOGETHER = 500
"""Judgments of which decisions are looked up at a time."""


class JournalRecords:
    """The judgments of a journal that one version of rules, policy and models made."""

    def __init__(self, address: str, number: int | None = None, reviewers: int = 1) -> None:
        """Choose the head of this number, or the latest. Raises `InputError` where there is none.

        Warns of others that the journal has.
        """
        self._journal = Journal(address)
        self._reviewers = reviewers
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
        """Read every judgment that was answered, in the order in which they came; no shadows.

        Beside it stands what people have decided by now.
        """
        found = self._journal.search(heads=self.numbers)
        while window := list(islice(found, _TOGETHER)):
            ids = {kept.image_id for kept in window}
            digests = rule_digests(self._rules)
            held = holding(self._journal, ids, digests, reviewers=self._reviewers)
            for kept in window:
                record = self._beside(kept.record, held.get(kept.image_id, {}))
                yield StoredRecord(f"{self.path}:{kept.id}", record, None)

    @cached_property
    def _rules(self) -> Constitution:
        return Constitution.model_validate(self.head["constitution"])

    def _beside(self, record: JSON, held: Mapping[str, Held]) -> JSON:
        if not held:
            return record
        made_by = Provenance.model_validate({"versions": {}} | self.head["provenance"])
        result = result_of_content(record, made_by)
        told = with_people(result, held, Policy.model_validate(self.head["policy"]))
        people = people_of(told, held)
        return record if people is None else {**record, PEOPLE: people.model_dump(mode="json")}


def _joined(heads: Sequence[JSON]) -> JSON:
    """Return the last of some heads; without a list of hashes, where theirs differ."""
    head = heads[-1]
    lists = {other["provenance"].get("skip_hashes") for other in heads}
    if len(lists) == 1:
        return head
    made = {n: value for n, value in head["provenance"].items() if n != "skip_hashes"}
    return head | {"provenance": made}
