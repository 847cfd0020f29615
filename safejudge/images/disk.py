"""Folders and files of this machine, before anything is decoded: what lies below, what a file is.

Takes paths; gives files, and kinds by first bytes. Links are followed; a folder is looked into
once, so circles end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.images import kinds
from safejudge.images.listed import PassedOver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def files_below(folder: str, pass_over: Callable[[PassedOver], None]) -> Iterator[str]:
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
            pass_over(PassedOver(here, f"a folder ({error.strerror})"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def kind_at(path: str, suffix: str) -> kinds.Kind | None:
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
