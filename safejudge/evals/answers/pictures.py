"""Where the pictures of a benchmark's records lie: below its folder, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from safejudge.errors import ImageError
from safejudge.files.below import leads_out
from safejudge.images.load import SUFFIXES

_FOLDERS = ("image", "images")
"""Copies of one data set name a picture with such a folder before it, or without."""


class Pictures:
    """The pictures below a folder, by the path that a record gives."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._files: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path:
        """The file that a record's path means. Raises `ImageError`, which says why there is none.

        Tried: the path in the folder itself, with and without `image/` before it; then any
        folder below in which it is the end of exactly one path.
        """
        path = PurePosixPath(name)
        if not name:
            raise ImageError("missing", "the record names no picture")
        if leads_out(self._root, name):
            raise ImageError("missing", f"{name!r}: the path leads out of the folder of the data")
        spellings = [*_spellings(path)]
        for spelling in spellings:
            file = self._root / spelling
            if _is_file(file) and not leads_out(self._root, str(spelling)):
                return file
        for spelling in spellings:
            files = [
                file
                for file in self._ending(spelling)
                if not leads_out(self._root, str(file.relative_to(self._root)))
            ]
            if len(files) > 1:
                raise ImageError(
                    "missing",
                    f"{name}: {len(files)} files below the folder end so; name one folder",
                )
            if files:
                return files[0]
        raise ImageError("missing", f"{name}: no such picture below the folder of the data")

    def _ending(self, end: PurePosixPath) -> list[Path]:
        """Files at any depth whose path ends so."""
        if self._files is None:
            self._files = {}
            for file in sorted(self._root.rglob("*")):
                if file.suffix.lower() in SUFFIXES:
                    self._files.setdefault(file.name, []).append(file)
        files = self._files.get(end.name, ())
        return [file for file in files if file.parts[-len(end.parts) :] == end.parts]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for a file
        return False


def _spellings(path: PurePosixPath) -> Iterator[PurePosixPath]:
    """The path as it is, without the folder that some copies put before it, and with it."""
    yield path
    bare = path
    if len(path.parts) > 1 and path.parts[0] in _FOLDERS:
        bare = PurePosixPath(*path.parts[1:])
        yield bare
    yield from (folder / bare for folder in map(PurePosixPath, _FOLDERS) if folder / bare != path)
