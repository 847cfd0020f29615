"""Files of a folder that nobody wants judged: what the user names, and what macOS leaves behind."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def ignored(path: PurePath, patterns: Iterable[str]) -> bool:
    """Whether a pattern names a file, by its path below the folder or by its bare name.

    `*` stands for any characters, a slash among them; a pattern that ends in a slash names all that
    lies in such a folder. Capitals count.
    """
    names = (path.as_posix(), path.name)
    return any(
        fnmatchcase(name, f"{pattern}*" if pattern.endswith("/") else pattern)
        for pattern in patterns
        for name in names
    )


def is_companion(path: PurePath) -> bool:
    """Whether a file is what macOS keeps beside files on other systems; none is a picture.

    `._photo.jpg` holds attributes of `photo.jpg`, `.DS_Store` the looks of a folder, and `__MACOSX`
    is where archives have both.
    """
    return path.name.startswith("._") or path.name == ".DS_Store" or "__MACOSX" in path.parts
