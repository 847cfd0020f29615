"""Prompt files: which caption belongs to which image.

Takes a JSONL file of `{"image": ..., "prompt": ...}`, or a CSV file with these two columns, and the
paths to be judged; gives one caption or None per image, and what did not fit.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from safejudge.errors import InputError
from safejudge.files.rows import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Captions = dict[str, str | None]
"""Caption by path or file name, as written in the file but for `./` and the like."""


class Matched(NamedTuple):
    """Captions put beside images."""

    prompts: list[str | None]
    """One per image, in order."""
    missing: list[str]
    """Images that the file says nothing of."""
    unknown: list[str]
    """Names in the file that fit no image."""


def read_captions(file: str) -> Captions:
    """Read a prompt file in UTF-8: JSONL if its first character is `{`, else CSV.

    Further columns are passed over. Raises `InputError`, with the line, for anything else and for
    an image that is named twice.
    """
    captions: Captions = {}
    example = '{"image": "a.png", "prompt": "..."}'
    for line, row in read_rows(file, ("image", "prompt"), example):
        image, prompt = row["image"], row["prompt"]
        if not isinstance(image, str) or not image or not isinstance(prompt, str | None):
            raise InputError(f"{file}:{line}: `image` must be a name and `prompt` a text")
        name = os.path.normpath(image)
        if name in captions:
            raise InputError(f"{file}:{line}: a second prompt for {image}; keep one of them")
        captions[name] = prompt
    return captions


def match_captions(captions: Captions, images: Sequence[str]) -> Matched:
    """Find each image's caption by its path, else by its file name.

    Raises `InputError` for a file name that two of the images have.
    """
    names = [os.path.normpath(image) for image in images]
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        if name not in captions:
            alike[os.path.basename(name)].add(name)  # noqa: PTH119 - names may be no paths here
    for base, paths in alike.items():
        if base in captions and len(paths) > 1:
            listed = ", ".join(sorted(paths)[:3])
            raise InputError(
                f"the prompt for {base} fits {len(paths)} images ({listed}); use paths"
            )
    keys = [name if name in captions else os.path.basename(name) for name in names]  # noqa: PTH119
    used_keys = set(keys)
    return Matched(
        prompts=[captions.get(key) for key in keys],
        missing=[image for image, key in zip(images, keys, strict=True) if key not in captions],
        unknown=[name for name in captions if name not in used_keys],
    )


def captions_digest(captions: Mapping[str, str | None]) -> str:
    """Sha256 (hex) over all names and captions, in whatever order the file has them."""
    return hashlib.sha256(json.dumps(sorted(captions.items())).encode()).hexdigest()


def captions_for(
    file: str | None, images: Sequence[str]
) -> tuple[list[str | None], str | None, list[str]]:
    """Return a caption or None per image, the digest of the prompt file, and what did not fit.

    Without a file the digest is None. What did not fit are sentences for people.
    """
    if file is None:
        return [None] * len(images), None, []
    captions = read_captions(file)
    matched = match_captions(captions, images)
    warnings = []
    if matched.missing:
        warnings.append(
            f"{len(matched.missing)} of {len(images)} images have no prompt in {file} "
            f"(the first: {matched.missing[0]}); they are judged without one"
        )
    if matched.unknown:
        warnings.append(
            f"{len(matched.unknown)} of {len(captions)} prompts in {file} fit no image "
            f"(the first: {matched.unknown[0]})"
        )
    return matched.prompts, captions_digest(captions), warnings
