"""What lies under the paths that a run was given: images, and what is passed over and why.

Takes paths as the command line names them; gives a `Listing` in which every file is counted once.
Files of a folder are told apart by their first bytes (`kinds`), for a suffix makes no picture and
the lack of one hides none. Links are followed; a folder is looked into once, so circles end.
Decodes nothing.
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from safejudge.errors import InputError
from safejudge.files.records import image_name
from safejudge.files.standing import Standing
from safejudge.images import kinds
from safejudge.images.ignore import ignored, is_companion
from safejudge.images.load import SUFFIXES, is_url
from safejudge.types import Intake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OUR_OWN = frozenset({"facts.jsonl", "labels.csv", "labels.jsonl"})
"""What safejudge itself reads and writes beside images; text of these names is no image missed."""


_TWIN = "a file whose name reads like that of another in records; rename it"


class PassedOver(NamedTuple):
    """A file that was not taken for an image."""

    name: str
    """Its path; for what is in a shard, `shard.tar/member`."""
    what: str
    """What it is: "text", "a ZIP archive"."""
    number: int = 1
    """How many of it, where not each has a name: rows of a table."""


@dataclass(slots=True)
class Listing:
    """Every file under some paths, by what becomes of it."""

    images: list[str] = field(default_factory=list)
    """Paths of what is to be judged, in order."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """What was not taken for an image."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Files that the user's patterns name, by pattern."""
    companions: int = 0
    """Files that macOS keeps beside others, and label files of safejudge."""
    repeated: int = 0
    """Paths that name a file once more."""

    def add(self, path: str) -> None:
        """Take a path for an image."""
        self.images.append(path)

    def intake(self, limit: int | None, count: int | None = None) -> Intake:
        """What came in, as it is told and recorded; `count` images, where not each is a file."""
        count = len(self.images) if count is None else count
        passed_over: Counter[str] = Counter()
        for entry in self.passed_over:
            passed_over[entry.what] += entry.number
        return Intake(
            found=count,
            beyond_limit=0 if limit is None else max(0, count - limit),
            passed_over=passed_over,
            examples=tuple(f"{entry.name}: {entry.what}" for entry in self.passed_over[:EXAMPLES]),
            ignored=dict(self.ignored),
            companions=self.companions,
            repeated=self.repeated,
        )


EXAMPLES = 100
"""So many names of what was passed over are recorded."""


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


def standing_of(paths: Sequence[str]) -> Standing:
    """Say how records of earlier runs stand to image files: by where they lie and what they hold.

    A file is read when its record is met, and not kept.
    """
    wanted = {key_of(path): path for path in paths}
    return Standing(wanted, key_of, lambda key: digest_of(wanted[key]))


def digest_of(path: str | Path) -> str | None:
    """Sha256 (hex) of a file, which is the id of its image; None for one that cannot be read."""
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


def list_images(
    paths: Sequence[str],
    *,
    ignore: Sequence[str] = (),
    known: Iterable[str | os.PathLike[str] | None] = (),
    shards: tuple[str, ...] = (),
) -> Listing:
    """List the images under files, folders (recursively, sorted) and glob patterns, in order.

    A file that is named itself is taken, whatever it holds; so is what matches nothing, to become
    a `Failure`. Of a folder or a pattern, files with a suffix of `SUFFIXES` are taken, and all
    others that are pictures, or other things to look at, by their first bytes. A file is listed
    once, however it is spelled. `ignore` are patterns (`ignore.ignored`), `known` files that the
    command itself reads or writes, `shards` further suffixes, of files that hold images. Raises
    `InputError` for a folder without an image, or one that cannot be listed.
    """
    listing = Listing()
    search = _Search(listing, ignore, {key_of(os.fspath(k)) for k in known if k}, shards)
    for path in paths:
        if Path(path).is_dir():
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
        self._seen: dict[str, str] = {}
        """By key, the whole path that has it."""

    def take(self, path: str) -> None:
        """Take a path for an image, unless it was taken before."""
        if self._is_new(path):
            self._listing.add(path)

    def pattern(self, pattern: str) -> None:
        """Take what a glob pattern matches; one that matches nothing is taken as a path."""
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute ones too
        folders = [match for match in matches if Path(match).is_dir()]
        for match in matches or [pattern]:
            if not matches:
                self.take(match)
            elif match not in folders:
                self._judge_by_content(match, PurePath(match))
            elif not any(other.startswith(match.rstrip("/") + "/") for other in matches):
                self.folder(match)  # else the pattern itself reaches into it

    def folder(self, folder: str) -> None:
        """Take the images of a folder and of all below it."""
        before = len(self._listing.images) + self._listing.repeated
        others = len(self._listing.passed_over)
        for path in sorted(_files_below(folder, self._listing.passed_over)):
            self._judge_by_content(path, PurePath(os.path.relpath(path, folder)))
        if len(self._listing.images) + self._listing.repeated == before:
            passed_over = Counter(entry.what for entry in self._listing.passed_over[others:])
            there = ", ".join(f"{count} x {what}" for what, count in passed_over.most_common(3))
            raise InputError(
                f"{folder}: no image in this folder or below it"
                f"{f' ({there})' if there else ''}; name another folder, or the files themselves"
            )

    def _judge_by_content(self, path: str, below: PurePath) -> None:
        """Say what becomes of a file that is not named itself; `below` is its path from there."""
        pattern = next((p for p in self._ignore if ignored(below, [p])), None)
        if pattern is not None:
            self._listing.ignored[pattern] += 1
        elif key_of(path) in self._known:
            return
        else:
            self._sort_in(path)

    def _sort_in(self, path: str) -> None:
        suffix = PurePath(path).suffix.lower()
        kind = _kind_at(path, suffix)
        is_kind_of_image = kind is not None and kind.name in ("picture", "video", "media")
        if not is_kind_of_image and is_companion(PurePath(path)):
            self._listing.companions += 1
        elif is_kind_of_image or suffix in SUFFIXES + self._shards:
            self.take(path)
        elif kind is not None and kind.name == "text" and PurePath(path).name in OUR_OWN:
            self._listing.companions += 1
        elif self._is_new(path):
            self._listing.passed_over.append(PassedOver(path, _reason(path, kind)))

    def _is_new(self, path: str) -> bool:
        r"""Whether a file was not met before; what cannot be told from another is passed over.

        Records name bytes that are no UTF-8 in ASCII (`\udc80`), and another file may be called
        just that.
        """
        key, whole = key_of(path), _whole(path, os.getcwd())  # noqa: PTH109 - as text
        earlier = self._seen.get(key)
        if earlier is None:
            self._seen[key] = whole
        elif earlier == whole:
            self._listing.repeated += 1
        else:
            self._listing.passed_over.append(PassedOver(path, _TWIN))
        return earlier is None


def _files_below(folder: str, passed_over: list[PassedOver]) -> Iterator[str]:
    """Yield the files of a folder and below; linked folders last, and every folder once.

    A folder below that cannot be listed is passed over. Raises `InputError` for the first.
    """
    waiting = [folder]
    links: list[str] = []
    entered: set[tuple[int, int]] = set()
    while waiting or links:
        here = waiting.pop() if waiting else links.pop()
        try:
            status = Path(here).stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                for entry in entries:
                    if not _is_folder(entry):
                        yield str(Path(entry.path))  # without the `./` of a folder `.`
                    elif entry.is_symlink():
                        links.append(entry.path)
                    else:
                        waiting.append(entry.path)
        except OSError as error:
            if here == folder:
                message = f"{error.filename}: cannot be listed ({error.strerror})"
                raise InputError(message) from error
            passed_over.append(PassedOver(here, f"a folder ({error.strerror})"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _kind_at(path: str, suffix: str) -> kinds.Kind | None:
    """Tell what a file is; None for what cannot be read, or could block whoever reads it."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if not status.st_size:  # the same
            return kinds.kind_of(b"")
        with Path(path).open("rb") as file:
            return kinds.kind_of(file.read(kinds.HEAD), suffix)
    except OSError:
        return None


def _reason(path: str, kind: kinds.Kind | None) -> str:
    if kind is None:
        return "no regular file that can be read" if os.path.exists(path) else "a broken link"  # noqa: PTH110
    if kind.name == "shard":
        return f"{kind.what}, which --ray looks into"
    return kind.what
