"""GIR-Bench (arXiv 2510.11026): the cases of a folder. A file's folder names the generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from safejudge.evals import recorded
from safejudge.evals.gir_bench.cases import Case, Subset, UnusableError, case_of, subset_of
from safejudge.text import counted


@dataclass(frozen=True, slots=True)
class Output:
    """One case and where it stood."""

    generator: str
    file: str
    number: int
    """From 0, in its file."""
    subset: Subset
    case: Case
    name: str
    """The same in every run on the same files."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    outputs: tuple[Output, ...]
    left_out: Mapping[str, int]
    """Why cases cannot be scored, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, wholly or in part, with the reason."""


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    outputs: list[Output] = []
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        above = PurePosixPath(lines.file).parent.as_posix()
        generator = folder.resolve().name if above == "." else above
        foreign = 0
        for number, record in enumerate(lines.records):
            subset = subset_of(record)
            if subset is None:
                foreign += 1
                continue
            try:
                case = case_of(subset, record)
            except UnusableError as error:
                left_out[f"{subset}: {error}"] += 1
            else:
                name = f"{subset}/{PurePosixPath(lines.file).name}/{number}"
                outputs.append(Output(generator, lines.file, number, subset, case, name))
        if foreign:
            unread.append(
                f"{lines.file}: {foreign} of {counted(len(lines.records), 'record')} are no case "
                "of words, counts, boxes or digits"
            )
    return Recorded(tuple(outputs), left_out, tuple(unread))
