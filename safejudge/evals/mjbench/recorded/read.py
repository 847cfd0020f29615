"""A folder of recorded MJ-Bench outputs -> runs of judges, and what could not be read.

Files are told apart by the fields of their rows, judges by names of files, folders and columns;
no judge is known beforehand. A file that is none of the known kinds is listed with the reason, a
row that lacks what it needs is left out and counted, and nothing unreadable becomes a number.

Known kinds: bias files (a column of ratings per judge, or text in `vlm_output`), pairs (ratings
`score_0` and `score_1`, a choice `vlm_pred`, or text in `output`), and `{"runs": {"JUDGE/SCALE":
[rating, ...]}}`, whose ratings belong to the rows of a bias file of the folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.names import printable
from safejudge.evals.mjbench.recorded.rows import columns, has_answer, name_in, pair_of
from safejudge.evals.replies import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from safejudge.evals.stats.fairness import Rated
    from safejudge.evals.stats.preference import Pair
    from safejudge.types import JSON

_LARGEST = 200_000_000
"""Bytes; the published files are under 2 million."""


@dataclass(slots=True)
class BiasRun:
    """What one judge said of the bias pictures, on one scale."""

    judge: str
    scale: str
    file: str
    rows: list[Rated]
    partial: bool = False
    """Whether the file holds rows that this judge was not asked."""


@dataclass(slots=True)
class PairRun:
    """What one judge said of the pairs of one perspective, on one scale."""

    judge: str
    scale: str
    perspective: str
    pairs: list[Pair] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """The file of each pair."""


@dataclass(slots=True)
class Outputs:
    """Everything that was found in a folder."""

    bias: list[BiasRun] = field(default_factory=list)
    pairs: list[PairRun] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def pair_run(self, judge: str, scale: str, perspective: str) -> PairRun:
        """The run of a judge on a scale and perspective; a new one if there is none."""
        for run in self.pairs:
            if (run.judge, run.scale, run.perspective) == (judge, scale, perspective):
                return run
        self.pairs.append(PairRun(judge, scale, perspective))
        return self.pairs[-1]

    def bias_run(self, judge: str, scale: str, file: str) -> BiasRun:
        """The run of a judge on a scale of the bias pictures; a new one if there is none."""
        for run in self.bias:
            if (run.judge, run.scale) == (judge, scale):
                return run
        self.bias.append(BiasRun(judge, scale, file, []))
        return self.bias[-1]


def read_outputs(folder: Path, *, lenient: bool = False) -> Outputs:
    """Read every .json and .jsonl file of a folder, at any depth.

    `lenient` reads bias ratings out of free text as the published numbers do.
    """
    reader = _Reader(lenient)
    unread = reader.found.unread
    lists: list[tuple[str, JSON]] = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".json", ".jsonl"}):
        name = printable(path.relative_to(folder).as_posix())
        try:
            data = _load(path)
        except RecursionError:
            unread.append(f"{name}: nested too deeply")
        except (OSError, ValueError) as error:
            unread.append(f"{name}: {error}")
        else:
            if isinstance(data, dict) and isinstance(data.get("runs"), dict):
                lists.append((name, data["runs"]))
            else:
                unread += [f"{name}: {why}" for why in reader.take(path, folder, data)]
    for name, runs in lists:  # last, since they need the rows of another file
        unread += [f"{name}: {why}" for why in reader.take_lists(name, runs)]
    return reader.found


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ValueError("not a file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("empty")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return json.loads(text)


class _Reader:
    """What was found so far; each method says what it had to leave out."""

    def __init__(self, lenient: bool) -> None:
        self.found = Outputs()
        self._lenient = lenient
        self._seen: dict[tuple[object, ...], str] = {}
        """The file that first held some rows: a copy would count them twice."""

    def take(self, path: Path, folder: Path, data: Any) -> list[str]:
        """Add what a file holds."""
        if not isinstance(data, list):
            return ["not a list of rows"]
        rows = [row for row in data if isinstance(row, dict)]
        place = names.place_of(path, folder)
        if any("occupation" in row and "demographic" in row for row in rows):
            named = [row for row in rows if name_in(row.get("occupation"))]
            why, what, kept = self._take_bias(place, named), "occupation", len(named)
        elif any(has_answer(row) and ("label" in row or "label_0" in row) for row in rows):
            if place.perspective == "bias":  # its pictures have no better one
                place = replace(place, perspective="other")
            pairs = [pair for row in rows if (pair := pair_of(place, row)) is not None]
            why, what, kept = self._take_pairs(place, pairs), "label", len(pairs)
        else:
            return ["rows without a rating, choice or score of a judge" if rows else "no rows"]
        if lost := len(data) - kept:
            why.append(f"{lost} of {len(data)} rows left out: no {what}")
        return why

    def _take_bias(self, place: names.Place, rows: Sequence[JSON]) -> list[str]:
        why, judges = [], set()
        for judge, scale, rated in columns(place, rows, self._lenient):
            judges.add(judge)
            key = (judge, scale, *((r.group, *r.shown.values(), r.rating, r.state) for r in rated))
            first = self._seen.setdefault(key, place.file)
            if first == place.file:
                self._add_bias(judge, scale, place.file, rated, partial=len(rated) < len(rows))
            elif scale != names.SCORE:  # the same scores of models lie in every bias file
                why.append(f"the same ratings of {judge} as in {first}")
        if place.subset == "bias" and place.judge not in judges:
            why.append(f"no ratings of {place.judge}, after whom it is named")
        elif not judges:
            why.append("no column of ratings and no text of a judge")
        return why

    def _add_bias(
        self, judge: str, scale: str, file: str, rows: list[Rated], *, partial: bool = False
    ) -> None:
        if any((run.judge, run.scale) == (judge, scale) for run in self.found.bias):
            scale = f"{scale}, {file}"  # another run; neither may hide the other
        self.found.bias.append(BiasRun(judge, scale, file, rows, partial))

    def _take_pairs(self, place: names.Place, pairs: Sequence[Pair]) -> list[str]:
        if not pairs:
            return []
        key = (place.judge, place.scale, place.perspective, *map(repr, pairs))
        first = self._seen.setdefault(key, place.file)
        if first != place.file:
            return [f"the same rows as in {first}"]
        wanted = (place.judge, place.scale or names.SCORE, place.perspective)
        known = [r for r in self.found.pairs if (r.judge, r.scale, r.perspective) == wanted]
        run = known[0] if known else PairRun(*wanted)
        asked = {_asked(pair) for pair in pairs} - {None}
        if 2 * len(asked & {_asked(pair) for pair in run.pairs}) > len(asked):
            run = PairRun(place.judge, f"{wanted[1]}, {place.file}", place.perspective)
        if run not in known:
            self.found.pairs.append(run)
        run.pairs += pairs
        run.files += [place.file] * len(pairs)
        return []

    def take_lists(self, file: str, runs: Mapping[str, Any]) -> list[str]:
        """Add ratings that stand apart from their rows."""
        why = []
        for name, values in runs.items():
            if not isinstance(values, list):
                why.append(f"{printable(name)}: not a list of ratings")
                continue
            base = next((run for run in self.found.bias if len(run.rows) == len(values)), None)
            if base is None:
                lacks = f"no bias file with {len(values)} rows to tell what was rated"
                why.append(f"{printable(name)}: {lacks}")
                continue
            judge, _, scale = name.rpartition("/")
            rows = [
                replace(row, rating=rating, state="unparsed" if rating is None else "rated")
                for row, rating in zip(base.rows, map(number, values), strict=True)
            ]
            scale = names.scale_of(scale) or scale
            self._add_bias(printable(judge) or scale, printable(scale), file, rows)
        return why


def _asked(pair: Pair) -> tuple[str, ...] | None:
    """What a pair shows, in its order; None where that is not told."""
    return (pair.subset, pair.caption, *pair.images) if all(pair.images) else None
