"""Lines of pictures under policies: what is true of each, and what a guard said.

Three forms, told by their fields. PolicyShiftBench (arXiv 2607.05910): {image_idx, section_id,
policy_name, label, tier, violated_categories}, judged with {prediction, raw_response}. SafeGuard-VL
(arXiv 2603.01228) on SafeEditBench: {image_path, safety_label, policy_name or policy_level, policy,
prediction}; on UnsafeBench: {image, ground_truth, category, model_answer}, where the policy is one.
A file of judged lines is one judge's, whose name it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.evals import recorded
from safejudge.evals.policyshift.replies import REASONS, Said, label_of, read_reply
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.types import JSON

RED_LINE = "universally_unsafe"
"""The tier of what every policy forbids."""
_FIRST = {
    "image": ("image_idx", "image_path", "image"),
    "section": ("section_id", "category"),
    "policy": ("policy_name", "policy_level", "policy"),
    "label": ("label", "safety_label", "ground_truth", "answer"),
}
"""Under which names the parts of a line stand; the first that is there counts."""
_SAID = ("raw_response", "prediction", "model_answer")


@dataclass(frozen=True, slots=True)
class Item:
    """One picture under one policy."""

    image: str
    section: str
    """The category of risk whose policies differ; empty where there is none."""
    policy: str
    unsafe: bool
    tier: str = ""
    kinds: tuple[int, ...] = ()
    """Categories that the picture violates."""

    @property
    def key(self) -> str:
        """The same in every run on the same data."""
        return f"{self.image}/{self.section}/{self.policy}"

    @property
    def group(self) -> tuple[str, str]:
        """What policies are compared about."""
        return self.image, self.section


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge said."""

    judge: str
    file: str
    rows: tuple[tuple[Item, Said], ...]
    left_out: Mapping[str, int]


def read(folder: Path) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """Read every file of judged lines below a folder; and what was not understood."""
    found: dict[str, list[JSON]] = {}
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        judged = [record for record in lines.records if any(name in record for name in _SAID)]
        if judged:
            found[lines.file] = judged
        if foreign := len(lines.records) - len(judged):
            unread.append(
                f"{lines.file}: {foreign} of {counted(len(lines.records), 'record')} hold no "
                "verdict of a guard"
            )
    judges = recorded.judges_of(found).items()
    return tuple(_judged(judge, file, found[file]) for file, judge in judges), tuple(unread)


def _judged(judge: str, file: str, records: list[JSON]) -> Judged:
    rows: dict[str, tuple[Item, Said]] = {}
    left_out: Counter[str] = Counter()
    for record in records:
        item = item_of(record)
        if isinstance(item, str):
            left_out[item] += 1
        elif item.key in rows:
            left_out[
                "line about a picture and policy that were there before; the first counts"
            ] += 1
        else:
            rows[item.key] = item, said_of(record)
    return Judged(judge, file, tuple(rows.values()), left_out)


def item_of(record: JSON) -> Item | str:
    """What is true of a line, or why it cannot be used."""
    value = {part: _first(record, names) for part, names in _FIRST.items()}
    image, section, policy = (recorded.word(value[n]) for n in ("image", "section", "policy"))
    unsafe = label_of(value["label"])
    if not image:
        return "line without a picture"
    if unsafe is None:
        return "line without a label (safe or unsafe, pass or block)"
    kinds = record.get("violated_categories")
    ids = [recorded.integer(kind) for kind in kinds] if isinstance(kinds, list) else []
    known = tuple(kind for kind in ids if kind is not None)
    return Item(image, section, policy, unsafe, recorded.word(record.get("tier")), known)


def _first(record: JSON, names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def said_of(record: JSON) -> Said:
    """What a judged line says: its reply in words, and the verdict that a released reader made."""
    reader = label_of(record.get("prediction"))
    if "raw_response" in record:
        return replace(read_reply(record["raw_response"]), published=reader)
    if "model_answer" in record:
        said = read_reply(record["model_answer"])
        return replace(said, published=label_of(record["model_answer"]))
    return Said(reader, why="" if reader is not None else REASONS[1], published=reader)
