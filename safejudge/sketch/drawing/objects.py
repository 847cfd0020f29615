"""Drawn objects, and the words that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.sketch.world.scene import (
    HEADWEAR,
    OCCUPATIONS,
    SPECIES,
    VEHICLES,
    WEAPONS,
    Entity,
    Person,
    Scene,
)
from safejudge.sketch.world.statements import OBJECTS, WHO

if TYPE_CHECKING:
    from safejudge.sketch.drawing.draw import Drawing
    from safejudge.sketch.drawing.pen import Box


WORDS: tuple[str, ...] = tuple(dict.fromkeys((
    *WHO, "animal", *SPECIES, "vehicle", *VEHICLES, *OBJECTS, *OCCUPATIONS, *HEADWEAR,
    "mask", "blood",
)))  # fmt: skip
"""What the detector is taught to look for."""


def named_boxes(scene: Scene, drawing: Drawing) -> list[tuple[frozenset[str], Box]]:
    """Return every drawn object with the words that name it."""
    boxes = []
    for box in drawing.boxes:
        words = frozenset(_names(scene.entities[box.entity], box)) & frozenset(WORDS)
        if words and box.box[2] - box.box[0] >= 1 and box.box[3] - box.box[1] >= 1:
            boxes.append((words, box))
    return boxes


def _names(entity: Entity, box: Box) -> set[str]:
    names = set(_ALSO.get(box.what, ())) if box.part in _CALLED_BY_KIND else set()
    if box.part in _CALLED_BY_KIND:
        names.add(box.what)
    if box.part in {"animal", "vehicle"}:
        names.add(box.part)
    if box.part == "person" and isinstance(entity, Person):
        names |= {"person", entity.age, entity.occupation or entity.age}
    return names


_CALLED_BY_KIND = frozenset((
    "animal", "vehicle", "thing", "held", "support", "headwear", "mask", "cage", "leash", "blood",
    "fire",
))  # fmt: skip
"""Parts of a drawing that are called by what they are."""

_ALSO = dict.fromkeys(WEAPONS, ("weapon",)) | {
    "horse": ("animal",), "bicycle": ("vehicle",),
}  # fmt: skip
"""More names, wherever the thing appears: lying, held, ridden."""
