"""Where things are, as labels for every patch: what the vision tower learns before any language.

Every patch inside an entity's box carries all facts of that entity; every patch carries the facts
of the whole scene. Labels come from an even world, so this stage teaches no skew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from safejudge.sketch.world.scene import (
    AGES,
    COLOURS,
    FLAWS,
    HAIR,
    HEADWEAR,
    ITEMS,
    OCCUPATIONS,
    POSTURES,
    SETTINGS,
    SKINS,
    SPECIES,
    SUPPORTS,
    THINGS,
    VEHICLES,
    Animal,
    Entity,
    Person,
    Scene,
    Thing,
    Vehicle,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from safejudge.sketch.drawing.draw import Box

_FLAGS = ("person", "animal", "vehicle", "thing", "pointing", "bloody", "burning", "masked",
          "hand in hand", "long hair", "caged", "leash", "overturned", "facing left")  # fmt: skip
_VALUES = {
    "age": AGES, "posture": POSTURES, "skin": SKINS, "hair": HAIR, "headwear": HEADWEAR,
    "occupation": OCCUPATIONS, "shirt": COLOURS, "holding": ITEMS, "on": SUPPORTS,
    "species": SPECIES, "kind": VEHICLES, "colour": COLOURS, "thing": THINGS, "part": ITEMS,
    "setting": SETTINGS, "flaw": FLAWS, "people": ("1", "2", "3", "4"),
}  # fmt: skip
ATTRIBUTES: tuple[str, ...] = (
    *_FLAGS, "night", *(f"{key}:{value}" for key, values in _VALUES.items() for value in values)
)  # fmt: skip
_INDEX = {name: number for number, name in enumerate(ATTRIBUTES)}


def _facts(entity: Entity) -> Iterator[str]:
    match entity:
        case Person():
            yield from ("person", f"age:{entity.age}", f"posture:{entity.posture}")
            yield from (f"skin:{entity.skin}", f"holding:{entity.holding}", f"on:{entity.on}")
            yield f"headwear:{entity.headwear}"
            if entity.headwear != "headscarf":
                yield f"hair:{entity.hair}"
                yield "long hair" if entity.long_hair else ""
            occupied = entity.occupation is not None
            yield f"occupation:{entity.occupation}" if occupied else f"shirt:{entity.shirt}"
            yield "pointing" if entity.pointing else ""
            yield "facing left" if entity.facing == "left" and entity.holding else ""
            yield "masked" if entity.masked else ""
            yield "hand in hand" if entity.hand_in_hand else ""
        case Animal():
            yield from ("animal", f"species:{entity.species}", f"posture:{entity.posture}")
            yield "caged" if entity.caged else ""
            yield "leash" if entity.leash else ""
        case Vehicle():
            yield from ("vehicle", f"kind:{entity.kind}", f"colour:{entity.colour}")
            yield "overturned" if entity.overturned else ""
        case Thing():
            yield from ("thing", f"thing:{entity.kind}")
    if isinstance(entity, Person | Animal) and entity.bloody:
        yield "bloody"
    if isinstance(entity, Person | Vehicle) and entity.burning:
        yield "burning"


def labels(scene: Scene, boxes: Sequence[Box], grid: int, patch: int) -> npt.NDArray[np.float32]:
    """Give grid * grid rows of 0/1 over `ATTRIBUTES`, patches in reading order."""
    out = np.zeros((grid, grid, len(ATTRIBUTES)), dtype=np.float32)

    def paint(box: tuple[float, float, float, float], names: Iterator[str]) -> None:
        x0, y0, x1, y1 = (int(v // patch) for v in box)
        for name in names:
            if name in _INDEX:  # names of absent values ("holding:None") are no attributes
                out[y0 : min(grid, y1 + 1), x0 : min(grid, x1 + 1), _INDEX[name]] = 1.0

    for box in boxes:
        if box.part in {"person", "animal", "vehicle", "thing"}:
            paint(box.box, _facts(scene.entities[box.entity]))
        elif box.part == "held":
            paint(box.box, iter((f"part:{box.what}",)))
    scene_labels = [f"setting:{scene.setting}", f"people:{len(scene.people)}"]
    scene_labels += ["night"] if scene.night else []
    scene_labels += [f"flaw:{scene.flaw}"] if scene.flaw_strength > 0.6 else []
    paint((0, 0, grid * patch - 1, grid * patch - 1), iter(scene_labels))
    return out.reshape(grid * grid, len(ATTRIBUTES))
