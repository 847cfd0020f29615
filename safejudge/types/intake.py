"""What a run was given, and what nobody looked at."""

from __future__ import annotations

from pydantic import Field

from safejudge.types.base import Record


class Intake(Record):
    """What came in before any of it was judged; what became of it is in the records."""

    found: int
    """Images: files of their own, members of shards, rows of tables."""
    beyond_limit: int = 0
    """Of these, how many `--limit` leaves out."""
    passed_over: dict[str, int] = Field(default_factory=dict)
    """What was not taken for an image: how many of what."""
    examples: tuple[str, ...] = ()
    """Names of the first of these, and what they are."""
    ignored: dict[str, int] = Field(default_factory=dict)
    """Files that the user named with `--ignore`, by pattern."""
    companions: int = 0
    """What macOS keeps beside files, and label files of safejudge: no images, and known."""
    repeated: int = 0
    """Paths that named a file once more."""

    @property
    def missed(self) -> int:
        """How much was passed over that nobody named."""
        return sum(self.passed_over.values())

    @property
    def wanted(self) -> int:
        """How many images the run is about."""
        return self.found - self.beyond_limit
