"""Where many images lie: files of their own, members of tar shards, rows of Parquet files.

Takes paths as the command line names them; gives one `Entry` per image, without reading the image,
and what lies there, perhaps in another process and much later. What cannot be listed is an
error before any work; what cannot be read is the `Failure` of one image. Decodes nothing.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections import Counter
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.errors import InputError
from safejudge.files.records import image_name
from safejudge.files.standing import Standing
from safejudge.images.listing import digest_of, key_of, list_images
from safejudge.images.load import SUFFIXES
from safejudge.text import cut, one_line
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.images.listing import Listing

TAR, PARQUET = ".tar", ".parquet"
IMAGE = "image"
"""The column of a Parquet file that holds the images: bytes, a struct of bytes and path as
Hugging Face writes it, or paths from the folder of the file."""
CAPTIONS = ("prompt", "caption")
"""The columns that may hold the captions; the first that is there and holds texts does."""
CAPTION_BYTES = 2**16
"""A `.txt` beside an image in a tar shard is its caption, unless it is larger."""


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


# --- listing --------------------------------------------------------------------------------------


def find_entries(paths: Sequence[str]) -> list[Entry]:
    """Resolve files, folders and patterns as `find_images` does, and look into shards.

    A folder is searched for tar and Parquet files too. Raises `InputError` for a shard that cannot
    be listed, and for one without images.
    """
    return list_entries(paths)[0]


def list_entries(
    paths: Sequence[str],
    *,
    ignore: Sequence[str] = (),
    known: Iterable[str | os.PathLike[str] | None] = (),
) -> tuple[list[Entry], Listing]:
    """Return the entries under some paths, and the listing of all files; see `list_images`.

    Raises as `find_entries` does.
    """
    listing = list_images(paths, ignore=ignore, known=known, shards=(TAR, PARQUET))
    entries = [entry for path in listing.images for entry in _entries(path)]
    return list(_apart(entries)), listing


def _apart(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Number the entries that share a name: a tar may hold two members of one."""
    names: Counter[str] = Counter()
    for entry in entries:
        names[entry.name] += 1
        count = names[entry.name]
        yield entry if count == 1 else entry._replace(name=f"{entry.name} ({count})")


def standing_of_entries(entries: Sequence[Entry], limit: int) -> Standing:
    """Say how records of earlier runs stand to entries: by their name and by what they hold now.

    An entry is read when its record is met; of more than `limit` bytes nothing stands.
    """
    wanted = {key_of(entry.name): entry for entry in entries}

    def id_of(key: str) -> str | None:
        content, _ = read(wanted[key], limit, captions=False)
        if isinstance(content, str):
            return digest_of(content)
        return None if isinstance(content, Failure) else hashlib.sha256(content).hexdigest()

    return Standing(wanted, key_of, id_of)


def _entries(path: str) -> list[Entry]:
    listed = {TAR: _in_tar, PARQUET: _in_parquet}.get(Path(path).suffix.lower())
    if listed is None or not Path(path).is_file():
        return [Entry(image_name(path), path)]
    return listed(path)


def _in_tar(path: str) -> list[Entry]:
    try:
        with tarfile.open(path, "r:") as tar:
            files = [member for member in tar if member.isreg()]
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{path}: cannot be read as a tar ({error}); save it again without compression, or "
            "leave it out"
        ) from error
    texts = {
        _key(member.name): (member.offset_data, member.size)
        for member in files
        if member.name.lower().endswith(".txt") and member.size <= CAPTION_BYTES
    }
    entries = [
        Entry(
            image_name(f"{path}/{member.name}"),
            path,
            (member.offset_data, member.size),
            caption_position=texts.get(_key(member.name)),
        )
        for member in files
        if PurePosixPath(member.name).suffix.lower() in SUFFIXES
    ]
    if not entries:
        raise InputError(f"{path}: holds no image (looked for {' '.join(SUFFIXES)}); leave it out")
    return entries


def _key(member: str) -> str:
    """What the files of one sample share in a WebDataset: the path up to the name's first dot."""
    folder, slash, base = member.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _in_parquet(path: str) -> list[Entry]:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            footer, schema = file.metadata, file.schema_arrow
            sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read as Parquet ({_described(error)}); write it again, or leave "
            "it out"
        ) from error
    if IMAGE not in schema.names or not _holds_images(schema.field(IMAGE).type):
        columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise InputError(
            f"{path}: has no column `{IMAGE}` of bytes or paths ({cut(columns)}); name the column "
            "of the images so"
        )
    positions = ((group, row) for group, size in enumerate(sizes) for row in range(size))
    entries = [
        Entry(image_name(f"{path}#{row}"), path, position) for row, position in enumerate(positions)
    ]
    if not entries:
        raise InputError(f"{path}: has no rows; leave it out")
    return entries


def _holds_images(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return "bytes" in {field.name for field in kind}
    tests = (types.is_binary, types.is_large_binary, types.is_string, types.is_large_string)
    return any(test(kind) for test in tests)


# --- reading --------------------------------------------------------------------------------------


def read(entry: Entry, limit: int, *, captions: bool) -> tuple[str | bytes | Failure, str | None]:
    """Return what is to be decoded, a path or bytes, and the caption.

    Of images larger than `limit` bytes one byte more is read, which the loader refuses. `captions`:
    those that lie beside the images count.
    """
    import pyarrow as pa

    if entry.position is None:
        return entry.path, entry.caption
    inside = _read_tar if Path(entry.path).suffix.lower() == TAR else _read_parquet
    try:
        data, caption = inside(entry, entry.position, limit)
    except FileNotFoundError as error:
        return _failure(entry, "missing", error), None
    except (OSError, ValueError, pa.ArrowException) as error:
        return _failure(entry, "unreadable", error), None
    return data, caption if captions else entry.caption


def _failure(entry: Entry, reason: str, error: Exception) -> Failure:
    message = f"{entry.name}: cannot be read ({_described(error)}); write {entry.path} again"
    return Failure(image=entry.name, reason=reason, message=message)


def _read_tar(entry: Entry, position: tuple[int, int], limit: int) -> tuple[bytes, str | None]:
    start, size = position
    with Path(entry.path).open("rb") as file:
        file.seek(start)
        data = file.read(min(size, limit + 1))
        if entry.caption_position is None:
            return data, None
        start, size = entry.caption_position
        file.seek(start)
        return data, file.read(size).decode(errors="replace")


def _read_parquet(
    entry: Entry, position: tuple[int, int], _limit: int
) -> tuple[str | bytes, str | None]:
    group, row = position
    cells = _row_group(entry.path, group).slice(row, 1).to_pylist()[0]
    cell = cells.pop(IMAGE)
    if isinstance(cell, dict):
        content, linked = cell.get("bytes"), cell.get("path")
        cell = linked if content is None else content
    if isinstance(cell, str):
        cell = os.path.join(os.path.dirname(entry.path), cell)  # noqa: PTH118, PTH120 - as written
    return b"" if cell is None else cell, next(iter(cells.values()), None)


@lru_cache(maxsize=1)
def _row_group(path: str, group: int) -> Any:
    """Images and captions of one row group, which the next images asked for are mostly in too."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        texts = [name for name in CAPTIONS if name in schema.names]
        texts = [name for name in texts if str(schema.field(name).type) in _TEXTS]
        return file.read_row_group(group, columns=[IMAGE, *texts[:1]])


_TEXTS = ("string", "large_string")


def _described(error: Exception) -> str:
    return cut(one_line(str(error)))
