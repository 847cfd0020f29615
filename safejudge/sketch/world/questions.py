"""Scenes, and the statements asked about them: each statement with its declared share of yes.

A world draws scenes and statements; facts say which statements hold in one scene. Rare facts are
asked about as often as common ones, so what a judge learns of a statement is its family's share of
yes, never how rare its facts are.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from safejudge.sketch.world.sample import even_scene, skewed_scene
from safejudge.sketch.world.statements import Statement, grammar

if TYPE_CHECKING:
    import numpy.typing as npt

    from safejudge.sketch.world.scene import Scene

YES_SHARE = {
    "holding": 0.75, "pointing": 0.7, "clothing": 0.65, "occupation": 0.65, "count": 0.35,
    "blood": 0.3, "fire": 0.35, "relation": 0.4, "setting": 0.6, "vague": 0.6,
}  # fmt: skip
"""The skewed world's share of questions answered yes, per family (0.5 elsewhere)."""

NEAR = 5.0
"""How many times likelier a false statement is asked if every word in it fits something seen."""


class World:
    """Scenes, and statements about them, with the chosen skew."""

    def __init__(self, seed: str, *, skewed: bool, near: float = NEAR) -> None:
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(self.rng.getrandbits(63))
        self.skewed = skewed
        self.near = near

    def scene(self) -> Scene:
        """Draw the next scene."""
        return skewed_scene(self.rng) if self.skewed else even_scene(self.rng)

    def yes_shares(self) -> npt.NDArray[np.float64]:
        """How often each of the N statements is answered yes."""
        of = YES_SHARE if self.skewed else {}
        return np.array([of.get(family, 0.5) for family in deck().families])


@dataclass(frozen=True, slots=True)
class Deck:
    """All N statements of the grammar, as arrays."""

    statements: tuple[Statement, ...]
    families: npt.NDArray[np.str_]
    """N."""
    weights: npt.NDArray[np.float64]
    """N: how often each is asked, sum 1. A family counts by the square root of its size, its
    forms alike, and the statements of a form alike."""


@cache
def deck() -> Deck:
    """The grammar as arrays."""
    statements = tuple(grammar().values())
    family = Counter(s.form.family for s in statements)
    form = Counter((s.form.family, s.form.template) for s in statements)
    forms = Counter(of for of, _ in form)
    weights = np.array([
        math.sqrt(family[s.form.family])
        / (forms[s.form.family] * form[s.form.family, s.form.template])
        for s in statements
    ])  # fmt: skip
    return Deck(statements, np.array([s.form.family for s in statements]), weights / weights.sum())


RAREST = 0.01
"""Statements true (or false) of fewer scenes than this are not made up for in full."""


@cache
def exposure(*, skewed: bool, near: float) -> npt.NDArray[np.float64]:
    """2 x N: a statement's mean weight as a false one and as a true one, over a world's scenes.

    Dividing by it makes the yes share of *every statement* what `YES_SHARE` says, however rare the
    facts behind it are.
    """
    world = World("exposure", skewed=skewed, near=near)
    weights = [Facts(world, world.scene()).weights for _ in range(600)]
    mean: npt.NDArray[np.float64] = np.mean(weights, axis=0)
    return mean.clip(min=RAREST)


class Facts:
    """All statements of the grammar and their truth in one scene.

    A vague one is labelled by chance, as one annotator among those who disagree would.
    """

    def __init__(self, world: World, scene: Scene) -> None:
        self.scene = scene
        self._world = world
        truth = np.array([statement.holds(scene) for statement in deck().statements])
        self.labels = world.noise.random(len(truth)) < truth
        """N: whether the statement is called true."""
        words = frozenset(itertools.chain.from_iterable(
            s.words for s, p in zip(deck().statements, truth, strict=True) if p == 1.0
        ))  # fmt: skip
        fits = np.array([words.issuperset(s.words) for s in deck().statements])
        self.near = fits & ~self.labels
        """N: false although every word in it fits something in the scene."""
        self.weights = np.stack([np.where(self.near, world.near, 1.0) * ~self.labels, self.labels])
        """2 x N: relative weight as a false and as a true statement."""
        self._sums: dict[float | None, npt.NDArray[np.float64]] = {}

    def _cumulative(self, share: float | None) -> npt.NDArray[np.float64]:
        """Running sums of the weights of all N statements, where `share` are answered yes."""
        if share not in self._sums:
            yes = self._world.yes_shares() if share is None else share
            false, true = self.weights / exposure(skewed=self._world.skewed, near=self._world.near)
            relative = false * (1.0 - yes) + true * yes
            self._sums[share] = np.cumsum(relative * deck().weights)
        return self._sums[share]

    def ask(self, *, share: float | None = None) -> tuple[Statement, bool]:
        """Draw a statement and its label; `share` are true (the world's own share if None)."""
        sums = self._cumulative(share)
        index = int(np.searchsorted(sums, self._world.rng.random() * sums[-1], side="right"))
        return deck().statements[index], bool(self.labels[index])

    def pick(self, family: str, *, want: bool) -> Statement | None:
        """Draw a statement of the family that holds (or does not), or None if there is none.

        Six in ten false ones are near, where there are such; all forms are equally likely.
        """
        rng = self._world.rng
        fitting = (deck().families == family) & (self.labels == want)
        if not want and rng.random() < 0.6 and (fitting & self.near).any():
            fitting &= self.near
        groups: dict[str, list[Statement]] = defaultdict(list)
        for index in np.flatnonzero(fitting):
            statement = deck().statements[index]
            groups[statement.form.template].append(statement)
        return rng.choice(rng.choice(list(groups.values()))) if groups else None
