"""The files of a report: a first page, and further ones where there are many images.

Takes finished pages; writes them all or none, and removes what an earlier report left of further
pages. A page is known by its mark: a file without it is somebody else's and is never touched.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import check_file, replacing, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PAGE = 200
"""Most images on a page; the rest are on further ones."""
MOST = 10_000
"""Most images on all pages, the worst; a report is for people. All are counted."""
KIND = "report"
"""What the mark of a first page calls it; that of a further one adds its number."""


def check(path: Path, *, out: Path | None, resume: bool, overwrite: bool) -> None:
    """Raise, before any image is judged, where a page cannot be or must not be written to `path`.

    An existing file is replaced with `overwrite`, and with `resume` if it is such a page: the
    records that it showed are those that the run goes on from.
    """
    if out is not None and _absolute(out) == _absolute(path):
        raise InputError(f"{path}: --out and --report name the same file; give them two names")
    if not check_file(path):
        return
    if resume and not is_report(path):
        raise OutputError(f"{path}: exists already and is no report of safejudge; name another")
    if not resume and not overwrite:
        raise OutputError(f"{path}: exists already; --overwrite begins it anew, or name another")


def check_own(path: Path) -> None:
    """Raise where a page cannot be written to `path`, or something else than a report is there."""
    if check_file(path) and not is_report(path):
        raise OutputError(f"{path}: exists already and is no report of safejudge; name another")


def check_further(path: Path, pages: int) -> None:
    """Raise where one of `pages` pages would take the place of somebody else's file."""
    for number in range(2, pages + 1):
        further = sheet(path, number)
        if os.path.lexists(further) and not _has_mark(further, f"{KIND}, page {number}"):
            raise OutputError(
                f"{further}: exists already and is no further page of {path.name}; give one of "
                "them another name"
            )


def is_report(path: Path) -> bool:
    """Whether a file is the first page of a report."""
    return _has_mark(path, KIND)


def sheet(path: Path, number: int) -> Path:
    """Name page `number` of the report at `path`, counted from 1."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def count(images: int) -> int:
    """Return how many pages so many images take."""
    return -(-images // PAGE)


def address(path: Path) -> str:
    """Write the address of a page for another page beside it."""
    return f"./{quote(path.name.encode('utf-8', 'surrogateescape'))}"


def write(path: Path, pages: Sequence[Iterable[str]], *, replace: bool) -> None:
    """Write all pages or none, the first one last; remove further pages of an earlier report.

    Raises `OutputError` if one cannot be written, if the first exists and is not to be replaced,
    and if somebody else's file has the name of a further one.
    """
    check_further(path, len(pages))
    with writing(path), ExitStack() as stack:
        # An exit stack unwinds from its end, so the first page takes its place last.
        for number, parts in enumerate(pages, start=1):
            new = stack.enter_context(replacing(sheet(path, number)))
            with new.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(parts)
        if not replace and os.path.lexists(path):
            raise OutputError(f"{path}: exists by now, and was left as it is")
    for number, stale in _further(path):
        if number > len(pages):
            stale.unlink(missing_ok=True)


def _further(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the further pages that are there, with their numbers."""
    name = re.compile(rf"{re.escape(path.stem)}-(\d+){re.escape(path.suffix)}")
    for file in list(path.parent.iterdir()):
        found = name.fullmatch(file.name)
        if found and _has_mark(file, f"{KIND}, page {found[1]}"):
            yield int(found[1]), file


def _has_mark(path: Path, kind: str) -> bool:
    mark = f"<!doctype html>\n<!-- safejudge {kind} -->\n".encode()
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(mark)) == mark
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from error


def _absolute(path: Path) -> Path:
    return Path(os.path.realpath(path))
