"""ArtifactsBench from a judge's replies: how good generators are, by difficulty and area.

The published mean drops what the script could not read. Ours counts every task once; what is
missing or unread is left out of one mean and 0 in the other.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.artifactsbench.records import Judged, Recorded, Task, read
from safejudge.evals.artifactsbench.replies import MOST
from safejudge.evals.stats.intervals import Estimate, grouped, mean_of, share_of
from safejudge.evals.suite import EvalResult, Prediction, Ranking
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safejudge.types import JSON

Estimates = dict[str, Estimate]
MAIN = "all.mean_of_read"
"""What generators are ranked by."""


def from_outputs(folder: Path) -> EvalResult:
    """Score every file of judged answers below a folder. Raises `InputError`."""
    recorded = read(folder)
    if not recorded.tasks:
        raise InputError(
            f"{folder}: holds no tasks; put the file of tasks (index, question, checklist, class, "
            "difficulty) into the folder, beside the judged answers"
        )
    if not recorded.judged:
        raise InputError(
            f"{folder}: holds no judged answers; a line has an index and NAME_reason, the reply of "
            "the judge NAME"
        )
    return score(recorded)


def score(recorded: Recorded, *, live: bool = False) -> EvalResult:
    """Score what was read; `live`: nobody's released reader was there."""
    tasks = recorded.tasks
    numbers = {judged.generator: figures(judged, tasks) for judged in recorded.judged}
    judges = dict.fromkeys(judged.judge for judged in recorded.judged)
    return EvalResult(
        tables=_tables(numbers, published=not live),
        findings=tuple(_findings(recorded, live=live)),
        numbers={
            generator: {name: value.json() for name, value in estimates.items()}
            for generator, estimates in numbers.items()
        },
        samples=tuple(row for judged in recorded.judged for row in _samples(judged, tasks)),
        unread=recorded.unread,
        predictions=tuple(p for judged in recorded.judged for p in _predictions(judged, tasks)),
        headline=_headline(numbers),
        ranking=Ranking(MAIN, judge=", ".join(filter(None, judges))),
    )


def figures(judged: Judged, tasks: Mapping[str, Task]) -> Estimates:
    """Everything that one generator's answers come to; means are of scores from 0 to 100."""
    parts: dict[str, list[str]] = {"all": list(tasks)}
    for name in ("difficulty", "area"):
        for value, rows in grouped(getattr(task, name) for task in tasks.values()).items():
            parts[f"{name}.{value}"] = [list(tasks)[row] for row in rows]
    results: Estimates = {}
    for part, indices in parts.items():
        scores = [_score(judged, index) for index in indices]
        missing = [index not in judged.readings for index in indices]
        unread = [value is None and not lost for value, lost in zip(scores, missing, strict=True)]
        results |= {
            f"{part}.mean_of_read": mean_of([value for value in scores if value is not None]),
            f"{part}.unread_as_0": mean_of([value or 0.0 for value in scores]),
            f"{part}.unread": share_of(unread),
            f"{part}.missing": share_of(missing),
        }
    results["published_mean"] = mean_of([v for v in judged.published if v is not None])
    return results


def _score(judged: Judged, index: str) -> float | None:
    reading = judged.readings.get(index)
    return None if reading is None else reading.score


# --- tables and findings --------------------------------------------------------------------------

_COLUMNS = {
    "mean of read": "mean_of_read",
    "unread as 0": "unread_as_0",
    "unread": "unread",
    "missing": "missing",
}


def _tables(numbers: Mapping[str, Estimates], *, published: bool) -> tuple[Table, ...]:
    rows = []
    for generator, estimates in numbers.items():
        mean = estimates["published_mean"]
        last = (f"{_mean(mean)} n={mean.n}",) if published else ()
        rows.append((generator, *_cells(estimates, "all"), *last))
    note = "Points of 100. n counts tasks. Unread as 0: what is missing is 0 as well."
    if published:
        note += (
            " Published: of every line that the released reader reads, repeated and unknown ones "
            "too."
        )
    heads = ("generator", "n", *_COLUMNS, *(("published",) if published else ()))
    whole = Table("Generators", heads, tuple(rows), note)
    return whole, _by("difficulty", numbers), _by("area", numbers)


def _by(name: str, numbers: Mapping[str, Estimates]) -> Table:
    """A row for each generator and each part of the tasks."""
    start, end = f"{name}.", ".mean_of_read"
    rows = tuple(
        (f"{generator}, {part}", *_cells(estimates, f"{start}{part}"))
        for generator, estimates in numbers.items()
        for part in sorted(
            figure.removeprefix(start).removesuffix(end)
            for figure in estimates
            if figure.startswith(start) and figure.endswith(end)
        )
    )
    return Table(f"By {name}", (f"generator, {name}", "n", *_COLUMNS), rows)


def _cells(estimates: Estimates, part: str) -> list[str]:
    """How many tasks, both means, and the shares that have no score."""
    read, zero, unread, missing = (estimates[f"{part}.{name}"] for name in _COLUMNS.values())
    return [str(zero.n), f"{_mean(read)} n={read.n}", _mean(zero), unread.text(zero.n),
            missing.text(zero.n)]  # fmt: skip


def _mean(estimate: Estimate) -> str:
    """Points of 100, with the interval where there is one."""
    if not estimate.n:
        return "-"
    around = estimate.interval
    ends = "" if around is None else f" [{around[0]:.2f}, {around[1]:.2f}]"
    return f"{estimate.value:.4f}{ends}"


def _headline(numbers: Mapping[str, Estimates]) -> str:
    """The mean of the best generator, of the answers whose score was read."""
    read = {generator: values[MAIN] for generator, values in numbers.items() if values[MAIN].n}
    if not read:
        return ""
    best = max(read, key=lambda generator: read[generator].value)
    of = "" if len(read) == 1 else f", the best of {len(read)}"
    return f"points of 100, of read scores {_mean(read[best])} n={read[best].n} ({best}{of})"


def _findings(recorded: Recorded, *, live: bool) -> Iterator[str]:
    for reason, n in recorded.left_out.items():
        yield f"{counted(n, 'record')} left out: {reason}."
    lists = [] if live else [task.checklist for task in recorded.tasks.values()]
    if broken := lists.count(None):
        yield f"{counted(broken, 'task')} of {len(lists)} with a checklist that cannot be read."
    other = sum(c is not None and (len(c.points), c.most) != (10, MOST) for c in lists)
    if other:
        yield f"{counted(other, 'checklist')} not of ten points and 100 together."
    for judged in recorded.judged:
        for reason, n in judged.left_out.items():
            yield f"{judged.generator}: {counted(n, 'line')} left out: {reason}."
        why = Counter(reading.why for reading in judged.readings.values() if reading.why)
        for reason, n in why.items():
            yield f"{judged.generator}: {n} of {len(judged.readings)} replies unread: {reason}."
        missing = [index for index in recorded.tasks if index not in judged.readings]
        if missing:
            named = ", ".join(missing[:5]) + (" and more" if len(missing) > 5 else "")
            yield f"{judged.generator}: {counted(len(missing), 'task')} without a line: {named}."


# --- rows -----------------------------------------------------------------------------------------


def _samples(judged: Judged, tasks: Mapping[str, Task]) -> Iterator[JSON]:
    for index, task in tasks.items():
        reading = judged.readings.get(index)
        yield {
            "generator": judged.generator, "judge": judged.judge or None, "file": judged.file,
            "index": index, "area": task.area, "difficulty": task.difficulty,
            "said": None if reading is None else reading.score,
            "why": "missing" if reading is None else reading.why or None,
        }  # fmt: skip


def _predictions(judged: Judged, tasks: Mapping[str, Task]) -> Iterator[Prediction]:
    for index in tasks:
        score = _score(judged, index)
        yield Prediction(
            protocol=judged.generator,
            sample=index,
            answer=None if score is None else f"{score:g}",
            score=score,
        )
