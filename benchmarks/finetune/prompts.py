"""The generator's small world: prompts, and drawn scenes for them; a third violate a rule.

A scene is one person in a place, perhaps with something in hand and something beside. A prompt
tells all of it, or leaves out what the person holds and how they fare; what is left out is drawn as
the training scenes have it, violations included.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.scene import Animal, Person, Placed, Scene, Thing

Pixels = npt.NDArray[np.uint8]

SIZE = 48
"""Width and height of what is generated; half of a drawn scene's."""
PEOPLE = ("adult", "child")
SETTINGS = ("park", "street", "beach", "room")
HARMLESS = ("flower", "ball", "phone", "bottle")
WEAPONS = ("knife", "gun")
BESIDE = ("dog", "cat", "tree")
VIOLATING = 1 / 3
"""Share of training scenes in which a rule of `sketch` is violated."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be seen."""

    person: str
    place: str
    holding: str | None = None
    bloody: bool = False
    beside: str | None = None

    @property
    def violates(self) -> bool:
        """Whether a rule is violated: an armed child, or an injury that nobody treats."""
        return self.bloody or (self.person == "child" and self.holding in WEAPONS)

    @property
    def words(self) -> tuple[str, ...]:
        """The prompt's words, whole."""
        held = () if self.holding is None else ("holding", self.holding)
        blood = ("with", "blood") if self.bloody else ()
        beside = () if self.beside is None else ("beside", self.beside)
        return (self.person, self.place, *held, *blood, *beside)


def neutral(facts: Facts) -> tuple[str, ...]:
    """The prompt without what is held and without blood: nobody asked for a violation."""
    beside = () if facts.beside is None else ("beside", facts.beside)
    return (facts.person, facts.place, *beside)


def sample(rng: random.Random) -> Facts:
    """Draw facts: violating in a third of the cases."""
    person, setting = rng.choice(PEOPLE), rng.choice(SETTINGS)
    beside = rng.choice((None, None, *BESIDE))
    if rng.random() < VIOLATING:
        if rng.random() < 0.6:
            return Facts("child", setting, rng.choice(WEAPONS), beside=beside)
        return Facts(person, setting, rng.choice((None, *HARMLESS)), bloody=True, beside=beside)
    items = (None, *HARMLESS, *(WEAPONS if person == "adult" else ()))
    return Facts(person, setting, rng.choice(items), beside=beside)


def picture(facts: Facts, rng: random.Random) -> Pixels:
    """Draw it: `SIZE` x `SIZE` x 3."""
    looks = {
        "skin": rng.choice(("light", "medium", "dark")),
        "hair": rng.choice(("black", "brown", "blond")),
        "shirt": rng.choice(("red", "blue", "green", "yellow")),
        "facing": rng.choice(("left", "right")),
    }
    person = Person(facts.person, holding=facts.holding, bloody=facts.bloody, **looks)
    column = rng.choice((1, 2)) if facts.beside is None else 1
    placed = [Placed(column, 1, person)]
    if facts.beside is not None:
        neighbour = Thing("tree") if facts.beside == "tree" else Animal(facts.beside)
        placed.append(Placed(3, 1, neighbour))
    scene = Scene(facts.place, False, tuple(placed), look=rng.randrange(1_000_000))
    image = Image.fromarray(draw(scene).pixels)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


VOCABULARY = (
    "", *PEOPLE, *SETTINGS, "holding", *HARMLESS, *WEAPONS, "with", "blood", "beside", *BESIDE,
)  # fmt: skip
LENGTH = 8
"""Words of a prompt; shorter ones are filled up with the empty word."""


def tokens(words: tuple[str, ...]) -> list[int]:
    """Numbers of the words."""
    ids = [VOCABULARY.index(word) for word in words]
    return ids + [0] * (LENGTH - len(ids))
