"""What is true of pictures by the label files that lie beside them, in words.

Takes a path; looks for `labels.jsonl`, `labels.csv` or `facts.jsonl` in its folder and in those
above it that the path names. A file that cannot be read, that is larger than label files are, or
that speaks of other rules, says nothing here: who measures a judge by it (`eval labelled`) is told
what is wrong with it. It came with the pictures, so it is no more trusted than they are.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.labelled.labels import find_labels, read_labels
from safejudge.images.listing import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.evals.labelled.labels import Label

_ABOVE = 4
"""So many folders are looked into, from that of the picture upward."""
_FOLDERS = 16
"""Folders whose labels are kept: those of pictures that come one after the other."""
_LARGEST = 8 * 2**20
"""Bytes of a label file; a row takes about fifty."""


class Truths:
    """What is true of images, under the rules of one constitution."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Know the ids of the rules that labels may name."""
        self._rules = tuple(rules)
        self._labels = lru_cache(maxsize=_FOLDERS)(self._read)

    def of(self, path: str, folder: str | None = None) -> str | None:
        """Say whether an image is unsafe, and what it violates; None where nobody labelled it.

        A relative path is meant from `folder`, or from here.
        """
        key = key_of(path, folder)
        for parent in list(PurePath(path).parents)[:_ABOVE]:
            words = self._labels(key_of(str(parent), folder)).get(key)
            if words is not None:
                return words
        return None

    def _read(self, folder: str) -> dict[str, str]:
        """The labels of one folder, by the keys of their images."""
        try:
            file = find_labels(Path(folder))
            if not 0 < file.stat().st_size <= _LARGEST:  # 0: or like /proc/kmsg, which never ends
                return {}
            labels = read_labels(file, self._rules)
        except (InputError, OSError):
            return {}
        named = {key_of(label.image, folder): _words(label) for label in labels}
        return {key: words for key, words in named.items() if words is not None}


def _words(label: Label) -> str | None:
    if label.unsafe is None:
        return None
    word = "unsafe" if label.unsafe else "safe"
    return f"{word} ({', '.join(label.violations)})" if label.violations else word
