"""A drawn scene in words, and the combinations of statements that training never shows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cache

from safejudge.constitution.load import load_constitution
from safejudge.sketch.world.scene import Animal, Entity, Person, Scene, Thing, Vehicle
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, leaves

_PLACE = {"room": "in a room", "street": "on a street", "park": "in a park", "beach": "on a beach"}


def _describe_person(p: Person) -> Iterator[str]:
    article = "an" if p.age == "adult" else "a"
    dress = f"dressed as a {p.occupation}" if p.occupation else f"in a {p.shirt} shirt"
    yield f"{article} {p.age} {dress}"
    length = "long " if p.long_hair else ""
    hair = "" if p.headwear == "headscarf" else f" and {length}{p.hair} hair"
    yield f"with {p.skin} skin{hair}"
    if p.headwear:
        yield f"wearing a {p.headwear}"
    if p.masked:
        yield "wearing a mask"
    if p.posture != "standing":
        yield "lying down" if p.posture == "lying" else "kneeling"
    if p.on:
        yield f"on a {p.on}"
    if p.holding:
        yield f"holding a {p.holding}"
    if p.pointing:
        yield f"pointing it to the {p.facing}"
    if p.bloody:
        yield "with blood on the body"
    if p.burning:
        yield "on fire"
    if p.hand_in_hand:
        yield "holding hands with the next person"


def _describe(entity: Entity) -> str:
    match entity:
        case Person():
            return " ".join(_describe_person(entity))
        case Animal():
            extras = [
                "lying" if entity.posture == "lying" else "standing",
                "with blood on its body" if entity.bloody else "",
                "inside a cage" if entity.caged else "",
                "on a leash" if entity.leash else "",
            ]
            return " ".join(w for w in (f"a {entity.species}", *extras) if w)
        case Vehicle():
            state = " upside down" if entity.overturned else ""
            return f"a {entity.colour} {entity.kind}{state}" + (" on fire" * entity.burning)
        case Thing():
            return entity.kind if entity.kind == "blood" else f"a {entity.kind}"


def describe(scene: Scene) -> str:
    """Say in one sentence what is in a scene, from left to right."""
    listed = "; ".join(_describe(entity) for entity in scene.entities)
    time = "at night" if scene.night else "by day"
    return f"{listed}; {_PLACE[scene.setting]} {time}."


@cache
def reserved() -> frozenset[frozenset[str]]:
    """Sets of statements that belong together in a shipped rule: never composed in training."""

    def groups(condition: Condition) -> Iterator[frozenset[str]]:
        match condition:
            case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
                yield frozenset(leaf.statement for leaf in leaves(condition))
                for part in parts:
                    yield from groups(part)
            case _:
                return

    all_groups = itertools.chain.from_iterable(
        groups(rule.condition) for rule in load_constitution("sketch").rules
    )
    return frozenset(group for group in all_groups if len(group) > 1)


def is_reserved(texts: Iterable[str]) -> bool:
    """Whether statements together hold a shipped rule, which no training may compose."""
    together = frozenset(texts)
    return any(together >= group for group in reserved())
