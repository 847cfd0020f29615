"""Drawn test scenes with their truth: which rules of `sketch.yaml` each one violates.

Seeds here are never those of training. `mixed` scenes are a third violating, a third borderline
(no rule is violated, but one other answer to one precondition would violate one), a third plain.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from safejudge.constitution import load_constitution
from safejudge.errors import OutputError
from safejudge.logic import evaluate
from safejudge.sketch.draw import draw
from safejudge.sketch.sample import even_scene
from safejudge.sketch.statements import grammar, normal
from safejudge.types import Outcome, leaves

if TYPE_CHECKING:
    from safejudge.sketch.world import Scene
    from safejudge.types import Condition, Constitution, Precondition

Kind = Literal["violating", "borderline", "plain"]
FACTS = "facts.jsonl"


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a scene under a constitution."""

    violations: tuple[str, ...]
    """Ids of the violated rules, in the constitution's order."""
    borderline: tuple[str, ...]
    """Rules that one other answer to one precondition would violate."""

    @property
    def kind(self) -> Kind:
        """violating, borderline or plain."""
        return "violating" if self.violations else "borderline" if self.borderline else "plain"


def _answers(condition: Condition, scene: Scene) -> dict[Precondition, Outcome]:
    known = grammar()
    return {
        leaf: Outcome.YES if known[normal(leaf.statement)].holds(scene) > 0.5 else Outcome.NO
        for leaf in leaves(condition)
    }


def truth_of(scene: Scene, constitution: Constitution) -> Truth:
    """Decide every rule from the facts. Raises `KeyError` for a statement outside the grammar."""
    violated, near = [], []
    for rule in constitution.rules:
        answers = _answers(rule.condition, scene)
        if evaluate(rule.condition, answers) is Outcome.YES:
            violated.append(rule.id)
        elif any(
            evaluate(rule.condition, answers | {leaf: _other(outcome)}) is Outcome.YES
            for leaf, outcome in answers.items()
        ):
            near.append(rule.id)
    return Truth(tuple(violated), tuple(near))


def _other(outcome: Outcome) -> Outcome:
    return Outcome.NO if outcome is Outcome.YES else Outcome.YES


def rule_scenes(
    constitution: Constitution, rule: str, kind: Literal["violating", "borderline"], seed: str
) -> Iterator[tuple[Scene, Truth]]:
    """Draw scenes without end that violate one rule, or only just do not."""
    rng = random.Random(f"{seed}-{rule}-{kind}")
    while True:
        scene = even_scene(rng)
        truth = truth_of(scene, constitution)
        if rule in (truth.violations if kind == "violating" else truth.borderline):
            yield scene, truth


def plain_scenes(constitution: Constitution, seed: str) -> Iterator[tuple[Scene, Truth]]:
    """Draw scenes without end of which no rule is violated, nor nearly."""
    rng = random.Random(f"{seed}-plain")
    while True:
        scene = even_scene(rng)
        truth = truth_of(scene, constitution)
        if truth.kind == "plain":
            yield scene, truth


def mixed_scenes(constitution: Constitution, seed: str) -> Iterator[tuple[Scene, Truth]]:
    """Draw scenes without end: violating, borderline, plain in turn; every rule in its turn."""
    streams = [
        (rule_scenes(constitution, rule.id, "violating", seed),
         rule_scenes(constitution, rule.id, "borderline", seed))
        for rule in constitution.rules
    ]  # fmt: skip
    plain = plain_scenes(constitution, seed)
    while True:
        for violating, borderline in streams:
            yield next(violating)
            yield _without_violation(borderline)
            yield next(plain)


def _without_violation(scenes: Iterator[tuple[Scene, Truth]]) -> tuple[Scene, Truth]:
    return next((scene, truth) for scene, truth in scenes if not truth.violations)


def write_scenes(out: Path, count: int, seed: int, *, overwrite: bool = False) -> int:
    """Write mixed scenes as `scene-0000.png`, ... and their truth as `facts.jsonl`.

    Returns the number of pictures. Raises `OutputError` where the folder holds other files, or
    scenes already and `overwrite` is off.
    """
    _claim(out, overwrite=overwrite)
    constitution = load_constitution("sketch")
    scenes = mixed_scenes(constitution, f"scenes-{seed}")
    with (out / FACTS).open("w", encoding="utf-8") as facts:
        for number in range(count):
            scene, truth = next(scenes)
            name = f"scene-{number:04d}.png"
            Image.fromarray(draw(scene).pixels).save(out / name)
            line = {
                "image": name,
                "kind": truth.kind,
                "violations": truth.violations,
                "borderline": truth.borderline,
                "facts": _facts(scene),
            }
            facts.write(json.dumps(line) + "\n")
    return count


def _facts(scene: Scene) -> dict[str, object]:
    placed = [
        {"type": type(p.entity).__name__.lower(), "column": p.column, **asdict(p.entity)}
        for p in scene.placed
    ]
    return {
        "setting": scene.setting,
        "night": scene.night,
        "flaw": scene.flaw,
        "flaw_strength": scene.flaw_strength,
        "entities": placed,
    }


def _claim(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the scenes")
    out.mkdir(parents=True, exist_ok=True)
    there = sorted(path.name for path in out.iterdir())
    ours = [n for n in there if n == FACTS or (n.startswith("scene-") and n.endswith(".png"))]
    strange = [n for n in there if n not in ours]
    if strange:
        raise OutputError(f"{out} holds {strange[0]!r}, which is not ours; give an empty folder")
    if ours and not overwrite:
        raise OutputError(f"{out} holds scenes already; give another folder or overwrite them")
    for name in ours:
        (out / name).unlink()
