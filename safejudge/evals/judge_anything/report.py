"""A live run of Judge Anything: records -> the tables of recorded marks, and what was not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals import harness
from safejudge.evals.answers import longer
from safejudge.evals.judge_anything import live, score
from safejudge.evals.judge_anything.records import BETWEEN, Judged, Key, Recorded, Setting, Task
from safejudge.evals.stats.intervals import share_of
from safejudge.evals.suite import Coverage
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from safejudge.evals.suite import EvalResult
    from safejudge.types import JSON

SECOND = ", second order"
"""Stands behind a judge's name where it saw the two answers of a pair the other way round."""


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    records = list(harness.recorded(out).values())
    description = harness.data_of(out)
    unsupported: dict[str, int] = description.get("unsupported", {})
    recorded, judges = _recorded(records, description.get("unread", ()), _model(out))
    result = score.score(recorded, judges)
    absent = [record for record in records if record["absent"]]
    lost = [record for record in records if "error" in record]
    lines = [
        f"{record['image']}: {name} was not shown ({why})."
        for record in absent
        for name, why in record["absent"].items()
    ]
    lines += [_same_answer(judge, records) for judge in dict.fromkeys(j.judge for j in judges)
              if not judge.endswith(SECOND)]  # fmt: skip
    moved = _moves(out)
    return replace(
        result,
        tables=(_kinds(records, unsupported), *result.tables, *longer.tables(moved)),
        numbers=result.numbers | longer.numbers(moved, _model(out)),
        findings=(*filter(None, lines), *result.findings),
        coverage=Coverage(
            len(records) - len(lost), len(absent), passed_over=sum(unsupported.values())
        ),
    )


def _model(out: Path) -> str:
    return str(harness.provenance_of(out).get("model", ""))


def _recorded(
    records: Sequence[JSON], unread: Sequence[str], model: str
) -> tuple[Recorded, list[Judged]]:
    """What was said, in the form of recorded outputs."""
    kinds: dict[str, str] = {}
    people: dict[Task, dict[Key, int]] = {"score": {}, "pair": {}}
    entries: dict[tuple[str, Setting, Task], dict[Key, list[JSON]]] = {}
    for record in records:
        if "error" in record:
            continue
        kinds[record["image"]] = record["label"]
        for task, item, answer, rubric, mark in record["people"]:
            # What nobody was shown was not judged, and is no fault of the judge's.
            if not set(answer.split(BETWEEN)) & set(record["absent"]):
                people[task][Key(item, answer, rubric)] = mark
        for entry in record.get("said", ()):
            key = Key(record["image"], entry["answer"], entry["rubric"])
            judge = f"{model}, {entry['reading']}{_order(entry)}"
            group = entries.setdefault((judge, entry["setting"], entry["task"]), {})
            group.setdefault(key, []).append(entry)
    judges = [
        Judged(judge, setting, task, f"{judge}, {setting}, {task}",
               {key: live.mark_of(said, task) for key, said in group.items()})
        for (judge, setting, task), group in entries.items()
    ]  # fmt: skip
    return Recorded(kinds, people, tuple(judges), {}, {}, (), tuple(unread)), judges


def _order(entry: JSON) -> str:
    return SECOND if entry.get("order", "AB") != "AB" else ""


def _same_answer(judge: str, records: Sequence[JSON]) -> str:
    """How often a pair got the same code in both orders."""
    reading = judge.rpartition(", ")[2]
    codes: dict[tuple[str, ...], list[int | None]] = {}
    for record in records:
        for entry in record.get("said", ()):
            if entry["task"] == "pair" and entry["reading"] == reading:
                name = (record["image"], entry["setting"], entry["answer"], entry["rubric"])
                codes.setdefault(name, []).append(live.mark_of([entry], "pair"))
    same = [two[0] is not None and two[0] == two[-1] for two in codes.values() if len(two) == 2]
    items = [name[0] for name, two in codes.items() if len(two) == 2]
    if not same:
        return ""
    return f"{judge}: the same answer in both orders of a pair {share_of(same, items).text()}."


def _moves(out: Path) -> longer.Moves:
    """What an answer that was blown up was given, and whether it was chosen, before and after."""
    scores: dict[str, list[longer.Score]] = {}
    choices: dict[str, list[longer.Choice]] = {}
    for plain, changed in longer.both(out):
        known = {_asked(entry): entry for entry in plain["said"]}
        for after in changed["said"]:
            before, group = known.get(_asked(after)), changed["image"]
            if before is None:
                continue
            name = f"{after['setting']}, {after['task']} {after['reading']}"
            if after["task"] == "score":
                two = (longer.score_of(before), longer.score_of(after))
                scores.setdefault(name, []).append(longer.Score(group, *two))
            else:
                number = after["padded"] if after["order"] == "AB" else 1 - after["padded"]
                said = [
                    None if entry["said"] is None
                    else (entry["said"], longer.share_won(entry["said"], number))
                    for entry in (before, after)
                ]  # fmt: skip
                choices.setdefault(name, []).append(longer.Choice(group, *said))
    return longer.Moves(scores, choices)


def _asked(entry: JSON) -> tuple[object, ...]:
    """What tells a question of an item from its others."""
    names = ("setting", "reading", "task", "answer", "rubric", "order", "point")
    return tuple(entry.get(name) for name in names)


def _kinds(records: Sequence[JSON], unsupported: Mapping[str, int]) -> Table:
    """Every kind that was asked for: how many requests were judged, or why none was."""
    counts = Counter(record["label"] for record in records if "error" not in record)
    lost = Counter(record["label"] for record in records if "error" in record)
    rows = [(kind, str(counts[kind]), str(lost[kind]), "") for kind in dict.fromkeys(
        record["label"] for record in records)]  # fmt: skip
    rows += [
        (kind, "0", str(n), "sound or video: not supported") for kind, n in unsupported.items()
    ]
    return Table("Kinds", ("kind", "judged", "not judged", "why"), tuple(rows))
