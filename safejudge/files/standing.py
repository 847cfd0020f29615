"""Which records of an earlier run still stand, now that it goes on.

Takes the images of a run, by key, and ways to tell what a name means and what a file holds; says of
a record whether it stands. A record stands for an image if it has its name and its content, and if
all that was asked was answered. Files that failed, and questions that nobody answered, are asked
again. Reads no image itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.errors import OutputError

if TYPE_CHECKING:
    from safejudge.types import JSON

KeyOf: TypeAlias = Callable[[str, str | None], str]
"""Says which image a name means, for a run that was begun in a folder (None: not recorded)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The images of a run, and how their records are known."""

    wanted: Collection[str]
    """Keys of the images of this run."""
    key_of: KeyOf
    """The key of a name; None for the folder means the one that this run was begun in."""
    id_of: Callable[[str], str | None]
    """Sha256 of what an image holds now, by its key; None where it cannot be read."""

    def place(self, record: JSON, folder: str | None) -> tuple[str, Literal["stands", "old", "of"]]:
        """Return a record's key, and whether it `stands`, is `old`, or is `of` another image.

        `folder` is where the run was begun that wrote it. Raises `OutputError` where another
        folder has another image of the name.
        """
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
        stands = settled(record) and record.get("id") == self.id_of(key)
        return key, "stands" if stands else "old"


def settled(record: JSON) -> bool:
    """Whether an image was judged, and an engine answered everything that it was asked."""
    if "error" in record and record["error"] is not None:
        return False
    rules = record.get("rules") or {}
    return not any(
        _unanswered(precondition)
        for rule in rules.values()
        for look in (rule, rule.get("set_aside") or {})
        for precondition in look.get("preconditions", ())
    )


def _unanswered(precondition: JSON) -> bool:
    """Whether a verdict on a precondition lacks an answer, not only one that can be used."""
    if precondition.get("test") != "unreadable":
        return False
    reasoning = precondition.get("reasoning")
    if reasoning is not None:
        return not reasoning.get("text")
    return any(read.get("score") is None for read in precondition.get("reads", ()))
