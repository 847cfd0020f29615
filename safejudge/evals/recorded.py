"""Files that other people's programs left: read what is there, say what could not be read.

A line or field that cannot be read never stops a file, and is never filled in; it is counted.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from safejudge.files.rows import Doubled, parse_json, twice_in
from safejudge.text import counted, quoted, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from safejudge.types import JSON

SUFFIXES = (".csv", ".json", ".jsonl")
"""Files that may hold records."""
PARQUET = ".parquet"
"""Files that hold rows of data."""

C = TypeVar("C")
_INTEGER = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lines:
    """The records of one file."""

    file: str
    """Its path below the folder."""
    records: tuple[JSON, ...]
    """Every record that could be read, in order."""
    problems: tuple[str, ...]
    """What could not be, as sentences."""


@dataclass(frozen=True, slots=True)
class Cases(Generic[C]):
    """What a folder holds for one suite."""

    found: tuple[tuple[str, int, C], ...]
    """Every case, with its file and its number there, from 0."""
    left_out: Mapping[str, int]
    """Why records cannot be scored, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def read_cases(folder: Path, case_of: Callable[[JSON], C | str | None], what: str) -> Cases[C]:
    """Every record below a folder that is a case of a suite.

    `case_of` gives the case, or as text why it cannot be scored, or None for a record of another
    kind; `what` says what the suite looks for.
    """
    found: list[tuple[str, int, C]] = []
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        foreign = 0
        for place, record in enumerate(lines.records):
            if record.keys() >= {"safejudge", "provenance"}:  # the head of a file of ours
                continue
            case = case_of(record)
            if case is None:
                foreign += 1
            elif isinstance(case, str):
                left_out[case] += 1
            else:
                found.append((lines.file, place, case))
        if foreign:
            total = counted(len(lines.records), "record")
            unread.append(f"{lines.file}: {foreign} of {total} are no {what}")
    return Cases(tuple(found), left_out, tuple(unread))


def read_folder(folder: Path) -> list[Lines]:
    """Every file that may hold records, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [read_file(path, path.relative_to(folder).as_posix()) for path in paths]


def data_files(path: Path) -> list[tuple[str, Path]]:
    """A file, or those below a folder that may hold rows of data, Parquet too; with their names."""
    if not path.is_dir():
        return [(path.name, path)]
    files = (f for f in sorted(path.rglob("*")) if f.suffix.lower() in (*SUFFIXES, PARQUET))
    return [(file.relative_to(path).as_posix(), file) for file in files]


def judges_of(files: Iterable[str]) -> dict[str, str]:
    """Name the judge of each file: by its stem, or by its path where others have that stem."""
    stems = {file: PurePosixPath(file).stem for file in files}
    shared = Counter(stems.values())
    return {file: stem if shared[stem] == 1 else file for file, stem in stems.items()}


def read_file(path: Path, name: str) -> Lines:
    """The records of one file, whatever is in it."""
    try:
        # Not utf-8 alone: files written on Windows begin with a byte order mark.
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        return Lines(name, (), (f"cannot be opened: {error.strerror}",))
    read = {".csv": _csv, ".json": _json}.get(path.suffix.lower(), _jsonl)
    try:
        records, problems = read(text)
    except (csv.Error, ValueError, RecursionError) as error:
        return Lines(name, (), (f"is no {path.suffix.lower()[1:]}: {error}",))
    if not text.strip():
        problems = ["is empty"]
    return Lines(storable(name), tuple(records), tuple(problems))


def _csv(text: str) -> tuple[list[JSON], list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [cell.strip() for cell in next(rows, [])]
    if (twice := twice_in(header)) is not None:
        raise ValueError(f"the column {quoted(twice)} stands twice")
    records, bad = [], []
    for row in rows:
        if len(row) == len(header):
            records.append(dict(zip(header, row, strict=True)))
        elif row:  # which column is missing cannot be known, so no cell of the row is
            bad.append(rows.line_num)
    return records, _lines_problem(bad, "not as many cells as there are columns")


def _jsonl(text: str) -> tuple[list[JSON], list[str]]:
    records: list[JSON] = []
    bad: list[int] = []
    doubled: list[int] = []
    # Not splitlines: JSON strings may hold U+2028 and others that it would split at.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            (doubled if isinstance(record, Doubled) else bad).append(number)
    return records, [
        *_lines_problem(bad, "no JSON object"),
        *_lines_problem(doubled, "a key twice"),
    ]


def _json(text: str) -> tuple[list[JSON], list[str]]:
    try:
        entries = parse_json(text) if text.strip() else []
    except ValueError:
        records, problems = _jsonl(text)
        if len(records) > 1:  # lines of JSON, whatever the name of the file says
            return records, problems
        raise
    if not isinstance(entries, list):
        return [], ["holds no list of records"]
    records = [record for record in entries if isinstance(record, dict)]
    doubled = sum(isinstance(record, Doubled) for record in entries)
    bad = len(entries) - len(records) - doubled
    counts = {"are no records": bad, "have a key twice": doubled}
    return records, [f"{n} of {len(entries)} entries {what}" for what, n in counts.items() if n]


def _lines_problem(bad: Sequence[int], problem: str) -> list[str]:
    return [f"{problem}: {counted(len(bad), 'line')} (the first is line {bad[0]})"] if bad else []


def integer(value: Any) -> int | None:
    """A whole number, however it was written (4, "4", 4.0, "4.0"); else None."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def number(value: Any) -> float | None:
    """A finite number, or the text of one; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def logprobs(record: JSON, names: Sequence[str]) -> tuple[float | None, ...] | None:
    """Log-probabilities of the named fields, None for a missing token.

    None altogether where a field is missing, or holds what can be no log-probability.
    """
    values = [record.get(name, "not there") for name in names]
    parsed = [None if _nothing(value) else number(value) for value in values]
    for value, lp in zip(values, parsed, strict=True):
        if (lp is None and not _nothing(value)) or (lp is not None and lp > 1e-3):
            return None
    return tuple(parsed)


def _nothing(value: Any) -> bool:
    """Whether a field is there and says that there was no such token."""
    return value is None or str(value).strip().lower() in {"", "nan", "-inf", "-infinity"}


def word(value: Any) -> str:
    """A name or id as text, whether it was written as text or number; empty if it is neither."""
    if isinstance(value, str):
        return storable(value.strip())
    return str(value) if (value := integer(value)) is not None else ""
