"""What the paths of `judge` stand for: files, or folders whose pictures are one image (`--series`).

Takes the images that were listed; puts those of one folder together, in the order of their names.
Each kind has names, says whether an engine can be shown what they stand for, and gives it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.engines.together import refuse_more
from safejudge.errors import InputError
from safejudge.files.standing import Standing
from safejudge.images.listing import digest_of, key_of, standing_of
from safejudge.images.series import MOST, Series
from safejudge.text import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from safejudge.images.listed import Listing
    from safejudge.images.load import ImageSource
    from safejudge.judge import Judge

How: TypeAlias = Literal["together", "apart"]
"""Whether the pictures of a folder are also shown in one question."""


def add_series(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--series",
        choices=("together", "apart"),
        help="take the pictures of a folder for one image, such as the slides of an advert, in the "
        "order of their names: the worst counts, and with `together` what all show in one look",
    )


class Files:
    """Files, each of them an image."""

    def __init__(self, listing: Listing) -> None:
        self.names = listing.images
        self._listing = listing

    def fit(self, _: Judge) -> None:
        """Every engine can be shown a picture."""

    def source(self, name: str) -> ImageSource:
        """Return what a name stands for."""
        return self._listing.source(name)

    def standing(self, names: Sequence[str]) -> Standing:
        """Say how records of earlier runs stand to files."""
        return standing_of({name: self._listing.source(name) for name in names})


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of pictures, by their names."""

    by_name: Mapping[str, Series]

    @property
    def names(self) -> list[str]:
        """In the order in which they were met."""
        return list(self.by_name)

    @staticmethod
    def of(listing: Listing, how: How) -> Folders:
        """Put the pictures of each folder together. Raises `InputError` for too many."""
        folders: dict[str, list[str]] = {}
        for path in listing.images:
            stored = path in listing.remote  # a `Path` folds the slashes of an address
            folder = path.rpartition("/")[0] if stored else str(Path(path).parent)
            folders.setdefault(folder, []).append(path)
        return Folders(
            {folder: _series(folder, files, how, listing) for folder, files in folders.items()}
        )

    def fit(self, judge: Judge) -> None:
        """Raise `InputError` where an engine cannot be shown so many pictures in one question."""
        together = [one for one in self.by_name.values() if one.together]
        if together:
            count, name = max((len(one.sources), one.name) for one in together)
            instead = "--series apart judges each by itself"
            refuse_more(judge.models.engines, count, name, instead)

    def source(self, name: str) -> ImageSource:
        """Return the pictures of a folder."""
        return self.by_name[name]

    def standing(self, names: Sequence[str]) -> Standing:
        """Say how records of earlier runs stand to folders, by what their files hold."""
        wanted = {key_of(name): self.by_name[name] for name in names}

        def id_of(key: str) -> str | None:
            digests = [digest_of(path) for path in wanted[key].sources]
            known = [digest for digest in digests if digest is not None]
            return wanted[key].id_of(known) if len(known) == len(digests) else None

        return Standing(wanted, key_of, id_of)


def _series(folder: str, files: Sequence[str], how: How, listing: Listing) -> Series:
    if len(files) > MOST:
        raise InputError(
            f"{clean(folder)} has {len(files)} pictures, and a series has {MOST} at most; divide it"
        )
    ordered = sorted(files, key=_natural)
    sources = [listing.source(path) for path in ordered]
    return Series(sources, name=folder, together=how == "together")


def _natural(path: str) -> list[tuple[int, str]]:
    """Sort numbers in names as numbers: 9 before 10."""
    parts = re.findall(r"\d+|\D+", Path(path).name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
