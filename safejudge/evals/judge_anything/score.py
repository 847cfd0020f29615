"""Judge Anything from recorded marks: how far judges agree with people, by side and kind.

The page of the benchmark does not say how its "Evaluator-Fusion" joins judges. Ours is the median
of scores and the code that more than half gave, and is named so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.headline import of_best
from safejudge.evals.judge_anything.figures import (
    Estimates,
    Mark,
    asked,
    figures,
    figures_of,
    fused,
    kinds_missing,
)
from safejudge.evals.judge_anything.records import (
    BETWEEN,
    SETTINGS,
    SIDES,
    Judged,
    Key,
    Recorded,
    read,
)
from safejudge.evals.stats.intervals import grouped
from safejudge.evals.suite import EvalResult, Prediction, Ranking
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON

FUSION = "(median or majority)"
"""Stands among the judges for all of them together."""
GAMES = "pairs.jsonl"
"""Every pair that was judged, as `safejudge arena` takes it."""
_TOGETHER = 3
"""Fewer judges than this have no median but a mean, and no majority but agreement."""
MAIN = "score.side.MMU.agreement_unread_wrong"
"""What judges are ranked by."""


def from_outputs(folder: Path, settings: Sequence[str] = SETTINGS) -> EvalResult:
    """Score every judge whose marks lie below a folder, in these settings. Raises `InputError`."""
    recorded = read(folder)
    judges = [judged for judged in recorded.judges if judged.setting in settings]
    if not judges:
        raise InputError(
            f"{folder}: holds no marks of a judge in {', '.join(settings)}; they lie in "
            "Score_JUDGE_SETTING.json and Pair_JUDGE_SETTING.json"
        )
    return score(recorded, judges, together=True)


def score(recorded: Recorded, judges: Sequence[Judged], *, together: bool = False) -> EvalResult:
    """Score what was read of some judges; `together`: also all of them as one."""
    numbers = _numbers(recorded, judges)
    if together:
        _add_fusions(numbers, recorded, judges)
    return EvalResult(
        tables=_tables(numbers),
        findings=tuple(_findings(recorded, judges)),
        numbers={
            judge: {name: estimate.json() for name, estimate in estimates.items()}
            for judge, estimates in numbers.items()
        },
        samples=tuple(row for judged in judges for row in _samples(judged, recorded)),
        unread=recorded.unread,
        predictions=tuple(p for judged in judges for p in _predictions(judged, recorded)),
        headline=of_best(numbers, _HEADLINES),
        ranking=Ranking(MAIN),
        files={GAMES: "".join(f"{json.dumps(game)}\n" for game in _games(recorded, judges))},
    )


_HEADLINES = {
    MAIN: "scores of understanding: the same as people's",
    "score.side.MMG.agreement_unread_wrong": "scores of generation: the same as people's",
    "pair.side.MMU.with_tie": "pairs of understanding: right, with ties,",
    "pair.side.MMG.with_tie": "pairs of generation: right, with ties,",
}


def _numbers(recorded: Recorded, judges: Sequence[Judged]) -> dict[str, Estimates]:
    """Figures by judge and setting."""
    numbers: dict[str, Estimates] = {}
    for judged in judges:
        _add(numbers, f"{judged.judge}, {judged.setting}", judged, figures(judged, recorded))
    return numbers


def _add_fusions(
    numbers: dict[str, Estimates], recorded: Recorded, judges: Sequence[Judged]
) -> None:
    """Add the figures of all judges of a task and setting together, where they are enough."""
    for rows in grouped((judged.task, judged.setting) for judged in judges).values():
        several = [judges[row] for row in rows]
        if len(several) >= _TOGETHER:
            values = figures_of(several[0], fused(several), recorded)
            _add(numbers, f"{FUSION}, {several[0].setting}", several[0], values)


def _add(numbers: dict[str, Estimates], name: str, judged: Judged, values: Estimates) -> None:
    named = {f"{judged.task}.{figure}": value for figure, value in values.items()}
    numbers.setdefault(name, {}).update(named)


# --- tables ---------------------------------------------------------------------------------------

_SCORES = {
    "the same, unread as wrong": "agreement_unread_wrong",
    "of read": "agreement_of_read",
    "Pearson": "pearson",
    "Spearman": "spearman",
    "mean error": "mae",
    "signed error": "signed_error",
}
_PAIRS = {
    "right, with ties": "with_tie",
    "of read": "with_tie_of_read",
    "without people's ties": "without_human_ties",
    "both decided": "both_decided",
    "says first": "says_first",
    "says equal": "says_equal",
}
_OF_KINDS = {"missing": "missing", "unread": "unread"}
_SIDE_NOTE = "Plain means over the kinds of a side that are there (n kinds)."
_PAIR_NOTE = (
    "An unread or missing code is wrong. Without people's ties: our choice, as the released code "
    "has none; both decided: nor a judge's tie."
)


def _tables(numbers: Mapping[str, Estimates]) -> tuple[Table, ...]:
    tables = [
        _table("Scores beside people's, by side", "score.side", _SCORES, numbers, _SIDE_NOTE),
        _table("Pairs beside people's, by side", "pair.side", _PAIRS, numbers,
               f"{_SIDE_NOTE} {_PAIR_NOTE}"),
        _table("Scores beside people's, by kind", "score.kind", _SCORES | _OF_KINDS, numbers),
        _table("Pairs beside people's, by kind", "pair.kind", _PAIRS | _OF_KINDS, numbers,
               _PAIR_NOTE),
    ]  # fmt: skip
    return tuple(table for table in tables if table.rows)


def _table(
    title: str,
    start: str,
    columns: Mapping[str, str],
    numbers: Mapping[str, Estimates],
    note: str = "",
) -> Table:
    """A row for each judge and setting, and each side or kind."""
    first, rows = next(iter(columns.values())), []
    for judge, estimates in numbers.items():
        names = [n for n in estimates if n.startswith(f"{start}.") and n.endswith(f".{first}")]
        for part in (name.removeprefix(f"{start}.").removesuffix(f".{first}") for name in names):
            n = estimates[f"{start}.{part}.{first}"].n
            cells = (estimates[f"{start}.{part}.{figure}"].text(n) for figure in columns.values())
            rows.append((f"{judge}, {part}", str(n), *cells))
    return Table(title, ("judge, setting, part", "n", *columns), tuple(rows), note)


# --- findings -------------------------------------------------------------------------------------

_REASONS = {
    "unknown_item": "about a request, answer or pair that people did not mark",
    "repeated": "marked before; the first counts",
    "rubric_of_another_setting": "of a rubric that its setting does not ask for",
}


def _findings(recorded: Recorded, judges: Sequence[Judged]) -> Iterator[str]:
    for file, reasons in recorded.left_out.items():
        for reason, n in reasons.items():
            yield f"{file}: {counted(n, 'record')} left out: {_REASONS.get(reason, reason)}."
    for judged in judges:
        keys = asked(judged, recorded)
        missing = sum(key not in judged.marks for key in keys)
        unread = sum(key in judged.marks and judged.marks[key] is None for key in keys)
        if missing or unread:
            yield (
                f"{judged.file}: of {len(keys)} marks {missing} are missing and {unread} could not "
                "be read; they are no score and no guess."
            )
    for side, kinds in kinds_missing(recorded).items():
        if kinds:
            there = len(SIDES[side]) - len(kinds)
            yield (
                f"{side}: {there} of {counted(len(SIDES[side]), 'kind')} are there; "
                f"{', '.join(kinds)} {'is' if len(kinds) == 1 else 'are'} not."
            )
    for kind, (other, every) in recorded.other_types.items():
        yield f"{kind}: {other} of {every} answers are of another type than the kind asks for."


# --- rows -----------------------------------------------------------------------------------------


def _outcome(key: Key, mark: Mark, judged: Judged, human: int) -> str:
    if key not in judged.marks:
        return "missing"
    return "unread" if mark is None else "right" if mark == human else "wrong"


def _samples(judged: Judged, recorded: Recorded) -> Iterator[JSON]:
    people = recorded.people[judged.task]
    for key in asked(judged, recorded):
        mark = judged.marks.get(key)
        yield {
            "judge": judged.judge, "setting": judged.setting, "task": judged.task,
            "file": judged.file, "kind": recorded.kinds[key.item], "item": key.item,
            "answer": key.answer, "rubric": key.rubric, "human": people[key], "said": mark,
            "outcome": _outcome(key, mark, judged, people[key]),
        }  # fmt: skip


def _predictions(judged: Judged, recorded: Recorded) -> Iterator[Prediction]:
    for key in asked(judged, recorded):
        mark = judged.marks.get(key)
        yield Prediction(
            protocol=f"{judged.judge}, {judged.setting}, {judged.task}",
            sample="/".join(key),
            answer=None if mark is None else str(mark),
            right=mark == recorded.people[judged.task][key],
            score=None if mark is None or judged.task == "pair" else float(mark),
            group=key.item,
        )


def _games(recorded: Recorded, judges: Sequence[Judged]) -> Iterator[JSON]:
    """Every pair with a code: people's, each judge's, and lists of games alone."""
    sources: list[tuple[str, Mapping[Key, int | None]]] = [("(people)", recorded.people["pair"])]
    sources += [(f"{j.judge}, {j.setting}", j.marks) for j in judges if j.task == "pair"]
    for source, marks in sources:
        for key, mark in marks.items():
            sides = key.answer.split(BETWEEN)
            if mark is not None and len(sides) == 2:
                yield {
                    "judge": source, "first": sides[0], "second": sides[1], "choice": mark,
                    "rubric": key.rubric, "item": key.item, "kind": recorded.kinds[key.item],
                }  # fmt: skip
    yield from recorded.games
