r"""Images by the names of their records: files, members of tar shards, rows of Parquet files.

Takes a name, and the folder that it is meant from; gives the bytes that lie there, if they are
those that were judged. A name that is no UTF-8 is written with `\udc80` in it and the like, and
found by that. Decodes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safejudge.errors import InputError
from safejudge.files.remote import RemoteFile, is_remote
from safejudge.images.listing import key_of
from safejudge.images.load import is_url
from safejudge.images.shards import PARQUET, TAR, find_entries, read
from safejudge.types import Failure

if TYPE_CHECKING:
    from safejudge.images.entries import Entry

_SHARD_ENDS = re.compile(rf"{re.escape(TAR)}(?=/.)|{re.escape(PARQUET)}(?=#\d)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")
_LISTED = 4
"""Shards whose entries are kept: records of one stand together."""

Absent = Literal["missing", "changed", "in a store"]
"""Why the picture of a record cannot be shown; what lies in a store is not fetched by a record."""


def find_bytes(name: str, folder: str | None, digest: str, limit: int) -> bytes | Absent:
    """Return what was judged under a name, which has this sha256 (hex); or why it is not there.

    A relative name is meant from `folder`, or from here; of more than `limit` bytes nothing is
    taken.
    """
    content = _read(name, folder, limit)
    if content is None:
        return "in a store" if is_remote(name) else "missing"
    return content if hashlib.sha256(content).hexdigest() == digest else "changed"


def _read(name: str, folder: str | None, limit: int) -> bytes | None:
    if is_url(name):
        return None
    for spelled in dict.fromkeys((name, _ESCAPED.sub(_byte, name))):
        path = os.path.join(folder or os.getcwd(), spelled)  # noqa: PTH109, PTH118 - as text
        content = _read_file(path, limit)
        if content is None and (entry := _entry(path)) is not None:
            content = _read_entry(entry, limit)
        if content is not None:
            return content
    return None


def _byte(match: re.Match[str]) -> str:
    return chr(0xDC00 + int(match[1], 16))


def _read_file(path: str, limit: int) -> bytes | None:
    try:
        if not Path(path).is_file():  # a pipe would block
            return None
        with Path(path).open("rb") as file:
            return file.read(limit + 1)
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return None


def _entry(path: str) -> Entry | None:
    """Find a member of a shard by the shard's path and its name there."""
    shards = (path[: found.end()] for found in _SHARD_ENDS.finditer(path))
    shard = next((shard for shard in shards if Path(shard).is_file()), None)
    return None if shard is None else _listed(shard).get(key_of(path))


@lru_cache(maxsize=_LISTED)
def _listed(shard: str) -> dict[str, Entry]:
    """The entries of a shard, by what their names mean; none where it cannot be listed."""
    try:
        return {key_of(entry.name): entry for entry in find_entries([shard])}
    except (InputError, ImportError):
        return {}


def _read_entry(entry: Entry, limit: int) -> bytes | None:
    """Read a member of a shard; a row of Parquet may hold the path of a file."""
    content, _ = read(entry, limit, captions=False)
    if isinstance(content, Failure | RemoteFile):  # the latter never: records are not followed
        return None
    return _read_file(content, limit) if isinstance(content, str) else content
