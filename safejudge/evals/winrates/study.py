"""A comparison of two generators: pairs of pictures of one prompt, their sides drawn by a seed.

Takes a folder of pictures for each generator and a prompt file; gives pairs under names that say
nothing of who drew what. A study is one file, and votes are files beside it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from safejudge.errors import InputError
from safejudge.evals.pictures import tell_missing
from safejudge.files.atomic import replacing, writing
from safejudge.files.below import leads_out
from safejudge.files.rows import read_rows
from safejudge.images.captions import read_captions
from safejudge.images.pairs import caption_of
from safejudge.text import first_line
from safejudge.types import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE = "study.json"
"""Name of the study in its folder; it says which side is whose, so raters do not get it."""
VOTES = "votes-*.jsonl"
"""Names of files of votes in that folder."""
_EXAMPLE = '{"pair": "0f3a...", "rater": "ann", "choice": "left"}'


class Pair(Record):
    """Two pictures of one prompt."""

    id: str
    """Says nothing of the generators."""
    prompt: str
    image: str
    """Name of the picture in both folders."""
    left: Literal[0, 1]
    """Whose picture stands on the left: the first or the second generator's."""


class Study(Record):
    """Two generators, and what they are compared by."""

    generators: tuple[str, str]
    """Names for people."""
    folders: tuple[str, str]
    """Absolute paths of their pictures."""
    seed: int
    pairs: tuple[Pair, ...]
    """In the order in which they are shown, which the seed draws."""

    def paths(self, pair: Pair) -> tuple[Path, Path]:
        """Where the left and the right picture are."""
        left, right = (Path(self.folders[side]) / pair.image for side in (pair.left, 1 - pair.left))
        return left, right


class Vote(Record):
    """What one rater said of one pair, shown once."""

    pair: str
    rater: str
    choice: Literal["left", "right", "tie", "unread"]
    """Which picture is better; `unread`: a judge's answer was none."""
    turned: bool = False
    """Whether the right picture was shown first; people see the left one first."""


def plan(folders: tuple[Path, Path], prompts: Path, seed: int) -> Study:
    """Plan a study of every picture that the prompt file names and both folders hold.

    `prompts` has `image` and `prompt`, as JSONL or CSV. What one folder lacks is told as a warning.
    Raises `InputError` where nothing is left, or folders are alike or not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder of pictures; name one for each generator")
    first, second = (folder.resolve() for folder in folders)
    if first == second:
        raise InputError(f"{folders[0]}: stands for both generators; name two folders")
    captions = read_captions(str(prompts))
    if strange := [name for name in captions if any(leads_out(f, name) for f in folders)]:
        raise InputError(f"{prompts}: {strange[0]} lies outside the folders; name it from there")
    lacking = [
        name for name in captions if not all((folder / name).is_file() for folder in folders)
    ]
    tell_missing(len(lacking), len(captions), "one of the folders", next(iter(lacking), ""))
    pairs = [
        _pair(seed, name, caption_of(prompt) or "")
        for name, prompt in captions.items()
        if name not in set(lacking)
    ]
    names = (first.name, second.name) if first.name != second.name else (f"{first}", f"{second}")
    return Study(
        generators=names,
        folders=(str(first), str(second)),
        seed=seed,
        pairs=tuple(sorted(pairs, key=lambda pair: pair.id)),
    )


def _pair(seed: int, image: str, prompt: str) -> Pair:
    digest = hashlib.sha256(json.dumps([seed, image, prompt]).encode()).hexdigest()
    # Another part of the digest than the name that raters see.
    return Pair(id=digest[:16], prompt=prompt, image=image, left=int(digest[16], 16) % 2)


def write(study: Study, folder: Path) -> None:
    """Write a study into its folder. Raises `OutputError`."""
    path = folder / FILE
    with writing(path), replacing(path) as new:
        new.write_text(study.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Study:
    """Read the study of a folder. Raises `InputError`."""
    path = folder / FILE
    try:
        return Study.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); begin with safejudge winrates page"
        ) from error
    except ValidationError as error:
        raise InputError(f"{path}: is no study ({first_line(error)}); make it anew") from error


def read_votes(files: Iterable[Path]) -> list[Vote]:
    """Read files of votes. Raises `InputError`, with the line, for what is none."""
    votes = []
    for file in files:
        for line, row in read_rows(file, ("pair", "rater", "choice"), _EXAMPLE):
            try:
                votes.append(Vote.model_validate(row))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, first["loc"]))
                raise InputError(f"{file}:{line}: `{where}`: {first['msg']}") from error
    return votes


def write_votes(votes: Sequence[Vote], file: Path) -> None:
    """Write votes to a file of their own. Raises `OutputError`."""
    with writing(file), replacing(file) as new:
        lines = (vote.model_dump_json() + "\n" for vote in votes)
        new.write_text("".join(lines), encoding="utf-8")
