"""Runs of one suite beside each other: whether they put entries in the same order.

Takes what `eval --out` wrote; gives tables. Where another judge gave the marks, scores of two runs
are no longer on one scale: nine models kept their order and lost 2.3 points when only the version
of ArtifactsBench's judge changed. So ranks are compared, and another judge is warned of.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.results import RESULTS
from safejudge.evals.stats import agreement
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Ranked:
    """The entries of one run, by one figure."""

    run: str
    """The name of its folder."""
    judge: str | None
    """Who gave the marks, empty where nothing tells; None where the entries are judges."""
    values: Mapping[str, float]
    """By entry; an undefined one is left out."""
    undefined: tuple[str, ...] = ()
    """Entries without a value."""

    def ranks(self) -> dict[str, float]:
        """1 for the highest; equal values share the middle of their ranks."""
        found = agreement.ranks([-value for value in self.values.values()])
        return dict(zip(self.values, found.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs beside each other."""

    by: str
    """The figure."""
    runs: tuple[Ranked, ...]
    warnings: tuple[str, ...]


def compare(folders: Sequence[Path], by: str | None = None) -> Comparison:
    """Read runs and rank their entries by one figure: `by`, or the one that their suite names.

    Raises `InputError` for a folder that is no run, for runs of several suites, for a figure that
    a run does not have.
    """
    if len(folders) < 2:
        raise InputError("name two runs at least; one has nothing beside it")
    found = [_results(folder) for folder in folders]
    suites = {suite: folder for folder, (suite, _) in zip(folders, found, strict=True)}
    if len(suites) > 1:
        listing = "; ".join(f"{folder}: {suite}" for suite, folder in suites.items())
        raise InputError(f"these are runs of several suites, whose figures differ ({listing})")
    names = _names(folders)
    figure = by or _figure(found[0][1], folders[0])
    runs = tuple(
        _ranked(name, numbers, figure, folder)
        for name, folder, (_, numbers) in zip(names, folders, found, strict=True)
    )
    return Comparison(figure, runs, tuple(_warnings(runs)))


def _names(folders: Sequence[Path]) -> list[str]:
    """Short names where they tell the runs apart."""
    short = [folder.resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise InputError("one run is named twice; name two")
    return names


def _results(folder: Path) -> tuple[str, JSON]:
    """The suite of a run, and its results."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        (suite,) = results["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: has no {RESULTS} of one suite; name a folder that eval --out wrote"
        ) from error
    return suite, results


def _figure(results: JSON, folder: Path) -> str:
    ranking = results.get("ranking")
    if isinstance(ranking, dict) and isinstance(ranking.get("by"), str):
        return str(ranking["by"])
    raise InputError(f"{folder}: its suite names no figure to rank by; name one with --by FIGURE")


def _ranked(name: str, results: JSON, by: str, folder: Path) -> Ranked:
    (numbers,) = results["results"].values()
    cells = {
        entry: figures[by].get("value")
        for entry, figures in numbers.items()
        if isinstance(figures, dict) and isinstance(figures.get(by), dict)
    }
    if not cells:
        known = sorted({figure for figures in numbers.values() for figure in _figures(figures)})
        listing = ", ".join(known[:12]) + (" and more" if len(known) > 12 else "")
        raise InputError(f"{folder}: no entry has the figure {by}; there are {listing}")
    values = {entry: float(value) for entry, value in cells.items() if value is not None}
    undefined = tuple(entry for entry in cells if entry not in values)
    ranking = results.get("ranking") or {}
    return Ranked(name, ranking.get("judge"), values, undefined)


def _figures(figures: Any) -> list[str]:
    if not isinstance(figures, dict):
        return []
    return [name for name, cell in figures.items() if isinstance(cell, dict) and "value" in cell]


def _warnings(runs: Sequence[Ranked]) -> list[str]:
    judged = [run for run in runs if run.judge is not None]
    warnings = []
    if len({run.judge for run in judged if run.judge}) > 1:
        listing = "; ".join(f"{run.run}: {run.judge or 'not told'}" for run in judged)
        warnings.append(
            f"The judge differs ({listing}): compare ranks, not scores. Another version of one "
            "judge alone has moved scores by several points."
        )
    if unknown := [run.run for run in judged if not run.judge]:
        warnings.append(f"Who judged is not told by {', '.join(unknown)}: it may be another judge.")
    warnings += [
        f"{run.run}: no rank for {', '.join(run.undefined)}, whose figure is undefined."
        for run in runs
        if run.undefined
    ]
    return warnings


# --- for people -----------------------------------------------------------------------------------


def tables(found: Comparison) -> tuple[Table, ...]:
    """Ranks and values of every entry; and how far each two runs agree on what both have."""
    pairs = [pair for pair in itertools.combinations(found.runs, 2) if len(shared(*pair)) > 1]
    if not pairs:
        return (_joint(found),)
    return _side_by_side(found), _agreement(pairs)


def shared(first: Ranked, second: Ranked) -> list[str]:
    """The entries that both runs rank."""
    return [entry for entry in first.values if entry in second.values]


def _side_by_side(found: Comparison) -> Table:
    """A row an entry, in the order of the first run that has it."""
    ranks = [run.ranks() for run in found.runs]
    entries = dict.fromkeys(entry for run in ranks for entry in sorted(run, key=run.__getitem__))
    rows = tuple(
        (
            entry,
            *itertools.chain(
                *(_cells(entry, run, of) for run, of in zip(found.runs, ranks, strict=True))
            ),
        )
        for entry in entries
    )
    heads = itertools.chain(*((f"rank in {run.run}", found.by) for run in found.runs))
    return Table("Ranks side by side", ("entry", *heads), rows, "1 is the highest value.")


def _cells(entry: str, run: Ranked, ranks: Mapping[str, float]) -> tuple[str, str]:
    if entry not in ranks:
        return "-", "-"
    return f"{ranks[entry]:g}", f"{run.values[entry]:.4f}"


def _joint(found: Comparison) -> Table:
    """All entries of runs that share none, in one order."""
    values = {f"{entry} ({run.run})": v for run in found.runs for entry, v in run.values.items()}
    ranks = Ranked("", None, values).ranks()
    rows = tuple(
        (name, f"{ranks[name]:g}", f"{values[name]:.4f}")
        for name in sorted(values, key=ranks.__getitem__)
    )
    note = "No two runs share two entries, so all stand in one order. 1 is the highest value."
    return Table("Ranks of all entries", ("entry (run)", "rank", found.by), rows, note)


def _agreement(pairs: Sequence[tuple[Ranked, Ranked]]) -> Table:
    rows = []
    for first, second in pairs:
        values = agreements(first, second)
        cells = ("-" if math.isnan(value) else f"{value:.4f}" for value in values.values())
        rows.append((f"{first.run}, {second.run}", str(len(shared(first, second))), *cells))
    heads = ("consistency", "Spearman", "Kendall's tau-b", "mean shift", "largest shift")
    note = (
        "Consistency: 1 - sum of rank differences / floor(n^2 / 2), among the entries that both "
        "runs have. Shifts are of values, the second less the first."
    )
    return Table("How far two runs agree", ("runs", "n", *heads), tuple(rows), note)


def agreements(first: Ranked, second: Ranked) -> dict[str, float]:
    """How far two runs agree on the entries that both rank."""
    entries = shared(first, second)
    left, right = ([run.values[entry] for entry in entries] for run in (first, second))
    shifts = [b - a for a, b in zip(left, right, strict=True)]
    return {
        "consistency": agreement.footrule_consistency(left, right),
        "spearman": agreement.spearman(left, right),
        "kendall": agreement.kendall(left, right),
        "mean_shift": agreement.mean(shifts),
        "largest_shift": max(shifts, key=abs, default=math.nan),
    }
