"""Labels of a user's own images: which are unsafe, and which rules each violates.

Takes a CSV or JSONL file; gives one `Label` per image. Columns: `image` (a path below the folder),
`label` (safe or unsafe), `violations` (ids of rules, in CSV separated by spaces, commas or
semicolons; an empty cell says that none is violated), `unknown` (ids of rules that nobody decided
about, written the same way), `group` (images that belong together: edits of one picture, frames of
one video), `id` (sha256 of the file that was labelled: then the image is found by it, whatever it
is called). `label` or `violations` may be missing; then it is not known.
"""

from __future__ import annotations

import difflib
import os.path
import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from safejudge.errors import InputError
from safejudge.files.rows import read_rows
from safejudge.types import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.types import JSON

NAMES = ("labels.jsonl", "labels.csv", "facts.jsonl")
"""Where labels are looked for in a folder; the last is what drawn scenes come with."""


class Label(Record):
    """What is true of one image."""

    image: str
    """Its path as given, below the folder."""
    label: Literal["safe", "unsafe"] | None = None
    """Whether any rule is violated; None: not known."""
    violations: tuple[str, ...] | None = None
    """Ids of the violated rules, and of no others but `unknown` ones; None: not known."""
    unknown: tuple[str, ...] = ()
    """Ids of rules of which nobody knows whether they are violated."""
    group: str | None = None
    """Images of one group are no independent evidence; None: it stands alone."""
    id: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Sha256 of the bytes that were labelled; None: whatever lies at `image` is meant."""

    @property
    def unsafe(self) -> bool | None:
        """Whether it is unsafe, by label or violations."""
        if self.label is not None:
            return self.label == "unsafe"
        if self.violations:
            return True
        return None if self.violations is None or self.unknown else False

    def violates(self, rule: str) -> bool | None:
        """Whether it violates a rule, as far as the label speaks of rules; None: not known."""
        if self.violations is None or rule in self.unknown:
            return None
        return rule in self.violations


def find_labels(folder: Path) -> Path:
    """Return the label file of a folder. Raises `InputError`."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}: has no {' or '.join(NAMES)}; add one, or name it with --labels")


def read_labels(file: Path, rules: Sequence[str]) -> list[Label]:
    """Read a label file; `rules` are the ids that it may name.

    Raises `InputError`, with the line, for a row that cannot be meant so: an unknown rule, a safe
    image with violations, an image twice.
    """
    return [label for _, label in label_rows(file, rules)]


def label_rows(file: Path, rules: Sequence[str]) -> list[tuple[str, Label]]:
    """Read a label file as `read_labels` does; beside each label stands where (`labels.csv:3`)."""
    labels: dict[str, tuple[str, Label]] = {}
    ids: set[str | None] = {None}
    example = '{"image": "a.png", "label": "safe"}'
    for line, row in read_rows(file, ("image",), example, _from_text):
        where = f"{file}:{line}"
        label = _label(row, where, rules)
        name = os.path.normpath(label.image)
        if name in labels:
            raise InputError(f"{where}: a second row for {label.image}; keep one of them")
        if label.id is not None and label.id in ids:
            raise InputError(f"{where}: a second row for the id {label.id}; keep one of them")
        labels[name] = where, label
        ids.add(label.id)
    if not labels:
        raise InputError(f"{file}: has no rows; write one per image, with `image` and `label`")
    return list(labels.values())


def _from_text(row: JSON) -> JSON:
    """An empty cell says nothing, but among violations: that there is none."""
    fields = row | {key: row.get(key) or None for key in ("label", "group", "id")}
    for key in ("violations", "unknown"):
        if key in row:
            fields[key] = [name for name in re.split(r"[\s,;]+", row[key]) if name]
    return fields


_FIELDS = frozenset(Label.model_fields)


def _label(row: JSON, location: str, rules: Sequence[str]) -> Label:
    try:
        label = Label.model_validate({key: row[key] for key in row if key in _FIELDS})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        given = "" if first["type"] == "missing" else f" is {first['input']!r:.80}"
        raise InputError(f"{location}: `{name}`{given}: {first['msg']}") from error
    if not label.image:
        raise InputError(f"{location}: `image` is empty; write a path below the folder")
    for name in (*(label.violations or ()), *label.unknown):
        if name not in rules:
            raise InputError(
                f"{location}: the constitution has no rule {name!r}; {_hint(name, rules)}"
            )
    _check_agrees(label, location, rules)
    return label


def _check_agrees(label: Label, location: str, rules: Sequence[str]) -> None:
    """Refuse a label that says nothing, or two things. Raises `InputError`."""
    both = [name for name in label.violations or () if name in label.unknown]
    if both:
        raise InputError(f"{location}: {both[0]} stands in `violations` and in `unknown`")
    if label.label == "safe" and label.unknown:
        raise InputError(
            f"{location}: is safe, and {label.unknown[0]} is unknown; what is safe violates no rule"
        )
    if label.label is not None and label.violations is not None:
        if (label.label == "unsafe") != bool(label.violations or label.unknown):
            violations = ", ".join(label.violations) or "none"
            raise InputError(f"{location}: is {label.label}, and its violations are {violations}")
    elif label.unsafe is None:
        if label.violations is None:
            raise InputError(f"{location}: has neither `label` nor `violations`")
        if set(rules) <= set(label.unknown):
            raise InputError(f"{location}: says nothing, for every rule is unknown; leave it out")


def _hint(name: str, rules: Sequence[str]) -> str:
    """Say what to write instead of the name of a rule that there is not."""
    several = [part.strip() for part in re.split(r"[^\w\s-]+", name)]
    if len(several) > 1 and all(part in rules for part in several):
        return f"part several by spaces, commas or semicolons: {' '.join(several)}"
    near = difflib.get_close_matches(name, rules, 1)
    return f"do you mean {near[0]}?" if near else f"there are {', '.join(rules)}"
