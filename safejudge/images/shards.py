"""Where many images lie: files of their own, members of tar shards, rows of Parquet files.

Takes paths as the command line names them; gives one `Entry` per image, without reading the image,
and what lies there, perhaps in another process and much later. What cannot be listed is an
error before any work; what cannot be read is the `Failure` of one image. Of shards in a store a
copy is listed, and of Parquet files read. Decodes nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from safejudge.errors import ImageError, InputError
from safejudge.files import remote
from safejudge.files.below import leads_out, leads_out_of_store
from safejudge.files.records import image_name
from safejudge.files.remote import RemoteFile
from safejudge.images import child, process
from safejudge.images.copies import COPIES
from safejudge.images.entries import Contents, Entry, Other
from safejudge.images.ignore import ignored, is_companion
from safejudge.images.kinds import Kind
from safejudge.images.listed import PassedOver
from safejudge.images.listing import key_of, list_images
from safejudge.images.load import SUFFIXES
from safejudge.images.tars import list_tar
from safejudge.text import cut, one_line
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.images.listed import Listing
    from safejudge.images.pairs import Prompt

TAR, PARQUET = ".tar", ".parquet"
ROWS = 1_000_000
"""Rows of one Parquet file that may hold images."""
SECONDS, MEMORY = 20, 3 * 2**30
"""Of a processor, and bytes of addresses, that listing or reading a row of Parquet may take. Common
writers put 1,024 rows into a page, and a page is unpacked whole: one of a gigabyte fits."""


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
    known: Sequence[str | None] = (),
    stores: bool = False,
) -> tuple[list[Entry], Listing]:
    """Return the entries under some paths, and the listing of all files; see `list_images`.

    Raises as `find_entries` does.
    """
    listing = list_images(paths, ignore=ignore, known=known, shards=(TAR, PARQUET), stores=stores)
    taken: set[str] = set()
    apart = Apart(taken.__contains__)
    entries = []
    for path in listing.images:
        for entry in entries_of(path, listing.remote.get(path), listing, ignore):
            name, key = apart.named(entry.name)
            taken.add(key)
            entries.append(entry._replace(name=name))
    return entries, listing


class Apart:
    """Numbers the entries that share a name, however it is spelled: a tar may hold two of one."""

    def __init__(self, is_taken: Callable[[str], bool]) -> None:
        """`is_taken` says of a key whether an entry has it."""
        self._is_taken = is_taken
        self._alike: Counter[str] = Counter()

    def named(self, name: str) -> tuple[str, str]:
        """Return what the next entry of a name is called, and the key of that."""
        called, key = name, key_of(name)
        first = key
        while self._is_taken(key):  # a member may have been called `a.png (2)` by somebody
            self._alike[first] += 1
            called = f"{name} ({self._alike[first] + 1})"
            key = key_of(called)
        return called, key


def entries_of(
    path: str, stored: RemoteFile | None, listing: Listing, ignore: Sequence[str]
) -> list[Entry]:
    """List one file, what is passed over in it included; `stored`, where it lies in a store.

    Raises `InputError` for a shard without images.
    """
    contents = list_shard(path) if stored is None else _list_stored(stored)
    if contents is None:
        return [Entry(image_name(path), path, stored=stored)]
    if not contents.entries:
        others = [f" ({cut(one.name)}: {_told(one)})" for one in contents.others[:1]]
        raise InputError(f"{path}: holds no image; leave it out{''.join(others)}")
    beginning = image_name(f"{path}/")
    for other in contents.others:
        inside = PurePath(other.name.removeprefix(beginning))
        pattern = next((p for p in ignore if ignored(inside, [p])), None)
        if pattern is not None:
            listing.ignored[pattern] += other.number
        elif is_companion(inside):
            listing.companions += other.number
        else:
            listing.pass_over(PassedOver(other.name, other.kind.what, other.number))
    taken = []
    for entry in contents.entries:
        inside = PurePath(entry.name.removeprefix(beginning))
        pattern = next((p for p in ignore if ignored(inside, [p])), None)
        if pattern is None:
            taken.append(entry)
        else:
            listing.ignored[pattern] += 1
    return taken


def _told(other: Other) -> str:
    return other.kind.what if other.number == 1 else f"{other.number} {other.kind.what}"


def list_shard(path: str) -> Contents | None:
    """List what a tar or Parquet file holds; None for another file.

    Raises `InputError` where it cannot be listed.
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - of every image of a run
    if suffix not in (TAR, PARQUET) or not Path(path).is_file():
        return None
    return list_tar(path, SUFFIXES) if suffix == TAR else list_parquet(path)


def _list_stored(file: RemoteFile) -> Contents | None:
    """List a copy of a shard, which goes at once; its entries lie in the store."""
    address = file.address
    suffix = PurePath(address).suffix.lower()
    if suffix not in (TAR, PARQUET) or file.size is None:
        return None
    try:
        with COPIES.made(file) as copied:
            contents = list_shard(str(copied))
    except OSError as error:
        raise InputError(
            f"{address}: cannot be copied to be listed ({error.strerror}); check its rights, and "
            "the room in TMPDIR"
        ) from error
    except InputError as error:
        raise InputError(re.sub(r"\S*/safejudge-\w+/shard\.\w+", address, str(error))) from None
    if contents is None:
        return None

    def named(name: str) -> str:
        return image_name(address) + name.removeprefix(image_name(str(copied)))

    entries = [
        entry._replace(name=named(entry.name), path=address, stored=file)
        for entry in contents.entries
    ]
    return Contents(entries, [o._replace(name=named(o.name)) for o in contents.others])


def list_parquet(path: str) -> Contents:
    """List the rows of a Parquet file. Raises `InputError`."""
    _need_pyarrow(path)
    job = child.Job(path, {"job": "describe", "path": str(Path(path).absolute())}, SECONDS, MEMORY)
    try:
        groups = process.POOL.run(job, lambda answer: answer.header["groups"])
    except ImageError as error:
        raise InputError(_as_parquet(str(error))) from error
    empty = sum(without for _, without in groups)
    rows = sum(count for count, _ in groups)
    if rows - empty > ROWS:
        raise InputError(
            f"{path}: has {rows - empty} rows that may hold images, more than {ROWS}; split it"
        )
    entries, row = [], 0
    for group, (count, without) in enumerate(groups):
        if not without:
            entries += [
                Entry(image_name(f"{path}#{row + index}"), path, (group, index))
                for index in range(count)
            ]
        row += count
    other = Other(image_name(path), Kind("empty", "rows without an image"), empty)
    return Contents(entries, [other] if empty else [])


def _as_parquet(problem: str) -> str:
    """Say of a file that is none what it is not."""
    told = problem.replace(": cannot be read (", ": cannot be read as Parquet (", 1)
    return told if "; " in told else f"{told}; write it again, or leave it out"


def _need_pyarrow(path: str) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'safejudge[ray]'")


# --- reading --------------------------------------------------------------------------------------


def read(
    entry: Entry, limit: int, *, captions: bool
) -> tuple[str | RemoteFile | bytes | Failure, Prompt | None]:
    """Return what is to be decoded, a file or bytes, and the caption.

    Of images larger than `limit` bytes one byte more is read, which the loader refuses. `captions`:
    those that lie beside the images count. Raises `StoreError` where a store cannot be asked.
    """
    if entry.position is None:
        return entry.path if entry.stored is None else entry.stored, entry.caption
    data: str | RemoteFile | bytes
    try:
        if Path(entry.path).suffix.lower() == TAR:
            data, caption = _read_tar(entry, entry.position, limit)
        else:
            data, caption = _read_parquet(entry, entry.position, limit)
    except ImageError as error:
        return Failure(image=entry.name, reason=error.reason, message=str(error)), None
    except FileNotFoundError as error:
        return _failure(entry, "missing", error), None
    except OSError as error:
        return _failure(entry, "unreadable", error), None
    return data, caption if captions else entry.caption


def _failure(entry: Entry, reason: str, error: Exception) -> Failure:
    message = f"{entry.name}: cannot be read ({_described(error)}); write {entry.path} again"
    return Failure(image=entry.name, reason=reason, message=message)


def _read_tar(entry: Entry, position: tuple[int, int], limit: int) -> tuple[bytes, str | None]:
    start, size = position
    data = _part(entry, start, min(size, limit + 1))
    if entry.caption_position is None:
        return data, None
    return data, _part(entry, *entry.caption_position).decode(errors="replace")


def _part(entry: Entry, start: int, size: int) -> bytes:
    """Read bytes of the file that an entry is in."""
    if entry.stored is not None:
        return remote.read_part(entry.path, start, size) if size else b""
    with Path(entry.path).open("rb") as file:
        file.seek(start)
        return file.read(size)


def _read_parquet(
    entry: Entry, position: tuple[int, int], limit: int
) -> tuple[str | RemoteFile | bytes, str | None]:
    if entry.stored is None:
        return _read_row(entry, position, limit, Path(entry.path).absolute())
    with COPIES.kept(entry.stored) as copied:
        return _read_row(entry, position, limit, copied)


def _read_row(
    entry: Entry, position: tuple[int, int], limit: int, path: Path
) -> tuple[str | RemoteFile | bytes, str | None]:
    """Read a row of the file at a path of this machine."""
    group, row = position
    place = {"job": "cell", "path": str(path), "group": group, "row": row, "limit": limit}
    job = child.Job(entry.name, place, SECONDS, MEMORY)
    data, linked, caption = process.POOL.run(job, lambda answer: _cell(answer, limit))
    if linked is None:
        return data, caption
    folder = os.path.dirname(entry.path)  # noqa: PTH120 - as written
    stored = entry.stored is not None
    if leads_out_of_store(linked) if stored else leads_out(Path(folder), linked):
        raise ImageError(
            "outside",
            f"{entry.name}: names an image outside the folder of the file; put it beside the file, "
            "or below, and name it from there",
        )
    if stored:
        return RemoteFile(f"{folder}/{linked}"), caption
    return os.path.join(folder, linked), caption  # noqa: PTH118 - the same


def _cell(answer: child.Answer, limit: int) -> tuple[bytes, str | None, str | None]:
    header = answer.header
    size, linked = header["bytes"] or 0, header["path"]
    if not 0 <= size <= limit:
        raise ValueError("too much")
    data = bytearray(size)
    answer.fill(memoryview(data))
    return bytes(data), linked, header["caption"]


def _described(error: Exception) -> str:
    return cut(one_line(str(error)))
