"""What a server, or a run, keeps in its journal, and what it takes from it.

Every judgment is kept before it is answered. What people decided about an image counts in the
answer. Where the operator wants it, an image that was judged before is answered from the journal.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.errors import ImageError, JournalError, SafejudgeError
from safejudge.files.records import PEOPLE
from safejudge.images.load import load_image
from safejudge.journal.people import holding
from safejudge.journal.picture import shrunk
from safejudge.journal.queue import needs_of
from safejudge.journal.rows import Row
from safejudge.show.page.recorded import result_of_content
from safejudge.show.page.thumbnail import deciding_picture
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.decide.decision import Decider
    from safejudge.journal.held import Held
    from safejudge.journal.rows import Need
    from safejudge.journal.store import Journal
    from safejudge.judge import Judge
    from safejudge.types import JSON, Judgment, Result


@dataclass(frozen=True, slots=True)
class Ledger:
    """A journal as whoever judges uses it; its calls take a moment, so no event loop makes them."""

    journal: Journal
    reviewers: int = 1
    """People who have to agree."""
    audit: float = 0.0
    """The share of all images that people see anyway."""
    thumbnail: int = 0
    """The longer side, in pixels, of the small picture of what people should look at; 0: none."""
    repeats: bool = False
    """Whether an image that was judged before is answered from the journal."""

    def known(
        self, judge: Judge, files: Sequence[tuple[bytes | None, str | None]]
    ) -> list[Judgment | None]:
        """Return what was said of each file before, by the same rules, policy and models.

        `files` are bytes, where there are some, and their captions.
        """
        if not self.repeats:
            return [None] * len(files)
        keys = [
            None if image is None else (hashlib.sha256(image).hexdigest(), caption or "")
            for image, caption in files
        ]
        with _told():
            kept = self.journal.known(judge, [key for key in keys if key is not None])
        found: list[Judgment | None] = []
        for key in keys:
            record = None if key is None else kept.get(key)
            result = None if record is None else result_of_content(record, judge.provenance)
            found.append(None if isinstance(result, Failure) else result)
        return found

    def settle(
        self,
        judge: Judge,
        decider: Decider | None,
        judged: Sequence[tuple[bytes | None, str | None, Result]],
        client: str,
    ) -> list[Mapping[str, Held]]:
        """Keep what the judge said of each image; return what people said of it, by rule.

        `judged` are the file, where there is one, its caption, and the result. Raises
        `JournalError` where the journal cannot be read or written.
        """
        held = self._held(judge, [result.id for *_, result in judged])
        rows = []
        for (image, caption, result), settled in zip(judged, held, strict=True):
            decision = None if decider is None else decider(result)
            needs = tuple(
                need
                for need in needs_of(result, decision, audit=self.audit)
                if need.rule not in settled
            )
            small = self._small(image, result, judge) if needs else None
            rows.append(Row(result, decision, caption, client, needs=needs, thumbnail=small))
        with _told():
            self.journal.add(judge, rows)
        return held

    def _held(self, judge: Judge, ids: Sequence[str | None]) -> list[Mapping[str, Held]]:
        """Return what people said of each image, by rule; of one without an id nothing."""
        digests = self.journal.made_by(judge).rules
        with _told():
            by_image = holding(
                self.journal, {*filter(None, ids)}, digests, reviewers=self.reviewers
            )
        return [by_image.get(image or "", {}) for image in ids]

    def agrees(self, judge: Judge, record: JSON) -> bool:
        """Whether a stored record says of people what they decided by now."""
        image = record.get("id")
        if not isinstance(image, str):
            return True
        (held,) = self._held(judge, [image])
        now = {rule: one.verdict for rule, one in held.items()}
        said = (record.get(PEOPLE) or {}).get("rules", {})
        return now == {rule: one["verdict"] for rule, one in said.items()}

    def keep_shadow(  # noqa: PLR0913, PLR0917 - what a row is made of
        self,
        judge: Judge,
        variant: str,
        image: bytes | None,
        caption: str | None,
        result: Result,
        needs: tuple[Need, ...],
    ) -> None:
        """Keep what another version said, under its name. Raises `JournalError`."""
        (settled,) = self._held(judge, [result.id])
        needs = tuple(need for need in needs if need.rule not in settled)
        small = self._small(image, result, judge) if needs else None
        with _told():
            self.journal.add(judge, [Row(result, None, caption, "", variant, needs, small)])

    def _small(self, image: bytes | None, result: Result, judge: Judge) -> bytes | None:
        """Make a small picture of what was judged, for people."""
        if image is None or not self.thumbnail:
            return None
        try:
            read = load_image(image, name="image", policy=judge.policy)
        except ImageError:
            return None
        picture = deciding_picture(result, read) or read.pictures[0]
        return shrunk(picture.pixels, self.thumbnail)


@contextmanager
def _told() -> Iterator[None]:
    """Say of whatever a journal cannot do that nothing is answered that cannot be kept."""
    try:
        yield
    except SafejudgeError as error:
        raise JournalError(str(error)) from error
