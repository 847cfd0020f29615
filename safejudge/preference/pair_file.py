"""Files of pairs -> pairs, and rows as trainers of diffusion models take them.

A line has `prompt`, `chosen` and `rejected`, perhaps `aspect`; JSONL or CSV. Pictures lie beside
the file or below.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.files.rows import read_rows
from safejudge.preference.data import picture_path
from safejudge.preference.rubrics import NAME, OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.types import JSON

EXAMPLE = '{"prompt": "...", "chosen": "a.png", "rejected": "b.png", "aspect": "overall"}'


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one prompt, of which the first is the better one."""

    prompt: str
    """May be empty."""
    chosen: str
    """As the file names it."""
    rejected: str
    aspect: str
    """What the better one is better in; `overall` where the file names nothing."""
    folder: Path
    """What the names begin from."""
    content: tuple[bytes, bytes] | None = field(default=None, repr=False, compare=False)
    """The encoded pictures, the better one first, where the file holds them itself."""

    @property
    def paths(self) -> tuple[Path, Path]:
        """Where the better and the worse picture are, if they are there."""
        return self.folder / self.chosen, self.folder / self.rejected

    @property
    def digest(self) -> str:
        """Sha256 (hex) of what the file says of the pair."""
        identity = json.dumps([self.prompt, self.chosen, self.rejected, self.aspect])
        return hashlib.sha256(identity.encode()).hexdigest()


def read_pairs(file: Path, aspects: Sequence[str] = ()) -> list[Pair]:
    """Read the pairs of a file, of these aspects or of all.

    Raises `InputError`, with the line, for what cannot be meant so, and for an aspect that no pair
    has.
    """
    pairs = []
    for line, row in read_rows(file, ("prompt", "chosen", "rejected"), EXAMPLE):
        pairs.append(_pair(row, file, f"{file}:{line}"))
    if not pairs:
        raise InputError(f"{file}: holds no pairs; write one {EXAMPLE} per line")
    available = list(dict.fromkeys(pair.aspect for pair in pairs))
    if strange := [name for name in aspects if name not in available]:
        raise InputError(
            f"{file}: no pair is of the aspect {strange[0]}; choose {_listed(available)}"
        )
    return [pair for pair in pairs if not aspects or pair.aspect in aspects]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _pair(row: JSON, file: Path, where: str) -> Pair:
    prompt = row["prompt"] if row["prompt"] is not None else ""
    aspect = row.get("aspect") or OVERALL
    if not isinstance(prompt, str):
        raise InputError(f"{where}: `prompt` is a {type(prompt).__name__}; write a text, or null")
    if not isinstance(aspect, str) or not NAME.fullmatch(aspect):
        raise InputError(
            f"{where}: the aspect {aspect!r:.80} is no name; write lower-case words joined by -"
        )
    for name in ("chosen", "rejected"):
        if not isinstance(row[name], str) or not row[name]:
            raise InputError(f"{where}: `{name}` names no picture; write {EXAMPLE}")
        picture_path(file, row[name], where)
    if row["chosen"] == row["rejected"]:
        raise InputError(f"{where}: both pictures are {row['chosen']!r:.80}; name two")
    return Pair(prompt, row["chosen"], row["rejected"], aspect, file.parent)


def diffusion_dpo_rows(file: str | Path, aspect: str = OVERALL) -> Iterator[JSON]:
    """Yield the pairs of one aspect as Pick-a-Pic's columns, which Diffusion-DPO trainers read.

    `caption`, the encoded pictures `jpg_0` and `jpg_1`, and `label_0`, 1 where the first one is
    the better; it always is, and those trainers turn the others round. For
    `datasets.Dataset.from_generator`. Raises `InputError` for a picture that is not there.
    """
    for pair in read_pairs(Path(file), (aspect,)):
        try:
            chosen, rejected = (path.read_bytes() for path in pair.paths)
        except OSError as error:
            raise InputError(
                f"{error.filename}: cannot be read ({error.strerror}); pictures lie beside {file}"
            ) from error
        yield {"caption": pair.prompt, "jpg_0": chosen, "jpg_1": rejected, "label_0": 1}
