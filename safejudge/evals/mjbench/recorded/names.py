"""What names of files, folders, fields and images say in MJ-Bench's outputs. Pure.

The perspectives, sub-categories, attributes and scales are the benchmark's; judges are whatever
the names say beside them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from safejudge.text import one_line, storable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from safejudge.types import JSON

SCORE = "score"
"""The scale of a score model: any number."""
ATTRIBUTES = ("age", "gender", "race", "nationality", "religion")
BIAS_FIELDS = frozenset({
    "id", "demographic", "occupation", "images_dir", "prompt", *ATTRIBUTES, "analysis", "score",
    "score_scale", "vlm_output", "output",
})  # fmt: skip
"""Fields of a bias row that are no judge's rating."""
_VALUES = {
    "age": ("young", "adult", "old", "child"),
    "gender": ("male", "female", "non-binary"),
    "race": ("asian", "black", "hispanic", "indian", "middle eastern", "white"),
    "nationality": ("american", "chinese", "european", "mexican", "south african"),
    "religion": ("buddhist", "christian", "hindu", "jewish", "muslim"),
    # What the drawn world varies.
    "skin": ("light", "medium", "dark"),
    "head": (
        "headscarf", "cap", "helmet", "black hair", "blond hair", "grey hair", "red hair",
        "brown hair",
    ),
}  # fmt: skip
_ATTRIBUTE_OF = {value: attribute for attribute, values in _VALUES.items() for value in values}

_PERSPECTIVES = {
    "alignment": "alignment", "safety": "safety", "quality": "quality", "artifact": "quality",
    "bias": "bias",
}  # fmt: skip
_SUBSETS = {
    "object": "object", "objects": "object", "existence": "object", "attribute": "attribute",
    "attributes": "attribute", "action": "action", "actions": "action", "spatial": "spatial",
    "location": "spatial", "count": "count", "counts": "count", "counting": "count",
    "human": "face", "object_indoor": "object", "objects_indoor": "object", "toxicity": "toxic",
}  # fmt: skip
"""The spellings of one sub-category."""
_BY_SUBSET = {
    "toxic": "safety", "nsfw": "safety", "blur": "quality", "human": "quality", "mpii": "quality",
    "object_indoor": "quality", "objects_indoor": "quality",
}  # fmt: skip
"""What perspective a sub-category belongs to where no name says it."""
_REGIONS = {
    "face": "face", "hands": "limb", "hand": "limb", "torso": "limb", "leg": "limb",
    "legs": "limb", "arm": "limb", "furniture": "object",
}  # fmt: skip
_BLURS = {"m": "motion_blur", "f": "defocused_blur"}
"""The last letter of a blurred picture's name."""

_MODE = re.compile(r"[_-](single|multi)(?=[_-]|$)")
_SCALE = re.compile(r"(number|narrative|scale)[_-]?(?:scale[_-]?)?(\d+)", re.IGNORECASE)
_JUDGE = re.compile(
    r"^(?P<judge>.+?)[_-](?:(?:alignment|safety|quality|artifact|bias)[_-])?"
    r"(?:number|narrative)[_-]?(?:scale[_-]?)?\d+$",
    re.IGNORECASE,
)
_BIAS = re.compile(r"^(?P<kind>new|scale[_-]?\d+|narrative)[_-]bias[_-]dataset[_-](?P<judge>.+)$")
_EDITED = re.compile(r"_edited_([a-z]+)", re.IGNORECASE)
_THRESHOLD = re.compile(r"(?<=[a-z])\d+\.\d+$")
"""A score file ends in the threshold of its `pred`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file's name and folders say of its rows."""

    file: str
    """Its path inside the folder."""
    stem: str
    judge: str
    scale: str
    """`1-5`, `1-10`, `words 5`, `words 10`, with the mode if it is named; empty if unknown."""
    perspective: str
    subset: str

    def names(self, column: str) -> bool:
        """Whether the file is named after a column."""
        return bool(column) and self.stem.endswith(f"_{column}")


def origin_of(path: Path, folder: Path) -> Origin:
    """Read a path."""
    inside = path.relative_to(folder)
    stem = inside.stem
    parents = [*inside.parts[:-1][::-1], folder.name, folder.parent.name]
    bias_match = _BIAS.match(stem)
    judge_match = _JUDGE.match(stem)
    if bias_match is not None:
        judge, subset = bias_match["judge"], "bias"
        scale = "1-5" if bias_match["kind"] == "new" else scale_of(bias_match["kind"]) or "words 5"
    elif judge_match is not None:
        judge, subset, scale = judge_match["judge"], parents[0], scale_of(stem)
    else:
        judge, subset, scale = parents[0], _THRESHOLD.sub("", stem), scale_of(stem)
    subset = _MODE.sub("", subset.lower())
    perspective = next((p for name in [stem, *parents] if (p := _perspective(name))), None)
    mode = next((m[1] for name in parents if (m := _MODE.search(name))), "")
    return Origin(
        file=printable(inside.as_posix()),
        stem=stem,
        judge=printable(judge),
        scale=f"{scale or SCORE} {mode}" if mode else scale,
        perspective=perspective or _BY_SUBSET.get(subset, "other"),
        subset=printable(subset),
    )


def scale_of(text: str) -> str:
    """The scale that a name speaks of; empty if it speaks of none."""
    match = _SCALE.search(text)
    if match is None:
        return ""
    return f"words {match[2]}" if match[1].lower() == "narrative" else f"1-{match[2]}"


def largest(scale: str) -> int | None:
    """The highest rating of a scale; None if it is not known."""
    match = re.search(r"\d+$", re.sub(r" (single|multi)$", "", scale))
    return int(match[0]) if match else None


def _perspective(name: str) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((p for word, p in _PERSPECTIVES.items() if word in words), None)


def subset_of(origin: Origin, row: JSON, images: tuple[str, str]) -> str:
    """The sub-category of a pair; in quality the edited region decides."""
    subset = _SUBSETS.get(origin.subset, origin.subset)
    if origin.perspective != "quality":
        return subset
    for name in images:
        if match := _EDITED.search(name):
            return _REGIONS.get(match[1].lower(), match[1].lower())
    if subset != "blur":
        return subset
    if any("motion" in key for key in row):
        return "motion_blur"
    if any("defocus" in key for key in row):
        return "defocused_blur"
    ends = [name.rpartition(".")[0].rpartition("_")[2].lower() for name in images]
    return next((_BLURS[end] for end in ends if end in _BLURS), "blur")


def images_of(row: JSON) -> tuple[str, str]:
    """The names of the first and the second image; empty where they are not told."""
    keyed = [
        next((v for k, v in row.items() if re.match(f"image_?{i}", k) and isinstance(v, str)), "")
        for i in (0, 1)
    ]
    if any(keyed):
        return keyed[0], keyed[1]
    images = [v for k, v in row.items() if k.endswith("image") and isinstance(v, str)]
    return (images[0], images[1]) if len(images) == 2 else ("", "")


@lru_cache(maxsize=1 << 14)
def attributes(demographic: str) -> Mapping[str, str]:
    """What a picture varies; a value of no known attribute goes by its place."""
    if not demographic:
        return MappingProxyType({})
    parts = [part.strip().lower() for part in demographic.split("_")]
    values = {_ATTRIBUTE_OF.get(part, f"part {i}"): part for i, part in enumerate(parts, 1)}
    return MappingProxyType(values)


def printable(text: str) -> str:
    """A name as one line that any terminal and file can take."""
    return one_line(storable(text).replace("|", "/"))
