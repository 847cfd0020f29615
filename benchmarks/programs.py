"""What programs settle, and what questions do: counts, order and words in drawn scenes.

1. Statements of the grammar about counts and about left and right, half of them true, of scenes
   that nobody drew before. The shipped judge answers each as it does in a rule (`default`, with
   reasoning), and a program looks for itself: `count` and `order` by the shipped detector. Both
   together: the program first, the statement where it cannot tell.
2. Words painted into enlarged scenes, and others that were not: `words`. The shipped judge knows no
   statement about words, so there is nothing to compare with.
3. What a rule with a program costs less: rules of a statement, and of the same statement with a
   program that has to hold too, in questions and seconds a picture.

The bounds of boxes were chosen on the seed `programs-dev-even`, before this was run.

`python benchmarks/programs.py [--each 150]`
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from measure import record
from PIL import Image, ImageDraw, ImageFont

from safejudge.engines.models import Models
from safejudge.evals.stats.rates import share
from safejudge.flow import drive, gather
from safejudge.judge import Judge
from safejudge.method.counting import counted_flow
from safejudge.method.precondition import Scene
from safejudge.method.rule import rule_flow
from safejudge.policy import Policy
from safejudge.programs.registry import call_of
from safejudge.programs.running import Programs
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.questions import World
from safejudge.sketch.world.statements import count, grammar
from safejudge.types import AllOf, Constitution, Look, Picture, Precondition, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    import numpy.typing as npt

    from safejudge.sketch.world.statements import Statement
    from safejudge.types import Condition, Judgment

SEEDS = {"even": "programs-1", "skewed": "programs-2"}
WORDS_SEED = "programs-words-1"
COST_SEED = "programs-cost-1"
POLICY = Policy(relevance=False, cascade=False)
"""`default` without its filter, and without reasoning: what is compared is looking."""
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}
ONE_OF = {
    "people": "person", "adults": "adult", "children": "child", "animals": "animal",
    "dogs": "dog", "cats": "cat", "birds": "bird", "weapons": "weapon", "vehicles": "vehicle",
}  # fmt: skip
SALE = ("SALE", "OPEN", "FRESH FISH", "NO ENTRY", "50% OFF", "HAPPY BIRTHDAY", "FIRE EXIT", "TAXI")
LARGE, SIZES = 6, (14, 20, 30)
"""How much larger the scene is drawn for words, and how high letters are, of 96 x 6 pixels."""


# --- statements as programs -----------------------------------------------------------------------


def program_of(text: str) -> dict[str, object] | None:
    """Say a statement of the grammar as a program; None where none says the same."""
    if match := re.fullmatch(r"exactly (\w+) (\w+) (?:is|are) visible", text):
        return {"count": {ONE_OF.get(match[2], match[2]): NUMBERS[match[1]]}}
    if match := re.fullmatch(r"at least (\w+) (\w+) are visible", text):
        return {"count": {ONE_OF[match[2]]: {"at_least": NUMBERS[match[1]]}}}
    if match := re.fullmatch(r"more than (\w+) (\w+) (?:is|are) visible", text):
        return {"count": {ONE_OF[match[2]]: {"at_least": NUMBERS[match[1]] + 1}}}
    if match := re.fullmatch(r"an? (\w+) is to the left of an? (\w+)", text):
        return {"order": [match[1], "left of", match[2]]} if match[1] != match[2] else None
    return None


@dataclass(frozen=True)
class Asked:
    """One statement about one picture."""

    picture: Picture
    statement: Statement
    program: dict[str, object]
    holds: bool


def statements(world: World, each: int) -> dict[str, list[Asked]]:
    """Draw scenes, and from each a statement about counts and one about order, as they come."""
    known = [(s, p) for s in grammar().values() if (p := program_of(s.text)) is not None]
    chosen: dict[str, list[Asked]] = {"count": [], "order": []}
    wanted = {name: {True: each, False: each} for name in chosen}
    while any(left for sides in wanted.values() for left in sides.values()):
        scene = world.scene()
        shown = None
        for name, sides in wanted.items():
            fitting = [pair for pair in world.rng.sample(known, 60) if name in pair[1]]
            for statement, program in fitting:
                holds = statement.holds(scene) > 0.5
                # Of what is nowhere in the scene anything would be said rightly.
                if not sides[holds] or not _is_about(program, scene):
                    continue
                shown = shown or Picture.of(draw(scene).pixels)
                chosen[name].append(Asked(shown, statement, program, holds))
                sides[holds] -= 1
                break
    return chosen


def _is_about(program: dict[str, object], scene: object) -> bool:
    """Whether everything that a program looks for is in the scene at least once."""
    (wanted,) = program.values()
    names = list(wanted) if isinstance(wanted, dict) else [wanted[0], wanted[2]]  # type: ignore[index]
    return all(count(scene, name) for name in names)  # type: ignore[arg-type]


# --- who is right ---------------------------------------------------------------------------------


@dataclass
class Score:
    """How answers came out."""

    right: int = 0
    wrong: int = 0
    undecided: int = 0
    seconds: float = 0.0
    questions: int = 0

    @property
    def total(self) -> int:
        """How many there were."""
        return self.right + self.wrong + self.undecided

    def add(self, outcome: str, *, holds: bool) -> None:
        """Count the outcome of a rule whose statement is true or not."""
        if outcome == "undecided":
            self.undecided += 1
        else:
            self.right += (outcome == "violated") == holds
            self.wrong += (outcome == "violated") != holds

    def row(self) -> list[str]:
        """Write shares and costs."""
        return [
            share(self.right, self.total),
            f"{self.wrong / self.total:.3f}",
            f"{self.undecided / self.total:.3f}",
            f"{self.questions / self.total:.2f}",
            f"{self.seconds / self.total:.3f}",
        ]


COLUMNS = ["right", "wrong", "undecided", "questions", "seconds"]


def rule(condition: Condition) -> Rule:
    return Rule(
        id="rule", category="c", severity=Severity.LOW, text="t", objective="o", condition=condition
    )


def judged(models: Models, policy: Policy, asked: Sequence[Asked], how: str) -> Score:
    """Judge each statement as a rule of its own: by questions, by the program, or by both.

    All of them together, as a judge does with a window of images.
    """
    flows = []
    for one in asked:
        call, text = call_of(one.program), one.statement.text
        models.programs.problem(call, detects=True)
        leaf = {
            "question": Precondition(statement=text),
            "program": Precondition.of(call),
            "both": Precondition(statement=text, program=call),
        }[how]
        flows.append(counted_flow(rule_flow(leaf, Scene(one.picture, None, policy))))
    score = Score()
    begun = time.perf_counter()
    found = drive(gather(flows), models.answer)
    score.seconds = time.perf_counter() - begun
    for one, (verdict, usage) in zip(asked, found, strict=True):
        score.questions += usage.probes
        score.add(verdict.outcome, holds=one.holds)
    return score


def in_scenes(each: int) -> tuple[list[str], dict[str, object]]:
    parts, numbers = [], {}
    models = Models.opened("hf:sketch", None, "default", None)
    with closing(models):
        for name, seed in SEEDS.items():
            rows = []
            chosen = statements(World(seed, skewed=name == "skewed"), each)
            for kind, how in itertools.product(chosen, ("question", "program", "both")):
                score = judged(models, POLICY, chosen[kind], how)
                rows.append([f"{kind}: {how}", *score.row()])
                numbers[f"{name}/{kind}/{how}"] = asdict(score)
            parts += [f"Scenes of the {name} world, {2 * each} statements of each kind\n"]
            parts.append(table(["", *COLUMNS], rows) + "\n")
    return parts, numbers


# --- words ----------------------------------------------------------------------------------------


def paint(scene_pixels: npt.NDArray[np.uint8], text: str, high: int, rng: Random) -> Picture:
    """Paint a sign into an enlarged scene."""
    image = Image.fromarray(scene_pixels)
    image = image.resize((image.width * LARGE, image.height * LARGE), Image.Resampling.BICUBIC)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(high)
    left, top, right, bottom = pen.textbbox((0, 0), text, font)
    wide, tall = right - left, bottom - top
    x, y = rng.randrange(8, image.width - wide - 8), rng.randrange(8, image.height - tall - 8)
    dark = rng.random() < 0.5
    pen.rectangle((x - 6, y - 6, x + wide + 6, y + tall + 6), "black" if dark else "white")
    pen.text((x - left, y - top), text, "white" if dark else "black", font)
    return Picture.of(np.asarray(image))


def words(each: int) -> tuple[list[str], dict[str, object]]:
    world, programs = World(WORDS_SEED, skewed=False), Programs()
    rng = world.rng
    scores = {high: Score() for high in (*SIZES, 0)}
    for high, holds in itertools.product(SIZES, (True, False)):
        for _ in range(each // 3):
            sign = rng.choice(SALE)
            other = rng.choice([text for text in SALE if text != sign])
            shown = paint(draw(world.scene()).pixels, sign, high, rng)
            _look(programs, shown, sign if holds else other, scores[high], holds=holds)
    for _ in range(each // 3):  # nothing written: is anything read into a drawing?
        pixels = draw(world.scene()).pixels.repeat(LARGE, 0).repeat(LARGE, 1)
        _look(programs, Picture.of(pixels), rng.choice(SALE), scores[0], holds=False)
    names = {high: f"letters of {high} pixels" if high else "nothing written" for high in scores}
    rows = [[names[high], *score.row()] for high, score in scores.items()]
    text = table(["", *COLUMNS], rows) + "\n"
    return ["Words painted into scenes of 576 x 576 pixels, half of them asked for\n", text], {
        f"words/{names[high]}": asdict(score) for high, score in scores.items()
    }


def _look(programs: Programs, shown: Picture, text: str, score: Score, *, holds: bool) -> None:
    call = call_of({"words": text})
    programs.problem(call, detects=False)
    begun = time.perf_counter()
    (finding,) = programs.look([Look(shown, call)], None)
    score.seconds += time.perf_counter() - begun
    outcome = {True: "violated", False: "not_violated", None: "undecided"}[finding.holds]
    score.add(outcome, holds=holds)


# --- what a rule costs ----------------------------------------------------------------------------

COSTLY = {
    "an armed person among several": ("a person is holding a gun", "person", 2),
    "a dog beside an armed child": ("a child is holding a weapon", "dog", 1),
    "a fire beside a vehicle": ("a fire is burning on the ground", "vehicle", 1),
}
"""Rules of a statement and a program that has to hold too."""


def costs(each: int) -> tuple[list[str], dict[str, object]]:
    world = World(COST_SEED, skewed=False)
    pictures = [Picture.of(draw(world.scene()).pixels).pixels for _ in range(2 * each)]
    rows, numbers = [], {}
    models = Models.opened("hf:sketch", None, "default", None)
    with closing(models):
        for name, (text, thing, least) in COSTLY.items():
            gate = Precondition.of(call_of({"count": {thing: {"at_least": least}}}))
            asked = Precondition(statement=text)
            for how, condition in (
                ("statement alone", asked),
                ("with the program", AllOf(all=(asked, gate))),
            ):
                judge = Judge(
                    Constitution(name="one", rules=(rule(condition),)),
                    models,
                    POLICY,
                )
                _ = judge.notes
                begun = time.perf_counter()
                results: list[Judgment] = list(judge(pictures))  # type: ignore[arg-type]
                seconds = (time.perf_counter() - begun) / len(pictures)
                asks = sum(r.usage.probes for r in results) / len(results)
                rows.append([f"{name}: {how}", f"{asks:.2f}", f"{seconds:.3f}"])
                numbers[f"cost/{name}/{how}"] = {"questions": asks, "seconds": seconds}
    text = table(["rule", "questions", "seconds"], rows) + "\n"
    return [
        f"What a rule costs a picture, of {len(pictures)} scenes of the even world\n",
        text,
    ], numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=150)
    args = parser.parse_args()
    parts: list[str] = []
    numbers: dict[str, object] = {}
    for measured in (in_scenes, words, costs):
        found, values = measured(args.each)
        parts += found
        numbers |= values
    record("programs", numbers, "\n".join(parts))


if __name__ == "__main__":
    main()
