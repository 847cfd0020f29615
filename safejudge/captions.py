"""Prompt files: which caption belongs to which image.

Takes a JSONL file of `{"image": ..., "prompt": ...}`, or a CSV file with these two columns, and the
paths to be judged; gives one caption or None per image, and what did not fit.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os.path
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Captions = dict[str, str | None]
"""Caption by path or file name, as written in the file but for `./` and the like."""


class Matched(NamedTuple):
    """Captions put beside images."""

    prompts: list[str | None]
    """One per image, in order."""
    without: list[str]
    """Images that the file says nothing of."""
    unknown: list[str]
    """Names in the file that fit no image."""


def read_captions(file: str) -> Captions:
    """Read a prompt file in UTF-8: JSONL if its first character is `{`, else CSV.

    Further columns are passed over. Raises `InputError`, with the line, for anything else and for
    an image that is named twice.
    """
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 ({error.reason}); save it as UTF-8") from error
    rows = _json_rows(text, file) if text.lstrip().startswith("{") else _csv_rows(text, file)
    captions: Captions = {}
    for line, image, prompt in rows:
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
    used = set(keys)
    return Matched(
        prompts=[captions.get(key) for key in keys],
        without=[image for image, key in zip(images, keys, strict=True) if key not in captions],
        unknown=[name for name in captions if name not in used],
    )


def captions_digest(captions: Mapping[str, str | None]) -> str:
    """Sha256 (hex) over all names and captions, in whatever order the file has them."""
    return hashlib.sha256(json.dumps(sorted(captions.items())).encode()).hexdigest()


def _json_rows(text: str, file: str) -> Iterator[tuple[int, Any, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}:{number}: no JSON on this line ({error})") from error
        if not isinstance(row, dict) or not {"image", "prompt"} <= row.keys():
            raise InputError(
                f'{file}:{number}: write one {{"image": "a.png", "prompt": "..."}} per line'
            )
        yield number, row["image"], row["prompt"]


def _csv_rows(text: str, file: str) -> Iterator[tuple[int, Any, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if not {"image", "prompt"} <= set(rows.fieldnames or ()):
            raise InputError(
                f"{file}:1: the first line must name the columns `image,prompt`; or write JSONL, "
                'one {"image": "a.png", "prompt": "..."} per line'
            )
        for row in rows:
            if None in row or None in row.values():
                raise InputError(
                    f"{file}:{rows.line_num}: has another number of columns than the first line; "
                    "put a prompt with a comma in quotes"
                )
            yield rows.line_num, row["image"], row["prompt"]
    except csv.Error as error:
        raise InputError(f"{file}:{rows.line_num}: no CSV ({error}); mind the quotes") from error
