"""Multimodal RewardBench (arXiv 2502.14191): recorded scores of two answers, and answer files.

Two kinds of file, told by their fields. A table of triplets has a judge's score of each answer by
itself, perhaps with the log-probabilities of "1" to "5"; an answer file, which the leaderboard
takes, has a judge's words on both at once. An id may stand twice: it is a key only together with
how often it stood before.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from safejudge.errors import OutputError
from safejudge.evals import recorded
from safejudge.evals.replies import Slot, Verdict, read_verdict
from safejudge.evals.stats.agreement import LEVELS, weighted_score
from safejudge.evals.stats.intervals import grouped
from safejudge.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.types import JSON

DOMAINS = (
    "general_correctness", "general_preference", "knowledge", "reasoning", "safety", "vqa",
)  # fmt: skip
"""Those of the benchmark."""
Verdicts = Mapping[str, Verdict | None]
Scores = Mapping[str, tuple[float, float]]
EMPTY = "rows without any score (tries that were run again)"


@dataclass(frozen=True, slots=True)
class Output:
    """What one file says on one triplet."""

    file: str
    """Where it stood."""
    id: str
    """The benchmark's id of the triplet."""
    repeat: int
    """How often the id stood before in this file."""
    category: str
    """As the benchmark has it."""
    image: str
    """Path of the picture; empty where none is told."""
    label: Slot
    """The better answer."""
    verdicts: Verdicts
    """By protocol (`weighted`, `written`, `verdict`, `letters`), the main one first; None is
    unread."""
    scores: Scores
    """Of both answers, by protocol; only where both were read. Of `letters`, how probable each
    is."""
    text: str | None = None
    """The judge's words, of an answer file."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    files: Mapping[str, tuple[Output, ...]]
    """Outputs by the name of their judge: the file's, without suffix and `triplets_`."""
    left_out: Mapping[str, int]
    """Why records were left out, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def domain(category: str) -> str:
    """The domain of a category; one that the benchmark does not have is marked as `other/`."""
    domains = {
        "open_generation/correctness_task": "general_correctness",
        "open_generation/preference_task": "general_preference",
        **{name: name for name in DOMAINS},
    }
    return domains.get(category, f"other/{category}")


def part(category: str, number: str) -> str | None:
    """The part of a domain that an id belongs to, for the two domains that have parts."""
    start = number.lower()
    if category == "safety":
        return "safety/bias" if start.startswith("pairs") else "safety/toxicity"
    if category == "reasoning":
        return "reasoning/math" if start.startswith("math") else "reasoning/coding"
    return None


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    files: dict[str, tuple[Output, ...]] = {}
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        outputs: list[Output] = []
        copies: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for record in lines.records:
            output = _output(record, lines.file, copies)
            if isinstance(output, Output):
                outputs.append(output)
                copies[output.id] += 1
            else:
                reasons[output] += 1
        foreign = reasons.pop(_FOREIGN, 0)
        if foreign:
            unread.append(f"{lines.file}: {foreign} of {len(lines.records)} records are {_FOREIGN}")
        left_out += reasons
        if outputs:
            files[_judge(lines.file, files)] = tuple(outputs)
    return Recorded(files, dict(left_out), tuple(unread))


_FOREIGN = "neither triplets with scores nor answers"


def _judge(file: str, names: Iterable[str]) -> str:
    path = PurePosixPath(file)
    name = path.stem.removeprefix("triplets_") or path.stem
    # Two files of one name lie in different folders, or differ in suffix.
    return name if name not in names else file


def _output(record: JSON, file: str, copies: Mapping[str, int]) -> Output | str:
    """One record read, or why it is left out."""
    number = recorded.word(record.get("ID"))
    better = record.get("Better", record.get("Label"))
    scored = {"ID", "Better", "score1", "score2"} <= record.keys()
    if not scored and not {"ID", "Label", "output"} <= record.keys():
        return _FOREIGN
    if scored and not any(recorded.word(record[name]) for name in ("score1", "score2")):
        return EMPTY
    label: Slot | None = LABELS.get(better.strip()) if isinstance(better, str) else None
    if not number or label is None:
        return "the id or the label is missing or unreadable"
    meta = record.get("Meta")
    category = record.get("Category", meta.get("Category") if isinstance(meta, dict) else None)
    head = (file, number, copies.get(number, 0), recorded.word(category) or "(none)",
            recorded.word(record.get("Image")), label)  # fmt: skip
    if scored:
        return Output(*head, *_compared(record))
    text = record["output"]
    return Output(*head, {"verdict": read_verdict(text)}, {},
                  storable(text) if isinstance(text, str) else None)  # fmt: skip


LABELS: dict[str, Slot] = {"Output1": "A", "Output2": "B", "A": "A", "B": "B"}
"""The better answer, as files name it."""


def _compared(record: JSON) -> tuple[Verdicts, Scores]:
    """The better answer by written scores and by those that the probabilities make."""
    written = [_written(record[name]) for name in ("score1", "score2")]
    protocols = {"written": written}
    columns = [[f"o{side}_lp{level}" for level in LEVELS] for side in (1, 2)]
    if all(name in record for names in columns for name in names):
        # A score that was not read has no token whose alternatives could be looked at.
        pairs = zip(written, columns, strict=True)
        weighted = [None if score is None else _weighted(record, names) for score, names in pairs]
        protocols = {"weighted": weighted, "written": written}
    scores = {
        name: (first, second)
        for name, (first, second) in protocols.items()
        if first is not None and second is not None
    }
    return {name: compare(*scores[name]) if name in scores else None for name in protocols}, scores


def compare(first: float, second: float) -> Verdict:
    """Which of two scores is higher."""
    return "C" if first == second else "A" if first > second else "B"


def _weighted(record: JSON, names: Sequence[str]) -> float | None:
    logprobs = recorded.logprobs(record, names)
    if logprobs is None:
        return None
    weighted = weighted_score(logprobs)
    return weighted.score if weighted.missing < len(LEVELS) else None


def _written(value: Any) -> float | None:
    score = recorded.integer(value)
    return float(score) if score is not None and score in LEVELS else None


# --- both orders --------------------------------------------------------------------------------


def swapped_files(files: Mapping[str, Sequence[Output]]) -> dict[str, tuple[str, str]]:
    """Judges of which two files hold the same triplets with the answers swapped.

    One judge by name (but for a folder, and an ending such as `_swapped` or `_ba`), and every
    shared triplet labelled the other way round: the file says it, whatever the ending.
    """
    swapped = {}
    names = list(files)
    for base, rows in grouped(_ORDER.sub("", PurePosixPath(name).stem) for name in names).items():
        if len(rows) == 2:
            first, second = (names[row] for row in rows)
            shared = in_either_order(files[first], files[second])
            if shared and all(a.label != b.label for a, b in shared):
                swapped[base] = (first, second)
    return swapped


_ORDER = re.compile(r"(?i)[-_. ](swap(ped)?|reversed?|order[-_]?[12ab]|ab|ba)$")


def in_either_order(
    first: Sequence[Output], second: Sequence[Output]
) -> list[tuple[Output, Output]]:
    """Outputs of two files on the same triplets."""
    index = {(output.id, output.repeat): output for output in second}
    keys = [(output.id, output.repeat) for output in first]
    return [(output, index[key]) for output, key in zip(first, keys, strict=True) if key in index]


# --- answer files -------------------------------------------------------------------------------


def write_answers(samples: Sequence[JSON], path: Path) -> None:
    """Write the samples of one file as the leaderboard takes them, in their order.

    Where a sample has no words of the judge, its verdict stands alone: `[[A]]`, `[[B]]`, `[[C]]`
    for a tie, nothing for an unread one. The leaderboard's own reader takes the last two by coin.
    """
    files = {sample["file"] for sample in samples}
    if len(files) > 1:
        raise OutputError(
            f"answers of {len(files)} files for one answer file: {', '.join(sorted(files))}; "
            "write those of one"
        )
    lines = [json.dumps(_answer(sample), ensure_ascii=False) for sample in samples]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _answer(sample: JSON) -> JSON:
    verdict, words = sample["said"], sample.get("output")
    return {
        "ID": sample["id"],
        "Image": sample.get("image") or "",
        "Label": sample["label"],
        "output": words if words is not None else f"[[{verdict}]]" if verdict else "",
        "Meta": {"Category": sample["category"]},
    }
