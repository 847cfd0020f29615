"""The journal's images as tasks of Label Studio, and what people said there as decisions.

Takes judgments; gives tasks with the judge's verdicts as predictions, and the labeling config that
they belong to: of every rule one of the three verdicts that the journal knows. Takes back an export
(JSON) of Label Studio with its annotations. A rule that nobody answered stays unanswered.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from safejudge.errors import InputError
from safejudge.files.rows import Doubled, parse_json
from safejudge.journal.held import VERDICTS
from safejudge.journal.labels import names_of
from safejudge.journal.people import Said, decide, decisions
from safejudge.text import clean, counted, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from safejudge.journal.rows import Kept
    from safejudge.journal.store import Journal
    from safejudge.types import JSON, Constitution

IMAGE, REGIONS, RULE = "image", "regions", "rule-"
"""Names in the labeling config: the picture, boxes, and how the choices of rules begin."""
_OUTCOMES = {"violated": "violates", "not_violated": "does_not"}
_ID = re.compile("[0-9a-f]{64}")


# --- out ------------------------------------------------------------------------------------------


def config_of(rules: Constitution) -> str:
    """Write the labeling config (XML) of some rules."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=IMAGE, value=f"${IMAGE}", zoom="true")
    regions = ET.SubElement(view, "RectangleLabels", name=REGIONS, toName=IMAGE)
    for rule in rules.rules:
        ET.SubElement(regions, "Label", value=rule.id)
    for rule in rules.rules:
        said = clean(one_line(rule.text))
        ET.SubElement(view, "Header", value=f"{rule.id}: {said}", size="5")
        choices = ET.SubElement(
            view, "Choices", name=f"{RULE}{rule.id}", toName=IMAGE, choice="single-radio"
        )
        choices.set("showInline", "true")
        for verdict in VERDICTS:
            ET.SubElement(choices, "Choice", value=verdict)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """Makes tasks of judgments that one version of the rules made."""

    digests: Mapping[str, str]
    """Of the rules, so that an answer about another wording counts no more."""
    model: str
    """What judged, for `model_version`."""
    address: Callable[[Kept], str]
    """Where Label Studio finds a picture."""
    size: Callable[[Kept], tuple[int, int] | None]
    """Width and height of a picture, in pixels, where it can be looked up; boxes need them."""

    def task(self, kept: Kept) -> tuple[JSON, bool]:
        """Make a task of a judgment; say whether it had boxes and lost them."""
        boxes = list(_boxes(kept.record))
        size = self.size(kept) if boxes else None
        drawn = [] if size is None else [_rectangle(*box, size) for box in boxes]
        prediction = {
            "model_version": self.model,
            "score": kept.record["score"],
            "result": [*_choices(kept.record), *drawn],
        }
        if prediction["score"] is None:
            del prediction["score"]
        data = {IMAGE: self.address(kept), "id": kept.image_id, "name": kept.image}
        task = {"data": data | {"rules": dict(self.digests)}, "predictions": [prediction]}
        return task, bool(boxes) and size is None


def addressed(prefix: str, name: str) -> str:
    """Put a prefix before a name, of which signs that mean something in an address are escaped."""
    return prefix + quote(name, safe="/")


def _choices(record: JSON) -> Iterator[JSON]:
    """What the judge says of rules; of one that it could not settle, nothing."""
    for rule, verdict in record["rules"].items():
        if verdict["outcome"] in _OUTCOMES:
            yield {
                "id": f"{RULE}{rule}",
                "from_name": f"{RULE}{rule}",
                "to_name": IMAGE,
                "type": "choices",
                "value": {"choices": [_OUTCOMES[verdict["outcome"]]]},
            }


def _boxes(record: JSON) -> Iterator[tuple[str, int, JSON]]:
    """What was found for each rule, of still pictures: rule, number and box."""
    for rule, verdict in record["rules"].items():
        if verdict.get("frame") is None:
            found = [b for leaf in verdict["preconditions"] for b in leaf.get("boxes") or ()]
            for number, box in enumerate(found):
                if box not in found[:number]:
                    yield rule, number, box


def _rectangle(rule: str, number: int, box: JSON, size: tuple[int, int]) -> JSON:
    width, height = size
    return {
        "id": f"{rule}-{number}",
        "from_name": REGIONS,
        "to_name": IMAGE,
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": box["confidence"],
        "value": {
            "x": 100 * box["left"] / width,
            "y": 100 * box["top"] / height,
            "width": 100 * (box["right"] - box["left"]) / width,
            "height": 100 * (box["bottom"] - box["top"]) / height,
            "rotation": 0,
            "rectanglelabels": [rule],
        },
    }


# --- in -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Annotated:
    """What people said in Label Studio, and what of it says nothing."""

    said: list[tuple[Said, float]] = field(default_factory=list)
    """What, and when (seconds since 1970); the earliest first."""
    left_out: Counter[str] = field(default_factory=Counter)
    """By why."""

    def notes(self) -> list[str]:
        """Say what was left out, a sentence each."""
        return [f"left out: {count} {why}" for why, count in self.left_out.items()]


_CANCELLED = "annotations that were skipped or cancelled"
_EMPTY = "annotations that answer no rule"
_TASKS = "tasks without an annotation"
_STRANGE = "answers about images that the journal does not have"
_KNOWN = "answers that were taken in before"
_LATE = "answers of people who have said something else since"


def read_annotations(file: Path) -> Annotated:
    """Read an export. Raises `InputError`, with the task, for what cannot be meant so."""
    try:
        tasks = parse_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is no JSON ({error}); export as JSON") from error
    for part in tasks if isinstance(tasks, list) else [tasks]:
        if isinstance(part, Doubled):
            raise InputError(f"{file}: the key {quoted(part.key)} stands twice; export it again")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{file}: is no list of tasks; export as JSON, not as JSON-MIN or CSV")
    found = Annotated()
    for task in tasks:
        _Task(task, f"{file}: task {_word(task.get('id', '?'))}", found).read()
    found.said.sort(key=lambda pair: pair[1])
    return found


class _Task:
    """One task of an export."""

    def __init__(self, task: JSON, where: str, found: Annotated) -> None:
        self._task, self._where, self._found = task, where, found
        data = task.get("data")
        data = data if isinstance(data, dict) else {}
        self._image: Any = data.get("id")
        self._rules: Any = data.get("rules")

    def read(self) -> None:
        if not (_is_id(self._image) and _is_text(self._rules)):
            raise self._refused(
                "has no `id` and `rules` of a journal in its data; label what `journal export "
                "--format label-studio` wrote, and export as JSON"
            )
        annotations = self._task.get("annotations")
        if not isinstance(annotations, list):
            raise self._refused("has no list `annotations`; export as JSON, not as JSON-MIN")
        if not annotations:
            self._found.left_out[_TASKS] += 1
        for annotation in annotations:
            self._add(annotation)

    def _add(self, annotation: Any) -> None:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            raise self._refused("has an annotation without a list `result`")
        if annotation.get("was_cancelled"):
            self._found.left_out[_CANCELLED] += 1
            return
        choices = [r for r in annotation["result"] if not _is_of_type(r, "rectanglelabels")]
        if not choices:
            self._found.left_out[_EMPTY] += 1
            return
        reviewer = self._reviewer(annotation.get("completed_by"))
        note = f"Label Studio: annotation {_word(annotation.get('id'))} of task "
        note += f"{_word(self._task.get('id'))}, {_word(annotation.get('updated_at'))}"
        at = self._time(annotation.get("updated_at") or annotation.get("created_at"))
        given = dict(map(self._answer, choices))
        if len(given) < len(choices):
            raise self._refused("has an annotation that answers one rule twice")
        for rule, verdict in given.items():
            said = Said(self._image, rule, self._rules[rule], verdict, reviewer, note)
            try:
                said.check()
            except InputError as error:
                raise self._refused(f"is refused: {error}") from error
            self._found.said.append((said, at))

    def _answer(self, result: Any) -> tuple[str, Any]:
        """Read one result: rule and verdict."""
        if not _is_of_type(result, "choices"):
            raise self._refused("has a result that is neither a choice nor a box")
        name = _word(result.get("from_name"))
        rule = name.removeprefix(RULE)
        if not name.startswith(RULE) or rule not in self._rules:
            raise self._refused(f"has a choice of {quoted(name)}, which is no rule of its data")
        value = result.get("value")
        chosen = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(chosen, list) or len(chosen) != 1 or chosen[0] not in VERDICTS:
            known = ", ".join(VERDICTS)
            raise self._refused(
                f"has the choice {quoted(str(chosen))} of {rule}; there are {known}, one for a rule"
            )
        return rule, chosen[0]

    def _time(self, text: Any) -> float:
        """Read when somebody said so: a decision that was made later is not undone by it."""
        try:
            at = datetime.fromisoformat(text)
        except (TypeError, ValueError) as error:
            problem = f"has an annotation without a time ({quoted(_word(text))})"
            raise self._refused(f"{problem}; `updated_at` is one") from error
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()

    def _reviewer(self, who: Any) -> str:
        """Name who annotated: by address where the export has it, else by number."""
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        if isinstance(who, str) and who.strip():
            return who.strip()
        if isinstance(who, int) and not isinstance(who, bool):
            return f"user {who}"
        raise self._refused("has an annotation of nobody; `completed_by` says who made it")

    def _refused(self, problem: str) -> InputError:
        return InputError(f"{self._where}: {problem}")


def _is_of_type(result: Any, kind: str) -> bool:
    return isinstance(result, dict) and result.get("type") == kind


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_text(rules: Any) -> bool:
    return isinstance(rules, dict) and all(
        isinstance(value, str) and 0 < len(value) <= 16 for value in rules.values()
    )


def _word(value: Any) -> str:
    return str(value)[:80]


def take_in(journal: Journal, found: Annotated, *, reviewers: int = 1) -> int:
    """Keep decisions; return how many. Adds to `left_out` what is known, or of another journal.

    Raises `InputError` where the journal has none of the images.
    """
    names = names_of(journal, dict.fromkeys(said.image_id for said, _ in found.said))
    if found.said and not names:
        raise InputError(
            f"{journal.name}: has none of the {counted(len(found.said), 'answer')}' images; name "
            "the journal that the tasks come from"
        )
    known: set[tuple[str, ...]] = set()
    latest: dict[tuple[str, ...], float] = {}
    for one in decisions(journal, standing=False):
        about = one.image_id, one.rule, one.reviewer
        known.add((*about, one.verdict, one.note))
        latest[about] = max(latest.get(about, 0.0), one.at, one.withdrawn_at or 0.0)
    count = 0
    for said, at in found.said:
        about = said.image_id, said.rule, said.reviewer
        if said.image_id not in names:
            found.left_out[_STRANGE] += 1
        elif (*about, said.verdict, said.note) in known:
            found.left_out[_KNOWN] += 1
        elif at < latest.get(about, 0.0):
            found.left_out[_LATE] += 1
        else:
            decide(journal, said, reviewers=reviewers)
            count += 1
    return count
