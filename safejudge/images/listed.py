"""What a search for images met: every file once, by what becomes of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from safejudge.types import Intake

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.files.remote import RemoteFile

EXAMPLES = 100
"""So many names of what was passed over are recorded."""


class PassedOver(NamedTuple):
    """A file that was not taken for an image."""

    name: str
    """Its path; for what is in a shard, `shard.tar/member`."""
    what: str
    """What it is: "text", "a ZIP archive"."""
    number: int = 1
    """How many of it, where not each has a name: rows of a table."""


class Listing:
    """Every file under some paths, by what becomes of it."""

    def __init__(self) -> None:
        self.images: list[str] = []
        """Paths of what is to be judged, in order."""
        self.remote: dict[str, RemoteFile] = {}
        """Those of `images` that lie in a store, by their address."""
        self.taken = 0
        """Files that were taken for images, or for holding some."""
        self.passed_over: list[PassedOver] = []
        """What was not taken for an image: the first of it."""
        self.others: Counter[str] = Counter()
        """How much of it there was, by what it is."""
        self.ignored: Counter[str] = Counter()
        """Files that the user's patterns name, by pattern."""
        self.companions = 0
        """Files that macOS keeps beside others, and label files of safejudge."""
        self.repeated = 0
        """Paths that name a file once more."""
        self._seen: dict[str, str] = {}
        """By key, the whole path that has it."""

    def take(self, path: str, stored: RemoteFile | None) -> None:
        """Take a path for an image; `stored` is the file where it lies in a store."""
        self.taken += 1
        self.images.append(path)
        if stored is not None:
            self.remote[path] = stored

    def pass_over(self, entry: PassedOver) -> None:
        """Count what is no image."""
        self.others[entry.what] += entry.number
        if len(self.passed_over) < EXAMPLES:
            self.passed_over.append(entry)

    def first_seen(self, key: str, whole: str) -> str | None:
        """Return the whole path that has a key already, else keep this one for it."""
        earlier = self._seen.get(key)
        if earlier is None:
            self._seen[key] = whole
        return earlier

    def in_order(self, names: Iterable[str]) -> Iterable[str]:
        """Sort the names of a folder."""
        return sorted(names)

    def source(self, path: str) -> str | RemoteFile:
        """Return what an image is read from."""
        return self.remote.get(path, path)

    def intake(self, limit: int | None, count: int | None = None) -> Intake:
        """What came in, as it is told and recorded; `count` images, where not each is a file."""
        count = len(self.images) if count is None else count
        return Intake(
            found=count,
            beyond_limit=0 if limit is None else max(0, count - limit),
            passed_over=self.others,
            examples=tuple(f"{entry.name}: {entry.what}" for entry in self.passed_over),
            ignored=dict(self.ignored),
            companions=self.companions,
            repeated=self.repeated,
        )
