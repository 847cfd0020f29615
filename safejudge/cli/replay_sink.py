"""What becomes of replayed records: decided about, written to a file, shown on a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.errors import InputError

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from safejudge.decide.replay import Made
    from safejudge.decide.replay_changes import Changes
    from safejudge.files.stored import Stored, StoredRecord
    from safejudge.types import JSON, Decision, People, Result

_TOGETHER = 256
"""Records that are written at a time."""


@dataclass(frozen=True, slots=True)
class Again:
    """One record that was judged again."""

    record: StoredRecord
    before: Result
    after: Result
    decision: Decision | None
    people: People | None
    """What people decided and holds still."""
    changes: bool


class Decided:
    """What thresholds do with what is replayed; without any, what was decided before stands."""

    def __init__(self, path: Path | None, then: Made, now: Made) -> None:
        """Read a file of thresholds. Raises `InputError` for those of another model or policy."""
        from safejudge.decide.decision import Decider
        from safejudge.decide.thresholds import load
        from safejudge.show.terminal import say

        self._same = then.provenance == now.provenance
        self._then, self._now = then, now
        self._decider = None
        self._before: Counter[str] = Counter()
        self._after: Counter[str] = Counter()
        if path is None:
            return
        if now.constitution is None:
            raise InputError("--thresholds are of rules; name them with --constitution")
        self._decider = Decider(load(path), now.constitution, now.provenance, now.policy)
        for note in self._decider.notes:
            say(f"warning: thresholds: {note}")

    @property
    def digest(self) -> str | None:
        """Of the thresholds that decide."""
        return None if self._decider is None else self._decider.digest

    def about(
        self, record: StoredRecord, before: Result, after: Result
    ) -> tuple[Decision | None, People | None]:
        """Decide about what a record comes to now; say also what people settled of it.

        What was to be done was decided about the judgment before, and about no other. What people
        decided holds where their rule is still the same.
        """
        from safejudge.journal import held as people
        from safejudge.show.page.recorded import decision_of, people_of

        old = decision_of(record)
        held = people.held_still(people_of(record), self._then.constitution, self._now.constitution)
        told = people.with_people(after, held, self._now.policy)
        said = people.people_of(told, held)
        if self._decider is None:
            return old if self._same and after == before else None, said
        decision = self._decider(told, people.settled_actions(held))
        self._after[decision.action] += 1
        if old is not None:
            self._before[old.action] += 1
        return decision, said

    def say(self) -> None:
        """Print what is to be done now, and what was before."""
        from safejudge.show.actions import in_words

        if self._after:
            was = f"; before: {in_words(self._before)}" if self._before else ""
            print(f"actions: {in_words(self._after)}{was}")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is to be written."""

    out: Path | None
    """A file of the new records."""
    report: Path | None
    """A page of the images that change."""
    overwrite: bool
    limit: int | None
    """Most images on the page."""


class Sink:
    """Where replayed records go: a file, a page."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the files begin with
        self,
        stack: ExitStack,
        options: Outputs,
        stored: Stored,
        then: Made,
        now: Made,
        thresholds: str | None,
    ) -> None:
        """Begin what was named."""
        from safejudge.decide.replay_page import FlipsPage
        from safejudge.decide.replay_records import head_of
        from safejudge.files.recordfile import RecordFile

        self._file, self._page = None, None
        self._waiting: list[JSON] = []
        again = options.overwrite
        if options.out is not None:
            head = head_of(stored, then, now, thresholds)
            file = RecordFile(options.out, head, resume=False, overwrite=again)
            self._file = stack.enter_context(file)
        if options.report is not None:
            self._page = FlipsPage(
                options.report, stored, now, replace_old=again, most=options.limit
            )

    def put(self, again: Again) -> None:
        """Take one record."""
        from safejudge.files.records import record as record_of

        if self._file is not None:
            decision = None if again.decision is None else again.decision.record()
            name = again.record.content["image"]
            people = None if again.people is None else again.people.model_dump(mode="json")
            line = record_of(name, again.after, decision=decision, people=people)
            self._waiting.append(line)
            if len(self._waiting) >= _TOGETHER:
                self._flush()
        if self._page is not None:
            self._page.put(
                again.record, again.before, again.after, again.decision, again.people,
                changes=again.changes,
            )  # fmt: skip

    def _flush(self) -> None:
        if self._file is not None and self._waiting:
            self._file.append(self._waiting)
        self._waiting = []

    def close(self, changes: Changes) -> None:
        """Write what is left, and the page."""
        self._flush()
        if self._page is not None:
            self._page.write(changes)
