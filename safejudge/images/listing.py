"""What lies under the paths that a run was given: images, and what is passed over and why.

Takes paths as the command line names them; gives a `Listing` in which every file is counted once.
Files of a folder are told apart by their first bytes (`kinds`), for a suffix makes no picture and
the lack of one hides none. Addresses of stores (`s3://`) are looked under where the caller says
that a person typed these paths (`stores`). Decodes nothing.
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files import remote
from safejudge.files.records import image_name
from safejudge.files.remote import RemoteFile, is_remote
from safejudge.files.standing import Standing
from safejudge.images import kinds
from safejudge.images.disk import files_below, kind_at
from safejudge.images.ignore import ignored, is_companion
from safejudge.images.listed import Listing, PassedOver
from safejudge.images.load import SUFFIXES, is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from safejudge.images.kinds import Kind

    _KindOf = Callable[[str], Kind | None]

OUR_OWN = frozenset({"facts.jsonl", "labels.csv", "labels.jsonl"})
"""What safejudge itself reads and writes beside images; text of these names is no image missed."""


_TOGETHER = 1000
"""So many files of a store are sorted in at a time."""
_TWIN = "a file whose name reads like that of another in records; rename it"


def key_of(path: str, folder: str | None = None) -> str:
    """Name a path so that its spellings are one; relative ones are meant from `folder`, or here."""
    name = _whole(path, os.getcwd() if folder is None else folder)  # noqa: PTH109 - as text
    return image_name(name)


def _whole(path: str, folder: str) -> str:
    """The whole path, as it is on disk, of a file that is meant from a folder.

    What `..` comes to hangs on links: `link/../a.png` lies beside what the link means.
    """
    if is_url(path):
        return path
    whole = os.path.join(folder, path)  # noqa: PTH118 - as text
    before, up, after = whole.rpartition("/../")
    return os.path.normpath(os.path.realpath(before + up) + "/" + after if up else whole)


def standing_of(sources: Mapping[str, str | RemoteFile]) -> Standing:
    """Say how records of earlier runs stand to image files: by where they lie and what they hold.

    A file is read when its record is met, and not kept.
    """
    wanted = {key_of(path): source for path, source in sources.items()}
    return Standing(wanted, key_of, lambda key: digest_of(wanted[key]))


def digest_of(path: str | Path | RemoteFile) -> str | None:
    """Sha256 (hex) of a file, which is the id of its image; None for one that cannot be read.

    Raises `StoreError` where a store cannot be asked.
    """
    if isinstance(path, RemoteFile):
        return remote.digest_of(path)
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if not status.st_size:  # or something like /proc/kmsg, which never ends
            return hashlib.sha256().hexdigest()
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def list_images(  # noqa: PLR0913 - what a search is told
    paths: Sequence[str],
    *,
    ignore: Sequence[str] = (),
    known: Iterable[str | os.PathLike[str] | None] = (),
    shards: tuple[str, ...] = (),
    stores: bool = False,
    listing: Listing | None = None,
) -> Listing:
    """List the images under files, folders (recursively, sorted) and glob patterns, in order.

    A file that is named itself is taken, whatever it holds; so is what matches nothing, to become
    a `Failure`. Of a folder or a pattern, files with a suffix of `SUFFIXES` are taken, and all
    others that are pictures, or other things to look at, by their first bytes. A file is listed
    once, however it is spelled. `ignore` are patterns (`ignore.ignored`), `known` files that the
    command itself reads or writes, `shards` further suffixes, of files that hold images. `stores`:
    a person typed these paths, so addresses such as `s3://bucket/folder` are looked under.
    `listing` is one that keeps what it meets in another place. Raises `InputError` for a folder
    without an image, or one that cannot be listed, and `StoreError`.
    """
    listing = Listing() if listing is None else listing
    search = _Search(listing, ignore, {key_of(os.fspath(k)) for k in known if k}, shards)
    for path in paths:
        if stores and is_remote(path):
            search.store(path)
        elif stores and (meant := remote.nearly(path)) is not None:
            raise InputError(f"{path}: is no address as it is written; write {meant}")
        elif Path(path).is_dir():
            search.folder(path)
        elif os.path.lexists(path) or is_url(path) or not glob.has_magic(path):
            search.take(path)
        else:
            search.pattern(path)
    return listing


def find_images(paths: Sequence[str], shards: tuple[str, ...] = ()) -> list[str]:
    """Return the images alone of `list_images`."""
    return list_images(paths, shards=shards).images


class _Search:
    """One search: what is looked for, and what was seen already."""

    def __init__(
        self, listing: Listing, ignore: Sequence[str], known: set[str], shards: tuple[str, ...]
    ) -> None:
        self._listing, self._ignore, self._known = listing, ignore, known
        self._shards = shards

    def take(self, path: str, stored: RemoteFile | None = None) -> None:
        """Take a path for an image, unless it was taken before."""
        if self._is_new(path):
            self._listing.take(path, stored)

    def pattern(self, pattern: str) -> None:
        """Take what a glob pattern matches; one that matches nothing is taken as a path."""
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute ones too
        folders = [match for match in matches if Path(match).is_dir()]
        for match in matches or [pattern]:
            if not matches:
                self.take(match)
            elif match not in folders:
                self._judge_by_content(match, PurePath(match), _on_disk)
            elif not _reaches_into(match, matches):
                self.folder(match)

    def folder(self, folder: str) -> None:
        """Take the images of a folder and of all below it."""
        with self._some_image(folder):
            for path in self._listing.in_order(files_below(folder, self._listing.pass_over)):
                self._judge_by_content(path, PurePath(os.path.relpath(path, folder)), _on_disk)

    def store(self, address: str) -> None:
        """Take what lies under an address of a store, as it is done here."""
        found = remote.look(address)
        if found.what == "folder":
            self._folder_of_store(address, found.files)
        elif found.what == "pattern":
            names = [*(file.address for file in found.files), *found.folders]
            self._sort_remote(found.files, "")
            for folder in found.folders:
                if not _reaches_into(folder, names):
                    self._folder_of_store(folder, remote.look(folder).files)
        else:
            for file in found.files:
                self.take(file.address, file)

    def _folder_of_store(self, address: str, files: Sequence[RemoteFile]) -> None:
        with self._some_image(address):
            self._sort_remote(files, address.rstrip("/") + "/")

    def _sort_remote(self, files: Sequence[RemoteFile], folder: str) -> None:
        """Sort files of a store in; only of those without a telling name the first bytes are read.

        They are read many at a time: each takes as long as the way to the store and back.
        """
        for start in range(0, len(files), _TOGETHER):
            part = files[start : start + _TOGETHER]
            below = [PurePath(file.address.removeprefix(folder)) for file in part]
            asked = [
                file
                for file, path in zip(part, below, strict=True)
                if not self._claims(file.address) and self._pattern_of(path) is None
            ]
            beginnings = remote.heads(asked, kinds.HEAD)
            heads = {file.address: head for file, head in zip(asked, beginnings, strict=True)}
            for file, path in zip(part, below, strict=True):
                self._judge_by_content(file.address, path, partial(_in_store, heads), file)

    @contextmanager
    def _some_image(self, folder: str) -> Iterator[None]:
        """Raise `InputError` where the block met no image."""
        before = self._listing.taken + self._listing.repeated
        others = self._listing.others.copy()
        yield
        if self._listing.taken + self._listing.repeated == before:
            passed_over = self._listing.others - others
            there = ", ".join(f"{count} x {what}" for what, count in passed_over.most_common(3))
            raise InputError(
                f"{folder}: no image in this folder or below it"
                f"{f' ({there})' if there else ''}; name another folder, or the files themselves"
            )

    def _pattern_of(self, below: PurePath) -> str | None:
        return next((p for p in self._ignore if ignored(below, [p])), None)

    def _claims(self, path: str) -> bool:
        """Whether a name says that there is an image, so that the content need not."""
        name = PurePath(path)
        return name.suffix.lower() in SUFFIXES + self._shards and not is_companion(name)

    def _judge_by_content(
        self, path: str, below: PurePath, kind_of: _KindOf, stored: RemoteFile | None = None
    ) -> None:
        """Say what becomes of a file that is not named itself; `below` is its path from there."""
        pattern = self._pattern_of(below)
        if pattern is not None:
            self._listing.ignored[pattern] += 1
        elif key_of(path) in self._known:
            return
        elif self._claims(path):
            self.take(path, stored)
        else:
            self._sort_in(path, kind_of(path), stored)

    def _sort_in(self, path: str, kind: Kind | None, stored: RemoteFile | None) -> None:
        if kind is not None and kind.name in ("picture", "video", "media"):
            self.take(path, stored)
        elif is_companion(PurePath(path)) or (
            kind is not None and kind.name == "text" and PurePath(path).name in OUR_OWN
        ):
            self._listing.companions += 1
        elif self._is_new(path):
            self._listing.pass_over(PassedOver(path, _reason(path, kind)))

    def _is_new(self, path: str) -> bool:
        r"""Whether a file was not met before; what cannot be told from another is passed over.

        Records name bytes that are no UTF-8 in ASCII (`\udc80`), and another file may be called
        just that.
        """
        key, whole = key_of(path), _whole(path, os.getcwd())  # noqa: PTH109 - as text
        earlier = self._listing.first_seen(key, whole)
        if earlier == whole:
            self._listing.repeated += 1
        elif earlier is not None:
            self._listing.pass_over(PassedOver(path, _TWIN))
        return earlier is None


def _reaches_into(folder: str, matches: Sequence[str]) -> bool:
    """Whether a pattern itself matches something in a folder that it matches."""
    return any(other.startswith(folder.rstrip("/") + "/") for other in matches)


def _on_disk(path: str) -> Kind | None:
    return kind_at(path, PurePath(path).suffix.lower())


def _in_store(heads: Mapping[str, bytes | None], address: str) -> Kind | None:
    head = heads[address]
    return None if head is None else kinds.kind_of(head, PurePath(address).suffix.lower())


def _reason(path: str, kind: Kind | None) -> str:
    if kind is None and is_remote(path):
        return "nothing that can be read"
    if kind is None:
        return "no regular file that can be read" if os.path.exists(path) else "a broken link"  # noqa: PTH110
    if kind.name == "shard":
        return f"{kind.what}, which --ray looks into"
    return kind.what
