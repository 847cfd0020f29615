"""Names of labels -> files below the folder of the data; and which pictures there have no label.

A label may spell a name another way than the disk does (`files.names`); the name on the disk is
what is judged and recorded. A name that leads out of the folder is refused, whatever is there. A
label with an id means the file that holds those bytes, wherever in the folder it lies.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.pictures import tell_missing
from safejudge.files.below import leads_out
from safejudge.files.names import Names
from safejudge.images.listed import Listing
from safejudge.images.listing import digest_of, list_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.evals.labelled.labels import Label
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """Pictures of a folder that no label speaks of."""

    pictures: tuple[str, ...]
    """By their path below the folder."""
    ignored: int = 0
    """Files that the user does not want labelled."""
    companions: int = 0
    """Files of macOS, and label files."""

    def json(self) -> JSON:
        """How many, and the first, for a file."""
        return {
            "unlabelled": len(self.pictures),
            "first_unlabelled": next(iter(self.pictures), None),
            "ignored": self.ignored,
            "companions": self.companions,
        }


def placed(rows: Sequence[tuple[str, Label]], folder: Path) -> list[Label]:
    """Find the file of each label, of which `rows` say where it stands (`labels.csv:3`).

    A label without a file keeps its name; that some are missing is a warning. Raises `InputError`
    for a name that leads out of the folder, for two that mean one file, and where there is none.
    """
    if not folder.is_dir():
        raise InputError(f"--data {folder}: there is no such folder")
    files = _files(folder)
    names = Names(files)
    contents = _contents(folder, files) if any(label.id for _, label in rows) else {}
    owners: dict[str, str] = {}
    labels, missing = [], []
    for where, label in rows:
        if label.id is None:
            _refuse_outside(folder, label.image, where)
            name = names.find(os.path.normpath(label.image))
        else:
            name = contents.get(label.id)
        if name is None:
            missing.append((where, label.image))
            # What lies at the name holds other bytes than those that were labelled.
            name = label.image if label.id is None else label.id
        else:
            _refuse_outside(folder, name, where)
        if name in owners:
            raise InputError(
                f"{where}: {label.image!r} is the file {name!r}, which {owners[name]} has already; "
                "keep one of them"
            )
        owners[name] = where
        labels.append(label.model_copy(update={"image": name}))
    _tell(missing, len(rows), folder, names)
    return labels


def _files(folder: Path) -> list[str]:
    """Every file below a folder, by its path from there."""
    return [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
    ]


def _contents(folder: Path, files: Sequence[str]) -> dict[str | None, str]:
    """Name a file of each content, by its sha256: the first where several hold the same."""
    return {digest_of(folder / name): name for name in sorted(files, reverse=True)}


def _refuse_outside(folder: Path, name: str, where: str) -> None:
    if leads_out(folder, name):
        raise InputError(
            f"{where}: the picture {name!r:.200} lies outside {folder}; name it by its path below "
            "that folder, or name another folder with --data"
        )


def _tell(missing: Sequence[tuple[str, str]], total: int, folder: Path, names: Names) -> None:
    if not missing:
        return
    where, first = missing[0]
    tell_missing(len(missing), total, str(folder), f"{first}, {where}{names.hint(first)}")


def unlabelled(
    folder: Path, labels: Sequence[Label], patterns: Sequence[str], file: Path
) -> Unlabelled:
    """Find the pictures of a folder, as `safejudge judge` would, that no label of `file` names."""
    known = {label.image for label in labels}
    try:
        listing = list_images([str(folder)], ignore=patterns, known=[file])
    except InputError:  # no picture there at all
        listing = Listing()
    found = (Path(picture).relative_to(folder).as_posix() for picture in listing.images)
    left = tuple(name for name in found if name not in known)
    return Unlabelled(left, listing.ignored.total(), listing.companions)
