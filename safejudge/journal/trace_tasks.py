"""Traces of judgments as steps that people mark in Label Studio.

Takes judgments; gives a task for each statement that was asked for a rule, and one for what the
rule came to, with a labeling config: right, wrong or cannot tell; what is wrong; why. What people
say is read by the suite `traces`. A task shows the picture, the rule, the statement and what was
said of it; the test and the score stand in its data and are not shown, so that they sway nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from safejudge.evals.traces.records import (
    CANNOT_TELL,
    CONCLUSION,
    KIND,
    KINDS,
    MARK,
    RIGHT,
    STEP,
    WHY,
    WRONG,
)
from safejudge.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.journal.rows import Kept
    from safejudge.types import JSON, Constitution

_SAYS = {"yes": "Yes", "no": "No", "undecided": "Undecided"}


def config() -> str:
    """Write the labeling config (XML)."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value="$image", zoom="true")
    ET.SubElement(view, "Header", value="$about", size="5")
    ET.SubElement(view, "Text", name=STEP, value=f"${STEP}")
    answers = {MARK: (RIGHT, WRONG, CANNOT_TELL), KIND: tuple(KINDS)}
    for name, choices in answers.items():
        tag = ET.SubElement(view, "Choices", name=name, toName=STEP, choice="single-radio")
        tag.set("showInline", "true")
        for choice in choices:
            ET.SubElement(tag, "Choice", value=choice, hint=KINDS.get(choice, choice))
    ET.SubElement(view, "TextArea", name=WHY, toName=STEP, rows="2", maxSubmissions="1")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


@dataclass(frozen=True, slots=True)
class StepTasks:
    """Makes tasks of judgments that one version of the rules made."""

    rules: Constitution
    model: str
    """What judged."""
    address: Callable[[Kept], str]
    """Where Label Studio finds a picture."""

    def tasks(self, kept: Kept) -> Iterator[JSON]:
        """Make a task of every step of a judgment; rules that were not asked have none."""
        texts = {rule.id: clean(one_line(rule.text)) for rule in self.rules.rules}
        for rule, verdict in kept.record["rules"].items():
            steps = list(_steps(verdict))
            for place, step in enumerate(steps, 1):
                about = (
                    f"{rule}: {texts.get(rule, '')} (step {place} of {len(steps)}{_seen(verdict)})"
                )
                data = {
                    "image": self.address(kept), "id": kept.image_id, "name": kept.image,
                    "model": self.model, "about": about, "rule": rule, "place": place,
                }  # fmt: skip
                yield {"data": data | step}


def _steps(verdict: JSON) -> Iterator[JSON]:
    asked = verdict["preconditions"]
    for leaf in asked:
        said = f'{_SAYS[leaf["outcome"]]}: "{clean(one_line(leaf["statement"]))}"'
        yield {STEP: said, "stage": leaf["test"], "said": leaf["outcome"], "score": leaf["score"]}
    if asked:
        outcome = verdict["outcome"]
        said = f"So the rule is {outcome.replace('_', ' ')}."
        yield {STEP: said, "stage": CONCLUSION, "said": outcome, "score": verdict["score"]}


def _seen(verdict: JSON) -> str:
    """Which frame it is about, of several."""
    frame = verdict.get("frame")
    return "" if frame is None else f", frame {frame}; the first is 0"
