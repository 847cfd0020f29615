"""Files in stores, by addresses that a person typed: `s3://`, `gs://`, `hf://`, through fsspec.

Takes addresses; gives what lies under them (`look`), and bytes. An address that stands in a table,
a list or a record is never followed: what is read is a `RemoteFile`, and only what a person typed
becomes one. Endpoints and keys are those that the libraries find by themselves. They stand in no
message: what a library says is told without the user, the key and the query of an address.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from safejudge.errors import InputError
from safejudge.files.store_faults import (
    BUCKETS,
    KEYS,
    asking,
    code_of,
    fault_of_store,
    no_bucket,
    parted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}
"""By scheme, the package that fsspec opens its addresses with."""
_BLOCK = 2**24
"""Bytes that are hashed at a time."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a store, under an address that a person typed."""

    address: str
    size: int | None = None
    """Bytes, as the listing has it; None where nobody asked."""


class Look(NamedTuple):
    """What lies under an address."""

    what: Literal["file", "folder", "pattern", "missing"]
    files: list[RemoteFile]
    """Sorted by address; of what is missing, the address itself."""
    folders: Sequence[str] = ()
    """Folders that a pattern matches."""


def is_remote(path: str) -> bool:
    """Whether a path that a person typed is the address of a store."""
    return path.partition("://")[0] in _PACKAGES and "://" in path


def nearly(path: str) -> str | None:
    """Return the address that is meant by what nearly is one: `S3://bucket`, `s3:/bucket`."""
    match = re.fullmatch(rf"({'|'.join(_PACKAGES)}):/+(.*)", path, re.IGNORECASE | re.DOTALL)
    if match is None or is_remote(path) or os.path.lexists(path):
        return None
    return f"{match[1].lower()}://{match[2]}"


# --- what lies there ------------------------------------------------------------------------------


def look(address: str) -> Look:
    """Say what lies under an address: a file, a folder with all below it, or what a pattern fits.

    Raises `InputError` for an address that no file can have or that may not be listed, and where a
    package is missing, `StoreError` where the store cannot be asked.
    """
    check_address(address)
    scheme, key = parted(address)
    system = _SYSTEMS.of(scheme)
    system.invalidate_cache()  # huggingface_hub keeps what it has seen
    try:
        with asking(address):
            about = system.info(key)
            if about["type"] != "directory":
                return Look("file", [_file(scheme, about)])
            return Look("folder", _below(system, scheme, key))
    except FileNotFoundError as error:
        if scheme in BUCKETS and "/" not in key.rstrip("/"):
            raise no_bucket(address) from error
        if not any(sign in key for sign in "*?["):
            return Look("missing", [RemoteFile(address)])
    except OSError as error:
        raise _unlisted(address, error) from error
    try:
        with asking(address):
            matches = sorted(system.glob(key, detail=True).values(), key=lambda one: one["name"])
    except OSError as error:
        raise _unlisted(address, error) from error
    if not matches:
        return Look("missing", [RemoteFile(address)])
    files = [_file(scheme, one) for one in matches if one["type"] != "directory"]
    folders = [f"{scheme}://{one['name']}" for one in matches if one["type"] == "directory"]
    return Look("pattern", files, folders)


def _unlisted(address: str, error: OSError) -> InputError:
    return InputError(f"{address}: cannot be listed ({error.strerror}); check it and its rights")


def _below(system: Any, scheme: str, key: str) -> list[RemoteFile]:
    """List all files of a folder and below; marks of empty folders are none."""
    below = system.find(key, detail=True).values()
    files = [_file(scheme, about) for about in below if about["type"] == "file"]
    return sorted(
        (file for file in files if not (file.address.endswith("/") and not file.size)),
        key=lambda file: file.address,
    )


def _file(scheme: str, about: dict[str, Any]) -> RemoteFile:
    size = about.get("size")
    return RemoteFile(f"{scheme}://{about['name']}", None if size is None else int(size))


def check_address(address: str) -> None:
    """Raise `InputError` for an address with a key or a query in it, without telling them."""
    scheme, rest = parted(address)
    bucket = rest.partition("/")[0]
    if "@" in bucket:
        raise InputError(
            f"{scheme}://...@{bucket.rpartition('@')[2]}: an address holds no user and no key; set "
            f"{KEYS[scheme]}"
        )
    if match := re.search(r"\?[\w.-]+=", address):
        raise InputError(
            f"{address[: match.start()]}?...: an address has no query; name the file alone, and "
            f"set {KEYS[scheme]}"
        )
    if not bucket or any(sign in bucket for sign in "*?["):
        raise InputError(f"{address}: names no bucket; write {scheme}://BUCKET/FOLDER")


# --- bytes ----------------------------------------------------------------------------------------


def read(file: RemoteFile, limit: int) -> bytes:
    """Return what a file holds; of one that is larger than `limit`, one byte more than that.

    Raises `FileNotFoundError`, another `OSError` for what the store says of this one file, and
    `StoreError` where it is no fault of the file.
    """
    return b"" if file.size == 0 else _part(file.address, 0, limit + 1)


def read_part(address: str, start: int, size: int) -> bytes:
    """Return bytes of a file, fewer where it ends before. Raises as `read` does."""
    return _part(address, start, start + size)


def digest_of(file: RemoteFile) -> str | None:
    """Sha256 (hex) of a file, read anew; None for one that is not there or cannot be read.

    An ETag would be quicker, and is no hash of the content: of a file that was uploaded in pieces
    it is the hash of their hashes. Raises `StoreError`.
    """
    digest, start = hashlib.sha256(), 0
    try:
        while block := _part(file.address, start, start + _BLOCK):
            digest.update(block)
            start += len(block)
            if len(block) < _BLOCK:
                break
    except OSError:
        return None
    return digest.hexdigest()


def read_whole(address: str) -> bytes:
    """Return all of a file that we wrote. Raises as `read` does."""
    scheme, key = parted(address)
    with asking(address):
        return bytes(_SYSTEMS.of(scheme).cat_file(key))


def write(address: str, data: bytes, *, new: bool) -> None:
    """Write a whole file at once; `new`: only where none is, else `FileExistsError`.

    Raises `OSError` and `StoreError`.
    """
    scheme, key = parted(address)
    with asking(address):
        _SYSTEMS.of(scheme).pipe_file(key, data, mode="create" if new else "overwrite")


def remove(address: str) -> None:
    """Remove a file; one that is not there is fine. Raises `OSError` and `StoreError`."""
    scheme, key = parted(address)
    try:
        with asking(address):
            _SYSTEMS.of(scheme).rm_file(key)
    except FileNotFoundError:
        pass


def heads(files: Sequence[RemoteFile], size: int) -> list[bytes | None]:
    """Return what files begin with, many at a time; None for one that cannot be read.

    Raises `StoreError`.
    """
    found: list[bytes | None] = [b"" if file.size == 0 else None for file in files]
    asked = [number for number, file in enumerate(files) if file.size != 0]
    if not asked:
        return found
    scheme, _ = parted(files[0].address)
    keys = [parted(files[number].address)[1] for number in asked]
    with asking(files[asked[0]].address):
        answers = _SYSTEMS.of(scheme).cat_ranges(
            keys, [0] * len(keys), [size] * len(keys), on_error="return"
        )
    for number, answer in zip(asked, answers, strict=True):
        if isinstance(answer, bytes | bytearray | memoryview):
            found[number] = bytes(answer)
        elif (problem := fault_of_store(files[number].address, answer)) is not None:
            raise problem from None  # what a library says may hold keys
    return found


def copy(address: str, to: Path) -> None:
    """Copy a whole file to the disk. Raises as `read` does; a full disk is an `OSError` too."""
    scheme, key = parted(address)
    with asking(address):
        _SYSTEMS.of(scheme).get_file(key, str(to))


def _part(address: str, start: int, end: int) -> bytes:
    scheme, key = parted(address)
    try:
        with asking(address):
            exact = {"cache_type": "none"} if scheme == "hf" else {}  # else it reads ahead
            return bytes(_SYSTEMS.of(scheme).cat_file(key, start=start, end=end, **exact))
    except OSError as error:
        if code_of(error) in ("InvalidRange", "416"):  # what ends before has no such bytes
            return b""
        raise


# --- fsspec ---------------------------------------------------------------------------------------


class _Systems:
    """What fsspec has open, by process and scheme.

    Its event loop is a thread, and no thread outlives a fork: a forked child opens its own. That of
    its parent is kept there, unused, for closing it would wait for that thread.
    """

    def __init__(self) -> None:
        self._opened: dict[tuple[int, str], Any] = {}
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Let go of a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()

    def of(self, scheme: str) -> Any:
        """Open a store, with what its library finds in the environment and in its own files.

        Raises `InputError` where the library is not there.
        """
        with self._lock:
            place = (os.getpid(), scheme)
            if place not in self._opened:
                self._opened[place] = _opened(scheme)
            return self._opened[place]


def _opened(scheme: str) -> Any:
    try:
        import fsspec  # noqa: PLC0415 - few runs need it

        return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        package = _PACKAGES[scheme]
        raise InputError(
            f"{scheme}://: needs the package {package}: pip install {package}"
        ) from error


_SYSTEMS = _Systems()
if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_SYSTEMS.renew)
