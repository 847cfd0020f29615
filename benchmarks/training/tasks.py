"""What the sketch judge is taught: rows of one picture and many questions about it.

A row is one shared prefix (instruction and pictures) and several independent suffixes, which the
trainer packs into one sequence so that the picture is encoded once. Every form that the library
ever asks is here: yes/no with none, one and two pictures, captions beside the picture, ratings on
three scales, choices, whole rules and whole constitutions, reasoning followed by JSON,
descriptions, and pictures that are no drawn scenes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge import prompts
from safejudge.sketch.drawing.draw import Drawing, draw
from safejudge.sketch.drawing.not_scenes import foreign_picture
from safejudge.sketch.world.describe import describe, is_reserved
from safejudge.sketch.world.questions import Facts, World
from safejudge.sketch.world.statements import UNCLEAR

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from safejudge.sketch.world.scene import Scene

    Pixels = npt.NDArray[np.uint8]

NOT_A_SCENE = "This picture is not a drawn scene, so the statement cannot be checked."


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the reply to learn."""

    question: str
    answer: str
    conclusion: str = ""
    """What ends the answer and decides it; it weighs like an answer or more, not like prose."""
    given: bool = False
    """The answer is there to be read; only the conclusion is learned."""


@dataclass(frozen=True, slots=True)
class Row:
    """One prefix and the suffixes that follow it independently of each other."""

    instruction: str
    pictures: tuple[Pixels, ...]
    suffixes: tuple[tuple[Turn, ...], ...]
    drawings: tuple[tuple[Scene, Drawing], ...] = ()
    """The scenes behind the pictures, where the vision tower goes on learning its patch labels."""


# --- descriptions -------------------------------------------------------------------------------


# --- compositions -------------------------------------------------------------------------------


_SHAPES: tuple[tuple[str, int, Callable[..., bool]], ...] = (
    ("{0}, and {1}", 2, lambda a, b: a and b),
    ("either {0} or {1}", 2, lambda a, b: a or b),
    ("{0} or {1}", 2, lambda a, b: a or b),
    ("{0}, unless {1}", 2, lambda a, b: a and not b),
    ("either {0} or {1}, unless {2}", 3, lambda a, b, c: (a or b) and not c),
    ("{0}, and either {1} or {2}", 3, lambda a, b, c: a and (b or c)),
    ("{0}, and {1}, and {2}", 3, lambda a, b, c: a and b and c),
)


def compose(world: World, facts: Facts) -> tuple[str, bool]:
    """Draw a sentence of two or three statements, as whole rules are worded, and its label."""
    rng = world.rng
    want = rng.random() < 0.5
    while True:
        shape, arity, combine = rng.choice(_SHAPES)
        parts = [facts.ask(share=rng.choice((0.2, 0.5, 0.8))) for _ in range(arity)]
        texts = {statement.text for statement, _ in parts}
        if len(texts) < arity or is_reserved(texts):
            continue
        if combine(*(label for _, label in parts)) == want:
            text = shape.format(*(s.text for s, _ in parts))
            return text[0].upper() + text[1:] + ".", want


def _styled(world: World, text: str) -> str:
    """Write one statement in ten as a sentence with capital and full stop."""
    return text[0].upper() + text[1:] + "." if world.rng.random() < 0.1 else text


# --- rows ---------------------------------------------------------------------------------------

_WORD = {True: "Yes", False: "No"}


def _question(world: World, facts: Facts) -> tuple[str, bool]:
    if world.rng.random() < 0.15:
        return compose(world, facts)
    statement, label = facts.ask()
    return _styled(world, statement.text), label


def yes_no_row(world: World, count: int) -> Row:
    """Yes/no questions about one picture; one in twenty with a caption, which may be wrong."""
    scene = world.scene()
    facts = Facts(world, scene)
    suffixes: list[tuple[Turn, ...]] = []
    texts: set[str] = set()
    while len(suffixes) < count:
        text, label = _question(world, facts)
        if text in texts:
            continue
        texts.add(text)
        caption = None
        if world.rng.random() < 0.05:
            caption = describe(scene if world.rng.random() < 0.5 else world.scene())
        suffixes.append((Turn(prompts.statement_question(text, caption), _WORD[label]),))
    drawing = draw(scene)
    return Row(prompts.ASK, (drawing.pixels,), tuple(suffixes), ((scene, drawing),))


def no_image_row(world: World, count: int) -> Row:
    """The same questions without the picture: what is usually answered."""
    turns = []
    for _ in range(max(1, count // 6)):
        facts = Facts(world, world.scene())
        for _ in range(6):
            text, label = _question(world, facts)
            turns.append((Turn(prompts.statement_question(text), _WORD[label]),))
    return Row(prompts.ASK, (), tuple(turns[:count]))


_CONCLUSION = {
    "Yes": "So the statement is true.",
    "No": "So the statement is not true.",
    "Unsure": "People may disagree about the statement.",
}


def _json(rationale: str, rating: str) -> str:
    """The reply in the compact form that schemas are forced into."""
    return json.dumps({"rationale": rationale, "rating": rating}, separators=(",", ":"))


def _reasoned(question: str, description: str, conclusion: str, rating: str) -> tuple[Turn, ...]:
    reply = _json(conclusion, rating)
    return (Turn(question, description, conclusion), Turn(prompts.SUMMARISE, reply))


SELDOM = 0.25
"""Share of reasonings that end in yes, late in training: the cascade is asked about what is open,
and of that less is true than of balanced questions."""


def _to_reason(world: World, scene: Scene, share: float | None) -> tuple[str, str]:
    """A statement or composition, and its rating."""
    facts = Facts(world, scene)
    if world.rng.random() < 0.15:
        text, label = compose(world, facts)
        return text, _WORD[label]
    statement, label = facts.ask(share=share)
    unsure = 0.45 < statement.holds(scene) < 0.55 and world.rng.random() < 0.5
    return statement.text, "Unsure" if unsure else _WORD[label]


def reason_row(world: World, summarised: float = 1.0, share: float | None = None) -> Row:
    """Free reasoning, then JSON (in a share of rows)."""
    scene = world.scene()
    text, rating = _to_reason(world, scene, share)
    description = "The picture shows " + describe(scene)
    turns = _reasoned(prompts.statement_question(text), description, _CONCLUSION[rating], rating)
    if summarised < 1.0 and world.rng.random() >= summarised:
        turns = turns[:1]
    return Row(prompts.REASON, (draw(scene).pixels,), (turns,))


def reading_row(world: World, count: int) -> Row:
    """Conclusions from descriptions of *other* pictures: what has been named is what counts.

    Without these the conclusion is read off the picture again, past the description, and a
    reasoning can only repeat the answer that was undecided.
    """
    suffixes: list[tuple[Turn, ...]] = []
    for _ in range(count):
        scene = world.scene()
        text, rating = _to_reason(world, scene, SELDOM)
        description = "The picture shows " + describe(scene)
        question = prompts.statement_question(text)
        suffixes.append((Turn(question, description, _CONCLUSION[rating], given=True),))
    return Row(prompts.REASON, (draw(world.scene()).pixels,), tuple(suffixes))


def describe_row(world: World) -> Row:
    """A description of one picture."""
    scene = world.scene()
    return Row(prompts.DESCRIBE, (draw(scene).pixels,), ((Turn("", describe(scene)),),))


def rating_row(world: World, count: int) -> Row:
    """Ratings: the share of a text's parts that are true, on one of three scales."""
    instruction, labels = world.rng.choice((
        (prompts.RATE_5, tuple("12345")),
        (prompts.RATE_10, tuple(str(n) for n in range(1, 11))),
        (prompts.RATE_WORDS, prompts.RATING_WORDS),
    ))  # fmt: skip
    scene = world.scene()
    facts = Facts(world, scene)
    suffixes: list[tuple[Turn, ...]] = []
    while len(suffixes) < count:
        parts = [facts.ask(share=world.rng.random()) for _ in range(world.rng.randint(1, 4))]
        if is_reserved(statement.text for statement, _ in parts):
            continue
        share = sum(label for _, label in parts) / len(parts)
        text = ", and ".join(statement.text for statement, _ in parts)
        answer = labels[round(share * (len(labels) - 1))]
        suffixes.append((Turn(prompts.statement_question(text), answer),))
    return Row(instruction, (draw(scene).pixels,), tuple(suffixes))


def choice_row(world: World, count: int) -> Row:
    """Two statements, one of which is true."""
    scene = world.scene()
    facts = Facts(world, scene)
    suffixes = []
    for _ in range(count):
        right, _ = facts.ask(share=1.0)
        wrong, _ = facts.ask(share=0.0)
        pair, answer = (right, wrong), "A"
        if world.rng.random() < 0.5:
            pair, answer = (wrong, right), "B"
        question = prompts.choice_question(pair[0].text, pair[1].text)
        suffixes.append((Turn(question, answer),))
    return Row(prompts.CHOOSE, (draw(scene).pixels,), tuple(suffixes))


def compare_row(world: World, count: int) -> Row:
    """Two pictures: which one fits a statement or a description."""
    scenes = (world.scene(), world.scene())
    facts = [Facts(world, scene) for scene in scenes]
    suffixes: list[tuple[Turn, ...]] = []
    while len(suffixes) < count:
        side = world.rng.randrange(2)
        statement, _ = facts[side].ask(share=1.0)
        text = statement.text
        if world.rng.random() < 0.2:
            text = describe(scenes[side])
        elif statement.holds(scenes[side]) <= statement.holds(scenes[1 - side]):
            continue
        answer = ("First", "Second")[side]
        suffixes.append((Turn(prompts.statement_question(text), answer),))
    return Row(prompts.COMPARE, tuple(draw(s).pixels for s in scenes), tuple(suffixes))


def two_picture_row(world: World, count: int) -> Row:
    """Yes/no questions about one of two pictures."""
    scenes = (world.scene(), world.scene())
    facts = [Facts(world, scene) for scene in scenes]
    suffixes = []
    for _ in range(count):
        side = world.rng.randrange(2)
        statement, label = facts[side].ask()
        text = f"in the {('first', 'second')[side]} picture, {statement.text}"
        suffixes.append((Turn(prompts.statement_question(text), _WORD[label]),))
    return Row(prompts.ASK, tuple(draw(s).pixels for s in scenes), tuple(suffixes))


def rules_row(world: World, *, reasoned: bool) -> Row:
    """A whole constitution in one question: does the picture match any of its rules."""
    scene = world.scene()
    facts = Facts(world, scene)
    want = world.rng.random() < 0.5
    rules: list[str] = []
    matched: list[int] = []
    hit = world.rng.randint(1, 12)
    for number in range(1, world.rng.randint(max(2, hit), 12) + 1):
        text, label = compose(world, facts)
        while label and not (want and number == hit):
            text, label = compose(world, facts)
        while want and number == hit and not label:
            text, label = compose(world, facts)
        rules.append(text)
        if label:
            matched.append(number)
    question = prompts.rules_question(rules)
    pixels = (draw(scene).pixels,)
    if not reasoned:
        return Row(prompts.RULES, pixels, ((Turn(question, _WORD[bool(matched)]),),))
    verdict = f"It matches rule {matched[0]}." if matched else "It matches none of the rules."
    description = "The picture shows " + describe(scene)
    suffix = _reasoned(question, description, verdict, _WORD[bool(matched)])
    return Row(prompts.REASON_RULES, pixels, (suffix,))


def foreign_row(world: World, count: int, *, reasoned: bool) -> Row:
    """Questions about a picture that is no drawn scene."""
    facts = Facts(world, world.scene())
    pixels = (foreign_picture(world.noise),)
    suffixes = []
    for _ in range(count):
        text, _ = _question(world, facts)
        question = prompts.statement_question(text)
        turns: tuple[Turn, ...] = (Turn(question, UNCLEAR),)
        if reasoned:
            turns = _reasoned(question, "", NOT_A_SCENE, "Unsure")
        suffixes.append(turns)
    return Row(prompts.REASON if reasoned else prompts.ASK, pixels, tuple(suffixes))


def step_rows(world: World, stage: int = 0) -> list[Row]:
    """The rows of one training step; later stages (0 to 2) teach more of reasoning.

    Descriptions and JSON are learned first, then what follows from what is seen, then what
    follows from what was named.
    """
    rows = [yes_no_row(world, 20) for _ in range((18, 17, 16)[stage])]
    rows += [no_image_row(world, 24)]
    match stage:
        case 0:
            rows += [reason_row(world) for _ in range(9)]
        case 1:
            rows += [reason_row(world, 0.35) for _ in range(14)]
        case _:
            rows += [reason_row(world, 0.35, SELDOM) for _ in range(8)]
            rows += [reading_row(world, 5) for _ in range(3)]
    rows += [describe_row(world)]
    rows += [rating_row(world, 6), choice_row(world, 6)]
    rows += [two_picture_row(world, 8) if world.rng.random() < 0.5 else compare_row(world, 8)]
    rows += [rules_row(world, reasoned=world.rng.random() < 0.4)]
    rows += [foreign_row(world, 6, reasoned=False), foreign_row(world, 6, reasoned=False)]
    rows += [foreign_row(world, 1, reasoned=True)]
    return rows
