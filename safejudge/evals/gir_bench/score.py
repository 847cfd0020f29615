"""GIR-Bench from recorded reads and replies: what programs say of generated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals.gir_bench.cases import SUBSETS, CountCase, TextCase
from safejudge.evals.gir_bench.figures import Estimates, figures, scores
from safejudge.evals.gir_bench.records import Output, Recorded, read
from safejudge.evals.headline import of_best
from safejudge.evals.stats.intervals import grouped
from safejudge.evals.suite import EvalResult, Prediction, Ranking
from safejudge.programs.scoring import texts
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON

_MAIN = {
    "text": "words_and_signs",
    "counts": "right",
    "layout": "right",
    "sudoku": "by_cell",
    "perception": "iou",
}
"""What a prediction is about."""


def from_outputs(folder: Path, subsets: Sequence[str] = SUBSETS) -> EvalResult:
    """Score every case of these subsets below a folder."""
    return score(read(folder), subsets)


def score(recorded: Recorded, subsets: Sequence[str] = SUBSETS, *, judge: str = "") -> EvalResult:
    """Score what was read, of these subsets; `judge` is what read it, empty where nothing tells."""
    outputs = [output for output in recorded.outputs if output.subset in subsets]
    numbers = {
        generator: figures([outputs[row] for row in rows])
        for generator, rows in grouped(output.generator for output in outputs).items()
    }
    main = next((name for name in _HEADLINES if any(name in f for f in numbers.values())), None)
    return EvalResult(
        tables=_tables(numbers),
        findings=tuple(_findings(recorded, outputs)),
        numbers={
            generator: {name: value.json() for name, value in estimates.items()}
            for generator, estimates in numbers.items()
        },
        samples=tuple(_sample(output) for output in outputs),
        unread=recorded.unread,
        predictions=tuple(_prediction(output) for output in outputs),
        headline=of_best(numbers, _HEADLINES),
        ranking=None if main is None else Ranking(main, judge),
    )


_HEADLINES = {
    "text_to_image": "text to image: mean of words, counts and places",
    "text.whole_words": "whole words that stand in the picture",
    "counts.right": "all counts right",
    "layout.right": "all objects once and in their places",
    "sudoku.by_cell": "empty cells solved",
    "perception.iou": "painted and meant region, shared over united area",
}


def _sample(output: Output) -> JSON:
    values, case = scores(output.case), output.case
    row: JSON = {
        "generator": output.generator, "file": output.file, "number": output.number,
        "item": output.name, "subset": output.subset, "said": values[_MAIN[output.subset]],
        "scores": values,
    }  # fmt: skip
    if isinstance(case, TextCase):
        lacking = texts.missing_words(case.reference, case.seen or "")
        row |= {"reference": case.reference, "seen": case.seen, "not_read": lacking}
    elif isinstance(case, CountCase):
        found = None if case.counts is None else dict(case.counts.found)
        row |= {"expected": dict(case.expected), "found": found, "problem": case.problem or None}
    return row


def _prediction(output: Output) -> Prediction:
    values = scores(output.case)
    value = None if values.get("unread") else values[_MAIN[output.subset]]
    return Prediction(
        protocol=f"{output.generator}, {output.subset}",
        sample=output.name,
        answer=None if value is None else f"{value:.4f}",
        right=value == 1,
        score=value,
    )


# --- tables and findings --------------------------------------------------------------------------

_COLUMNS = {
    "Words": {
        "whole words": "text.whole_words",
        "and signs of scripts without spaces": "text.words_and_signs",
        "published": "text.published",
        "published, repeated words counted": "text.repeated_words_counted",
        "no picture": "text.missing",
    },
    "Counts": {
        "right": "counts.right",
        "published": "counts.published_right",
        "unread": "counts.unread",
        "no picture": "counts.missing",
    },
    "Places": {
        "right": "layout.right",
        "relations": "layout.relations",
        "no picture": "layout.missing",
    },
    "Sudoku": {
        "by cell": "sudoku.by_cell",
        "givens kept": "sudoku.givens_kept",
        "published": "sudoku.published",
        "no picture": "sudoku.missing",
    },
    "Painted regions": {
        "IoU": "perception.iou",
        "precision": "perception.precision",
        "recall": "perception.recall",
        "F1": "perception.f1",
        "no picture": "perception.missing",
    },
    "Text to image": {
        "mean of three parts": "text_to_image",
        "published": "text_to_image_published",
    },
}
_NOTES = {
    "Words": (
        "Whole words: each word that was read is used once. Published: words of the reference "
        "found anywhere, also inside others; a repeated one counts once, letters other than a-z "
        "not at all."
    ),
    "Counts": (
        "An unread reply, or no picture, is not right. The published script calls an expected 0 "
        "wrong, ends at the first broken reply and skips what is missing; here it goes on."
    ),
    "Places": "Right: every object exactly once, and every relation holds.",
    "Sudoku": (
        "By cell of each picture's own size. Published: by distance in pixels, so an answer of "
        "another size, or narrow cells, break it."
    ),
    "Painted regions": (
        "Pixels near pure green, nothing cleaned. The published script also drops regions below "
        "3 % of the picture, and grows one where nothing is left. Both empty: 1."
    ),
    "Text to image": "Plain means of words, counts and places.",
}


def _tables(numbers: Mapping[str, Estimates]) -> tuple[Table, ...]:
    tables = (_table(title, columns, numbers) for title, columns in _COLUMNS.items())
    return tuple(table for table in tables if table.rows)


def _table(title: str, columns: Mapping[str, str], numbers: Mapping[str, Estimates]) -> Table:
    """A row for each generator that has the first figure."""
    first = next(iter(columns.values()))
    rows = []
    for generator, estimates in numbers.items():
        if first in estimates:
            n = estimates[first].n
            cells = (estimates[x].text(n) if x in estimates else "" for x in columns.values())
            rows.append((generator, str(n), *cells))
    return Table(title, ("generator", "n", *columns), tuple(rows), _NOTES[title])


def _findings(recorded: Recorded, outputs: Sequence[Output]) -> Iterator[str]:
    for reason, n in recorded.left_out.items():
        yield f"{counted(n, 'case')} left out, {reason}."
    for generator, rows in grouped(output.generator for output in outputs).items():
        cases = [outputs[row].case for row in rows]
        problems = [case.problem for case in cases if isinstance(case, CountCase)]
        for problem in dict.fromkeys(filter(None, problems)):
            yield f"{generator}: unread replies about counts, {problem}: {problems.count(problem)}."
        signs = sum(isinstance(c, TextCase) and not texts.is_spaced(c.reference) for c in cases)
        if signs:
            yield (
                f"{generator}: {counted(signs, 'reference')} of a script without spaces, which has "
                "no whole words; signs are compared."
            )
