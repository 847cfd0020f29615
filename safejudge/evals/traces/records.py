"""Steps of a judge's traces as people marked them: an export of Label Studio -> marks.

A task is one step: a statement that was asked for a rule and what came of it, or, last, what the
rule came to. `journal export --format steps` writes tasks, with what is scored in their data. What
cannot be used is counted by why, and never filled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.evals import recorded
from safejudge.text import counted

STEP, MARK, KIND, WHY = "step", "mark", "kind", "why"
"""Names in the labeling config: what is marked, and three answers."""
RIGHT, WRONG, CANNOT_TELL = "right", "wrong", "cannot tell"
KINDS = {
    "not seen": "what the picture shows was overlooked",
    "misread": "what was seen was taken for something else",
    "wrong region": "it is about another part of the picture",
    "unread": "it was left open, and the picture settles it",
    "by program": "a program read, counted or placed wrongly",
    "condition": "the statements are right, and the rule means something else",
}
"""What can be wrong with a step of a trace."""
CONCLUSION = "condition"
"""The stage of the last step: what the rule's condition makes of its statements."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trace."""

    image: str
    """Sha256 of the image."""
    rule: str
    place: int
    """From 1; the conclusion is last."""
    stage: str
    """The test that decided, or `CONCLUSION`."""
    said: str
    """What came of it."""
    score: float | None
    text: str
    model: str

    @property
    def trace(self) -> tuple[str, str, str]:
        """What the steps of one trace have in common."""
        return self.model, self.image, self.rule


@dataclass(frozen=True, slots=True)
class Mark:
    """What one person says of a step."""

    right: bool | None
    """None: nobody can tell."""
    kind: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Everything that was found in a folder."""

    marks: Mapping[Step, Mapping[str, Mark]]
    """By step and by who said so."""
    left_out: Mapping[str, int]
    unread: tuple[str, ...]


def read(folder: Path) -> Marked:
    """Read every export below a folder."""
    marks: dict[Step, dict[str, Mark]] = {}
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        foreign = 0
        for record in lines.records:
            step = step_of(record.get("data"))
            foreign += step is None
            if step is not None:
                of_step = marks.setdefault(step, {})
                for who, mark in _marks(record.get("annotations"), left_out):
                    of_step[who] = mark
        if foreign:
            unread.append(
                f"{lines.file}: {foreign} of {counted(len(lines.records), 'record')} are no steps "
                "of a trace"
            )
    return Marked(marks, left_out, tuple(unread))


def step_of(data: Any) -> Step | None:
    """The step that a task is about; None where its data is another's."""
    if not isinstance(data, dict):
        return None
    names = ("id", "rule", "stage", "said", STEP, "model")
    words = [recorded.word(data.get(name)) for name in names]
    place, score = recorded.integer(data.get("place")), recorded.number(data.get("score"))
    if not all(words) or place is None or place < 1:
        return None
    image, rule, stage, said, text, model = words
    return Step(image, rule, place, stage, said, score, text, model)


def _marks(annotations: Any, left_out: Counter[str]) -> Iterator[tuple[str, Mark]]:
    """Yield who said what, the latest last."""
    if not isinstance(annotations, list) or not annotations:
        left_out["task without an annotation"] += 1
        return
    usable = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    left_out["annotation that was skipped or cancelled"] += len(annotations) - len(usable)
    for annotation in sorted(usable, key=lambda a: recorded.word(a.get("updated_at"))):
        who, mark = _who(annotation.get("completed_by")), mark_of(annotation.get("result"))
        if isinstance(mark, str):
            left_out[mark] += 1
        elif not who:
            left_out["annotation of nobody"] += 1
        else:
            yield who, mark


def _who(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return recorded.word(value)


def mark_of(result: Any) -> Mark | str:
    """What an annotation says of its step, or why it says nothing."""
    said: dict[str, list[Any]] = {}
    for part in result if isinstance(result, list) else ():
        value = part.get("value") if isinstance(part, dict) else None
        if isinstance(value, dict):
            listed = value.get("choices") or value.get("text") or ()
            said.setdefault(recorded.word(part.get("from_name")), []).extend(
                listed if isinstance(listed, list) else [listed]
            )
    marks, kinds = (said.get(name, []) for name in (MARK, KIND))
    if len(marks) != 1 or marks[0] not in (RIGHT, WRONG, CANNOT_TELL):
        return "annotation without one of right, wrong and cannot tell"
    if len(kinds) > 1 or (kinds and kinds[0] not in tuple(KINDS)):
        return "annotation with a kind that is unknown, or with two"
    right = {RIGHT: True, WRONG: False, CANNOT_TELL: None}[marks[0]]
    # The kind of a step that is not wrong is what is left of a changed mind.
    kind = kinds[0] if kinds and right is False else None
    return Mark(right, kind, " ".join(map(recorded.word, said.get(WHY, ()))))
