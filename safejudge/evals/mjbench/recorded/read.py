"""A folder of recorded MJ-Bench outputs -> runs of judges, and what could not be read.

Files are told apart by the fields of their rows, judges by names of files, folders and columns;
no judge is known beforehand. A file that is none of the known kinds is listed with the reason, a
row that lacks what it needs is left out and counted, and nothing unreadable becomes a number.

Known kinds: bias files (a column of ratings per judge, or text in `vlm_output`), pairs (ratings
`score_0` and `score_1`, a choice `vlm_pred`, or text in `output`), and `{"runs": {"JUDGE/SCALE":
[rating, ...]}}`, whose ratings belong to the rows of a bias file of the folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.names import printable
from safejudge.evals.mjbench.recorded.rows import columns, has_answer, name_in, pair_of
from safejudge.evals.replies import number
from safejudge.files.rows import Doubled, parse_json

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
    unread = reader.outputs.unread
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
                unread += [f"{name}: {problem}" for problem in reader.add(path, folder, data)]
    for name, runs in lists:  # last, since they need the rows of another file
        unread += [f"{name}: {problem}" for problem in reader.add_lists(name, runs)]
    return reader.outputs


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ValueError("not a file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("empty")
    if path.suffix == ".jsonl":
        return [parse_json(line) for line in text.splitlines() if line.strip()]
    return parse_json(text)


class _Reader:
    """The outputs so far; each method says what it had to leave out."""

    def __init__(self, lenient: bool) -> None:
        self.outputs = Outputs()
        self._lenient = lenient
        self._files: dict[tuple[object, ...], str] = {}
        """The file that first held some rows: a copy would count them twice."""

    def add(self, path: Path, folder: Path, data: Any) -> list[str]:
        """Add what a file holds."""
        if isinstance(data, Doubled):
            return [f"the key {printable(data.key)!r} stands twice"]
        if not isinstance(data, list):
            return ["not a list of rows"]
        rows = [row for row in data if isinstance(row, dict)]
        origin = names.origin_of(path, folder)
        if any("occupation" in row and "demographic" in row for row in rows):
            people = [row for row in rows if name_in(row.get("occupation"))]
            problems, column, usable = self._add_bias(origin, people), "occupation", len(people)
        elif any(has_answer(row) and ("label" in row or "label_0" in row) for row in rows):
            if origin.perspective == "bias":  # its pictures have no better one
                origin = replace(origin, perspective="other")
            pairs = [pair for row in rows if (pair := pair_of(origin, row)) is not None]
            problems, column, usable = self._add_pairs(origin, pairs), "label", len(pairs)
        else:
            return ["rows without a rating, choice or score of a judge" if rows else "no rows"]
        if doubled := sum(isinstance(row, Doubled) for row in data):
            problems.append(f"{doubled} of {len(data)} rows left out: a key stands twice")
        if lost := len(data) - usable - doubled:
            problems.append(f"{lost} of {len(data)} rows left out: no {column}")
        return problems

    def _add_bias(self, origin: names.Origin, rows: Sequence[JSON]) -> list[str]:
        problems, judges = [], set()
        for judge, scale, rated in columns(origin, rows, self._lenient):
            judges.add(judge)
            ratings = ((r.group, *r.attributes.values(), r.rating, r.state) for r in rated)
            first = self._files.setdefault((judge, scale, *ratings), origin.file)
            if first == origin.file:
                partial = len(rated) < len(rows)
                self._add_bias_run(judge, scale, origin.file, rated, partial=partial)
            elif scale != names.SCORE:  # the same scores of models lie in every bias file
                problems.append(f"the same ratings of {judge} as in {first}")
        if origin.subset == "bias" and origin.judge not in judges:
            problems.append(f"no ratings of {origin.judge}, after whom it is named")
        elif not judges:
            problems.append("no column of ratings and no text of a judge")
        return problems

    def _add_bias_run(
        self, judge: str, scale: str, file: str, rows: list[Rated], *, partial: bool = False
    ) -> None:
        if any((run.judge, run.scale) == (judge, scale) for run in self.outputs.bias):
            scale = f"{scale}, {file}"  # another run; neither may hide the other
        self.outputs.bias.append(BiasRun(judge, scale, file, rows, partial))

    def _add_pairs(self, origin: names.Origin, pairs: Sequence[Pair]) -> list[str]:
        if not pairs:
            return []
        key = (origin.judge, origin.scale, origin.perspective, *map(repr, pairs))
        first = self._files.setdefault(key, origin.file)
        if first != origin.file:
            return [f"the same rows as in {first}"]
        scale = origin.scale or names.SCORE
        run = self.outputs.pair_run(origin.judge, scale, origin.perspective)
        contents = {_content(pair) for pair in pairs} - {None}
        if 2 * len(contents & {_content(pair) for pair in run.pairs}) > len(contents):
            run = PairRun(origin.judge, f"{scale}, {origin.file}", origin.perspective)
            self.outputs.pairs.append(run)
        run.pairs += pairs
        run.files += [origin.file] * len(pairs)
        return []

    def add_lists(self, file: str, runs: Mapping[str, Any]) -> list[str]:
        """Add ratings that stand apart from their rows."""
        problems = []
        for name, values in runs.items():
            if not isinstance(values, list):
                problems.append(f"{printable(name)}: not a list of ratings")
                continue
            bias = self.outputs.bias
            base = next((run for run in bias if len(run.rows) == len(values)), None)
            if base is None:
                lacks = f"no bias file with {len(values)} rows to tell what was rated"
                problems.append(f"{printable(name)}: {lacks}")
                continue
            judge, _, scale = name.rpartition("/")
            rows = [
                replace(row, rating=rating, state="unparsed" if rating is None else "rated")
                for row, rating in zip(base.rows, map(number, values), strict=True)
            ]
            scale = names.scale_of(scale) or scale
            self._add_bias_run(printable(judge) or scale, printable(scale), file, rows)
        return problems


def _content(pair: Pair) -> tuple[str, ...] | None:
    """What a pair shows, in its order; None where that is not told."""
    return (pair.subset, pair.caption, *pair.images) if all(pair.images) else None
