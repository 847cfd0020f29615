"""Rows of MJ-Bench's data -> samples. Pure but for a look at whether a picture is there.

A row that lacks what it needs raises `LeftOutError`; `Lost` counts them for a file.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.names import printable
from safejudge.evals.mjbench.recorded.rows import name_in, pair_of
from safejudge.evals.mjbench.samples import PERSPECTIVES, Sample, Source
from safejudge.evals.stats.preference import Answer
from safejudge.files.below import leads_out
from safejudge.files.rows import Doubled
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from safejudge.types import JSON

INFO, CATEGORY = "MJ-Bench (info)", "MJ-Bench rewritten (category)"
CATEGORIES = {"composition": "alignment", "quality": "quality", "visualization": "quality"}
_ARTICLE = re.compile(r"^(an?|the)\s+", re.IGNORECASE)


class LeftOutError(Exception):
    """A row, or a file, that cannot be used."""

    def __init__(self, reason: str, example: str = "") -> None:
        self.reason = reason
        self.example = printable(example)
        super().__init__(f"{reason}: {self.example}" if example else reason)


class Lost:
    """Counts the rows that were left out."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = defaultdict(list)

    def add(self, error: LeftOutError) -> None:
        """Count one."""
        self._examples[error.reason].append(error.example)

    def lines(self, name: str) -> Iterator[str]:
        """Say for a file what was left out of it, a line per reason."""
        for reason, examples in self._examples.items():
            example = f" (such as {examples[0]})" if examples[0] else ""
            yield f"{name}: {counted(len(examples), 'row')} left out: {reason}{example}"


def tried(
    read: Callable[..., Sample], origin: names.Origin, row: Any, folders: Sequence[Path], lost: Lost
) -> Sample | None:
    """Read a row; `folders` are those in which the path of a picture may begin."""
    if isinstance(row, Doubled):
        lost.add(LeftOutError("a key stands twice", row.key))
        return None
    try:
        return read(origin, row if isinstance(row, dict) else {}, folders)
    except LeftOutError as error:
        lost.add(error)
        return None


def released(origin: names.Origin, row: JSON, folders: Sequence[Path]) -> Sample:
    """A row of the released data, of either generation, its pictures inside."""
    images, caption = (row.get("image0"), row.get("image1")), _text(row.get("caption"))
    if "category" in row and "info" not in row:
        perspective = perspective_of(row["category"])
        subset = name_in(row.get("subcategory")) or name_in(row["category"])
        if perspective is None:
            raise LeftOutError("an unknown category", str(row["category"]))
    elif origin.perspective == "bias":  # the same picture twice, and a filler for a label
        group = _ARTICLE.sub("", name_in(caption)).rstrip(" .")
        demographic = _text(row.get("info"))
        return Sample(
            "", "bias", "", caption, (_picture(images[0], folders),), None, group, demographic
        )
    else:
        perspective, subset = origin.perspective, ""
        origin = replace(origin, subset=name_in(row.get("info")).lower())
    image_names = {f"image_{i}": _path(image) for i, image in enumerate(images)}
    pair = pair_of(origin, {"label": row.get("label"), **image_names})
    if pair is None:
        raise LeftOutError("no label")
    sources = tuple(_picture(image, folders) for image in images)
    return Sample("", perspective, subset or pair.subset, caption, sources, pair.label)


def listed(origin: names.Origin, row: JSON, folders: Sequence[Path]) -> Sample:
    """A row that names its pictures."""
    key, caption = name_in(row.get("id")), _text(row.get("caption"))
    if "chosen" in row and "rejected" in row:
        images = (_path(row["chosen"]), _path(row["rejected"]))
        origin = replace(origin, perspective="quality", subset=name_in(row.get("subset")).lower())
        region = name_in(row.get("edited_region"))
        label, hints = Answer.FIRST, (f"_edited_{region}", *images) if region else images
        subset = names.subset_of(origin, row, hints[:2])
    elif "occupation" in row and "demographic" in row:
        return _person(row, key, folders)
    else:
        images, pair = names.images_of(row), pair_of(origin, row)
        if not any(images):
            raise LeftOutError("names no pictures")
        if origin.perspective not in PERSPECTIVES[:3]:
            raise LeftOutError("neither file nor folder is named after its perspective")
        if pair is None:
            raise LeftOutError("no label")
        label, subset = pair.label, "" if pair.subset == origin.perspective else pair.subset
    sources = tuple(_picture(image, folders) for image in images)
    return Sample(key, origin.perspective, subset, caption, sources, label)


def _person(row: JSON, key: str, folders: Sequence[Path]) -> Sample:
    group, demographic = name_in(row["occupation"]), _text(row["demographic"])
    if not group:
        raise LeftOutError("no occupation")
    parts = [part for k in ("images_dir", "image") if (part := _path(row.get(k)))]
    caption = _text(row.get("prompt")) or _text(row.get("caption"))
    flags = frozenset(a for a in names.ATTRIBUTES if str(row.get(a)).strip().lower() == "true")
    image = _picture("/".join(parts), folders)
    return Sample(key, "bias", "", caption, (image,), None, group, demographic, flags)


def _picture(value: Any, folders: Sequence[Path]) -> Source:
    """A picture's bytes, or its file inside the last of the folders."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes) and data:
        # Not the path beside the bytes: it is a bare file name there, and others share it.
        return Source(hashlib.sha256(data).hexdigest(), data)
    name = _path(value)
    if not name:
        raise LeftOutError("no picture")
    path, root = Path(name), folders[-1]
    if leads_out(root, name):
        raise LeftOutError("a picture outside the folder", name)
    try:
        file = next((f / path for f in folders if (f / path).is_file()), None)
    except (OSError, ValueError):  # a name that no file can have
        file = None
    if file is None:
        raise LeftOutError("no such picture", name)
    inside = file.relative_to(root)
    if leads_out(root, str(inside)):
        raise LeftOutError("a picture outside the folder", name)
    return Source(inside.as_posix(), file)


def generation_of(columns: Collection[str]) -> str:
    """Tell the two released schemas apart. Raises `LeftOutError` for any other."""
    if not {"image0", "image1", "label"} <= set(columns) or not {"info", "category"} & set(columns):
        raise LeftOutError("its columns are not those of MJ-Bench", ", ".join(columns))
    return INFO if "info" in columns else CATEGORY


def perspective_of(category: object) -> str | None:
    """The perspective that a category of the rewritten data belongs to; None if unknown."""
    return CATEGORIES.get(category.strip().lower()) if isinstance(category, str) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _path(value: Any) -> str:
    return _text(value.get("path") if isinstance(value, dict) else value).strip()
