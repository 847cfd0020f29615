"""A page of the images that a replay calls otherwise, the worst first, with what they were called.

Takes records before and after; counts all, and keeps of those that change as many as are shown.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from safejudge.decide.replay_changes import label_in_words
from safejudge.errors import InputError
from safejudge.show.page import recorded
from safejudge.show.page.counts import Harm
from safejudge.show.page.judged import About, Report
from safejudge.show.page.sheets import MOST

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.decide.replay import Made
    from safejudge.decide.replay_changes import Changes
    from safejudge.files.stored import Stored, StoredRecord
    from safejudge.types import Decision, People, Result


class _Flip(NamedTuple):
    """One image that changes; the worst sort first."""

    harm: Harm
    number: int
    record: StoredRecord
    before: Result
    after: Result
    decision: Decision | None
    people: People | None


class FlipsPage:
    """Grows with a replay, and is written when it ends."""

    def __init__(
        self,
        path: Path,
        stored: Stored,
        now: Made,
        *,
        replace_old: bool = False,
        most: int | None = None,
    ) -> None:
        """Begin a page at `path` of records that are judged anew so; `most` images are shown."""
        if now.constitution is None:
            raise InputError(f"{path}: a page shows rules; name them with --constitution")
        self._most = most or MOST
        self._rules = now.constitution.rules
        self._source = stored.path
        self._flips: list[_Flip] = []
        self._number = 0
        about = About(now.constitution, now.policy, now.provenance, stored.head.get("date"))
        self._report = Report(path, about, replace=replace_old, most=self._most)

    def put(  # noqa: PLR0913 - what belongs to an image
        self,
        record: StoredRecord,
        before: Result,
        after: Result,
        decision: Decision | None = None,
        people: People | None = None,
        *,
        changes: bool,
    ) -> None:
        """Take a record; it is shown if it changes and is among the worst."""
        self._number += 1
        if not changes:
            self._report.count_only(after, decision=decision, people=people)
            return
        harm = Harm.of(after, self._rules, people)
        self._flips.append(_Flip(harm, self._number, record, before, after, decision, people))
        if len(self._flips) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        """Keep the worst, and count the others."""
        kept = heapq.nsmallest(self._most, self._flips, key=lambda flip: flip[:2])
        numbers = {flip.number for flip in kept}
        for flip in self._flips:
            if flip.number not in numbers:
                self._report.count_only(flip.after, decision=flip.decision, people=flip.people)
        self._flips = kept

    def write(self, changes: Changes) -> None:
        """Write the page, with what changes in words. Raises `OutputError`."""
        self._cut()
        for flip in self._flips:
            before = label_in_words(flip.before)
            recorded.add(
                self._report, flip.record, flip.after,
                before=before, decision=flip.decision, people=flip.people,
            )  # fmt: skip
        said = (f"{line[0].upper()}{line[1:]}." for line in changes.lines())
        notes = (f"Replayed from {self._source}; shown are the images that change.", *said)
        self._report.about = replace(self._report.about, notes=notes)
        self._report.write()
