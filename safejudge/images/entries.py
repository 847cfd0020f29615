"""Images in other files: where one lies, and what else is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from safejudge.files.remote import RemoteFile
    from safejudge.images.kinds import Kind
    from safejudge.images.pairs import Prompt

CAPTION_BYTES = 2**16
"""A text beside an image is its caption, unless it is larger."""


class Entry(NamedTuple):
    """One image: where it lies, and what it is called."""

    name: str
    """What its record is named: the path, `shard.tar/member` or `file.parquet#row` (from 0)."""
    path: str
    """The file that it is, or that it is in."""
    position: tuple[int, int] | None = None
    """In a tar: first byte and size. In Parquet: row group and row in it. None: the whole file."""
    caption: Prompt | None = None
    """Its caption, or item, where that is known already."""
    caption_position: tuple[int, int] | None = None
    """In a tar: first byte and size of its caption."""
    stored: RemoteFile | None = None
    """The file that it is, or that it is in, where that lies in a store."""


class Other(NamedTuple):
    """What lies in a shard and is taken for no image."""

    name: str
    """As that of an entry; of rows, that of the file."""
    kind: Kind
    """What it is instead."""
    number: int = 1
    """How many of it."""


class Contents(NamedTuple):
    """What a shard holds."""

    entries: list[Entry]
    """Its images, and what claims to be one."""
    others: list[Other]
    """Everything else, but for folders, and for texts beside an image: captions and the like."""
