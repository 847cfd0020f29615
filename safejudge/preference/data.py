"""Prompts and the pictures drawn for each: a file that people write -> rows.

JSONL with one line per prompt, `{"prompt_id", "prompt", "images": [{"image_id", "image"}, ...]}`
as VisionPrefer has it, or JSONL or CSV with one row per picture, `image` and `prompt`. Pictures
lie beside the file or below; a name that leads elsewhere is refused, whatever is there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.files.below import leads_out
from safejudge.files.rows import read_rows
from safejudge.text import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.types import JSON

EXAMPLE = '{"prompt_id": "1", "prompt": "...", "images": [{"image_id": "a", "image": "a.png"}]}'
_OURS = {"prompt_id", "prompt", "image_id", "image", "path", "id", "aspects", "error"}
"""Keys that mean something here, or in what is written."""
_SHORT = 80
"""Letters of a name in a message."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One picture of a prompt."""

    id: str
    """Unique within the prompt."""
    image: str
    """As the file names it."""
    path: Path
    """Where it is, if it is there."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the file says of it, such as the generator; handed on, not looked at."""


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt and its pictures."""

    id: str
    """Unique within the file."""
    prompt: str
    """As it was written; may be empty."""
    images: tuple[Candidate, ...]
    """At least one."""

    @property
    def key(self) -> str:
        """Name of the record: the id, and a digest, so that a changed row has no record yet."""
        identity = json.dumps(
            [self.prompt, [(candidate.id, candidate.image) for candidate in self.images]]
        )
        return f"{self.id}#{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def read_prompts(file: Path) -> list[Row]:
    """Read a file of prompts. Raises `InputError`, with the line, for what cannot be meant so."""
    nested: dict[str, Row] = {}
    flat: dict[str, tuple[str, dict[str, Candidate]]] = {}
    for line, row in read_rows(file, ("prompt",), EXAMPLE):
        where = f"{file}:{line}"
        prompt = row["prompt"]
        if not isinstance(prompt, str | None):
            raise InputError(f"{where}: `prompt` is {_short(prompt)}; write a text, or null")
        prompt = prompt or ""
        if "images" in row:
            nested_row = Row(_id(row, where) or _made_up(prompt), prompt, _images(row, file, where))
            if nested_row.id in nested:
                raise InputError(
                    f"{where}: a second row of prompt {_short(nested_row.id)}; keep one"
                )
            nested[nested_row.id] = nested_row
        else:
            key = _id(row, where) or _made_up(prompt)
            text, images = flat.setdefault(key, (prompt, {}))
            if text != prompt:
                raise InputError(f"{where}: prompt {_short(key)} has another text further up")
            _add(images, _candidate(row, file, where), where)
    if doubled := nested.keys() & flat.keys():
        raise InputError(f"{file}: prompt {_short(min(doubled))} has rows of both forms; use one")
    prompts = [
        Row(key, prompt, tuple(candidates.values())) for key, (prompt, candidates) in flat.items()
    ]
    rows = [*nested.values(), *prompts]
    if not rows:
        raise InputError(f"{file}: holds no prompts; write one {EXAMPLE} per line")
    return rows


def picture_path(file: Path, name: str, where: str) -> Path:
    """Find a picture beside a file or below. Raises `InputError` for a name that leads elsewhere.

    A link that leads out counts as such: whoever made the file could name anything by it.
    """
    if leads_out(file.parent, name):
        raise InputError(
            f"{where}: the picture {_short(name)} lies outside the folder of the file; put it "
            "beside the file, or below, and name it from there"
        )
    return file.parent / name


def _id(row: JSON, where: str) -> str:
    """The prompt's id; empty if there is none."""
    value = row.get("prompt_id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str | None):
        raise InputError(f"{where}: `prompt_id` is {_short(value)}; write a text or a number")
    return value or ""


def _made_up(prompt: str) -> str:
    return hashlib.sha256(prompt.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _images(row: JSON, file: Path, where: str) -> tuple[Candidate, ...]:
    listed = row["images"]
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{where}: `images` is {_short(listed)}; write a list of pictures")
    candidates: dict[str, Candidate] = {}
    for entry in listed:
        fields = {"image": entry} if isinstance(entry, str) else entry
        if not isinstance(fields, dict):
            raise InputError(f"{where}: the picture {_short(entry)} is neither name nor mapping")
        _add(candidates, _candidate(fields, file, where), where)
    return tuple(candidates.values())


def _candidate(fields: Mapping[str, Any], file: Path, where: str) -> Candidate:
    key = fields.get("image_id")
    name = next((fields[k] for k in ("image", "path") if fields.get(k)), key)
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: a picture has no name; write `image`, its path from the file")
    extra = {k: value for k, value in fields.items() if k not in _OURS}
    try:
        json.dumps(extra, allow_nan=False)
    except ValueError as error:
        raise InputError(
            f"{where}: what is said of the picture {_short(name)} holds NaN or infinity, which "
            "JSON does not know; write null"
        ) from error
    path = picture_path(file, name, where)
    return Candidate(name if key is None else str(key), name, path, extra)


def _add(images: dict[str, Candidate], candidate: Candidate, where: str) -> None:
    if candidate.id in images:
        raise InputError(
            f"{where}: the prompt has the picture {_short(candidate.id)} twice; keep one"
        )
    images[candidate.id] = candidate


def _short(value: object) -> str:
    return cut(repr(value), _SHORT)
