"""Prompt files: which caption belongs to which image.

Takes a JSONL file of `{"image": ..., "prompt": ...}`, or a CSV file with these two columns, and the
paths to be judged; gives one caption or None per image, and what did not fit. With columns that
fill slots of programs (`{text}`) a row is an item instead.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from safejudge.errors import InputError
from safejudge.files.names import Names, plain_form
from safejudge.files.rows import read_rows
from safejudge.images.pairs import CAPTION, Row, caption_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from safejudge.images.pairs import Prompt

    Captions = dict[str, Prompt | None]
    """Caption, or item, by path or file name, as written in the file but for `./` and the like."""


class Matched(NamedTuple):
    """Captions put beside images."""

    prompts: list[Prompt | None]
    """One per image, in order."""
    missing: list[str]
    """Images that the file says nothing of."""
    unknown: list[str]
    """Names in the file that fit no image."""


def read_captions(file: str, slots: Collection[str] = ()) -> Captions:
    """Read a prompt file in UTF-8: JSONL if its first character is `{`, else CSV.

    Of further columns those are kept that are called like slots. Raises `InputError`, with the
    line, for anything else and for an image that is named twice, however it is spelled.
    """
    captions: Captions = {}
    owners: dict[str, int] = {}
    example = '{"image": "a.png", "prompt": "..."}'
    for line, row in read_rows(file, ("image", "prompt"), example):
        image, prompt = row["image"], row["prompt"]
        fields = {name: row[name] for name in slots if name in row}
        if not isinstance(image, str) or not image or not isinstance(prompt, str | None):
            raise InputError(f"{file}:{line}: `image` must be a name and `prompt` a text")
        name = os.path.normpath(image)
        # Absolute and relative, composed and not: one file, if there is one.
        owner = owners.setdefault(plain_form(os.path.abspath(name)), line)  # noqa: PTH100
        if owner != line:
            raise InputError(
                f"{file}:{line}: a second prompt for {image} (the first: line {owner}); keep one "
                "of them"
            )
        captions[name] = Row({CAPTION: prompt} | fields) if fields else prompt
    return captions


def match_captions(captions: Captions, images: Sequence[str]) -> Matched:
    """Find each image's caption by its path, else by its file name.

    A name may be spelled another way than the image's (`files.names`).

    Raises `InputError` for a file name that two of the images have.
    """
    names = [os.path.normpath(image) for image in images]
    known = Names(captions)
    absolute = {os.path.abspath(name): name for name in captions}  # noqa: PTH100
    paths = [known.find(name) or absolute.get(os.path.abspath(name)) for name in names]  # noqa: PTH100
    keys = [path or known.find(_base(name)) or "" for path, name in zip(paths, names, strict=True)]
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for name, key, path in zip(names, keys, paths, strict=True):
        if key and path is None:
            alike[key].add(name)
    for base, fitting in alike.items():
        if len(fitting) > 1:
            listed = ", ".join(sorted(fitting)[:3])
            raise InputError(
                f"the prompt for {base} fits {len(fitting)} images ({listed}); use paths"
            )
    used = set(keys)
    return Matched(
        prompts=[captions.get(key) for key in keys],
        missing=[image for image, key in zip(images, keys, strict=True) if not key],
        unknown=[name for name in captions if name not in used],
    )


def _base(name: str) -> str:
    return os.path.basename(name)  # noqa: PTH119 - names may be no paths here


def captions_digest(captions: Mapping[str, Prompt | None]) -> str:
    """Sha256 (hex) over all names and captions, in whatever order the file has them."""
    return hashlib.sha256(json.dumps(sorted(captions.items())).encode()).hexdigest()


def captions_for(
    file: str | None, images: Sequence[str], slots: Collection[str] = ()
) -> tuple[list[Prompt | None], str | None, list[str]]:
    """Return a caption or None per image, the digest of the prompt file, and what did not fit.

    `slots` are the names that programs of the rules want filled. Without a file the digest is
    None. What did not fit are sentences for people.
    """
    if file is None:
        return [None] * len(images), None, _unfilled(slots, (), "--prompts FILE with them")
    captions = read_captions(file, slots)
    matched = match_captions(captions, images)
    warnings = _unfilled(slots, matched.prompts, f"columns of these names in {file}")
    if matched.missing:
        warnings.append(
            f"{len(matched.missing)} of {len(images)} images have no prompt in {file} "
            f"(the first: {matched.missing[0]}); they are judged without one"
        )
    if matched.unknown:
        warnings.append(
            f"{len(matched.unknown)} of {len(captions)} prompts in {file} fit no image "
            f"(the first: {matched.unknown[0]}{Names(images).hint(matched.unknown[0])})"
        )
    return matched.prompts, captions_digest(captions), warnings


def _unfilled(slots: Collection[str], prompts: Sequence[Prompt | None], instead: str) -> list[str]:
    """Say which slots of programs no image fills, so that their rules stay undecided."""
    filled = {CAPTION} if any(caption_of(prompt) for prompt in prompts) else set()
    filled |= {name for item in prompts if isinstance(item, Row) for name in item}
    names = [f"{{{name}}}" for name in slots if name not in filled]
    if not names:
        return []
    return [f"programs of the rules want {', '.join(names)}, and no image has it; give {instead}"]
