"""Which records of an earlier run still stand, now that it goes on.

Takes the images of a run, by key, and ways to tell what a name means and what a file holds; says of
a record whether it stands. A record stands for an image if it has its name and its content, and if
all that was asked was answered. Files that failed, and questions that nobody answered, are asked
again. Reads no image itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from safejudge.errors import OutputError

if TYPE_CHECKING:
    from safejudge.types import JSON

KeyOf: TypeAlias = Callable[[str, str | None], str]
"""Says which image a name means, for a run that was begun in a folder (None: not recorded)."""

LABELS = ("safe", "unsafe", "undecided")
"""What an image that was judged may be called; a record with anything else says nothing."""

UNREAD = "unread"
"""Under which a record without its answers says that some are missing, and of what."""

Place: TypeAlias = Literal["stands", "old", "of"]
"""A record `stands`, is `old`, or is `of` something that this run is not about."""


class Stands(Protocol):
    """What says which records stand."""

    unique: ClassVar[bool]
    """Whether a second record with one key is one too many."""

    def place(self, record: JSON, folder: str | None) -> tuple[str, Place]:
        """Return a record's key and its place; it was written by a run begun in `folder`."""

    def here(self, name: str) -> str:
        """Return the key of a name as this run means it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The images of a run, and how their records are known."""

    unique: ClassVar[bool] = True
    wanted: Collection[str]
    """Keys of the images of this run."""
    key_of: KeyOf
    """The key of a name; None for the folder means the one that this run was begun in."""
    id_of: Callable[[str], str | None]
    """Sha256 of what an image holds now, by its key; None where it cannot be read."""
    holds: Callable[[JSON], bool] = lambda _: True
    """Whether what a record says beside the judgment still holds, such as what people decided."""

    def place(self, record: JSON, folder: str | None) -> tuple[str, Place]:
        """Place a record; raise `OutputError` where another folder has another image so named."""
        name = record["image"]
        key = self.key_of(name, folder)
        if key not in self.wanted:
            here = self.key_of(name, None)
            if here not in self.wanted:
                return key, "of"
            if record.get("id") is None or record["id"] != self.id_of(here):
                raise OutputError(
                    f"holds the record of another {name}, from {folder}; go on from there, or name "
                    "another file"
                )
            key = here
        judged = settled(record) and record.get("label") in LABELS
        stands = judged and record.get("id") == self.id_of(key) and self.holds(record)
        return key, "stands" if stands else "old"

    def here(self, name: str) -> str:
        """Return the key of a name that is meant from here."""
        return self.key_of(name, None)


@dataclass(frozen=True, slots=True)
class Answered:
    """Samples of a suite, known by name: a record stands if all of it was answered."""

    unique: ClassVar[bool] = False
    pictures: dict[str, Any] = field(default_factory=dict)
    """Digests of the pictures that a standing record is about, by name; where it has any."""

    def place(self, record: JSON, folder: str | None) -> tuple[str, Place]:
        """Place a record, and keep what it says of its pictures."""
        del folder  # names are of the data, not of files
        if not settled(record):
            return record["image"], "old"
        if "digests" in record:
            self.pictures[record["image"]] = record["digests"]
        return record["image"], "stands"

    def here(self, name: str) -> str:
        """Return the name."""
        return name


def settled(record: JSON) -> bool:
    """Whether an image was judged, and an engine answered everything that it was asked."""
    if record.get("error") is not None or record.get(UNREAD):
        return False
    return not unanswered_rules(record)


def unanswered_rules(record: JSON) -> list[str]:
    """Return the rules about which an engine was asked something that it did not answer."""
    return [
        name
        for name, rule in (record.get("rules") or {}).items()
        if any(
            _unanswered(precondition)
            for look in (rule, rule.get("set_aside") or {})
            for precondition in look.get("preconditions", ())
        )
    ]


def _unanswered(precondition: JSON) -> bool:
    """Whether a verdict on a precondition lacks an answer, not only one that can be used."""
    if precondition.get("test") == "not_asked":
        return True
    if precondition.get("test") == "program":  # it could not look; perhaps it can now
        return precondition.get("outcome") == "undecided"
    if precondition.get("test") != "unreadable":
        return False
    reasoning = precondition.get("reasoning")
    if reasoning is not None:
        return not reasoning.get("text")
    if any(read.get("score") is None for read in precondition.get("reads", ())):
        return True
    # Of several engines each counts, unless another was asked after them and answered.
    asked_after = "engine" in precondition
    return not asked_after and any(map(_unanswered, precondition.get("opinions", ())))
