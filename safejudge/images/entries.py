"""Images in other files: where one lies, and what a listing of a shard is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from safejudge.images.kinds import Kind

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
    caption: str | None = None
    """Its caption, where that is known already."""
    caption_position: tuple[int, int] | None = None
    """In a tar: first byte and size of its caption."""


class Other(NamedTuple):
    """What lies in a shard and is taken for no image."""

    name: str
    """As that of an entry."""
    kind: Kind
    """What it is instead."""


class Shard(NamedTuple):
    """What a shard holds."""

    entries: list[Entry]
    """Its images, and what claims to be one."""
    passed_over: list[Other]
    """Everything else, but for folders and the captions of images."""
    empty_rows: int = 0
    """Of a Parquet file: rows without an image, where the file says so for a whole row group."""
