"""What one case of GIR-Bench comes to, ours and as published; and figures of many cases. Pure.

The formulas are those of `programs.scoring`. Ours beside the published ones: whole words in place
of words found anywhere; an expected 0 can be met; a puzzle is compared cell by cell. A picture
that is missing is wrong (the published scripts skip it); a reply that cannot be read is not right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from safejudge.evals.gir_bench.cases import (
    CountCase,
    GridCase,
    LayoutCase,
    MaskCase,
    SudokuCase,
    TextCase,
)
from safejudge.evals.stats import agreement
from safejudge.evals.stats.intervals import Estimate, grouped, share_of
from safejudge.programs.scoring import grids, layout, texts

if TYPE_CHECKING:
    from safejudge.evals.gir_bench.cases import Case, Relation
    from safejudge.evals.gir_bench.records import Output

Scores = dict[str, float | None]
"""Of one case, under stable names, in [0, 1]; None where a figure does not speak of it."""
Estimates = dict[str, Estimate]
PARTS = {
    "text_to_image": ("text.whole_words", "counts.right", "layout.right"),
    "text_to_image_published": ("text.published", "counts.published_right", "layout.right"),
}
"""Overall figures of text to image: plain means of three parts."""


def scores(case: Case) -> Scores:
    """Everything that one case comes to."""
    if isinstance(case, TextCase):
        return _text(case)
    if isinstance(case, CountCase):
        return _counts(case)
    if isinstance(case, LayoutCase):
        return _layout(case)
    if isinstance(case, MaskCase):
        return _mask(case)
    return _grid(case) if isinstance(case, GridCase) else _sudoku(case)


def _text(case: TextCase) -> Scores:
    seen = case.seen or ""
    share = texts.word_share(case.reference, seen)
    return {
        "published": texts.published_share(case.reference, seen),
        "repeated_words_counted": _repeated(case.reference, seen),
        # Where a word ends in a script without spaces nobody can tell: its signs are compared.
        "whole_words": share if texts.is_spaced(case.reference) else None,
        "words_and_signs": share,
        "missing": float(case.seen is None),
    }


def _repeated(reference: str, seen: str) -> float:
    """As published, but that a word counts as often as the reference has it."""
    wanted, read = (re.sub(r"[^a-z0-9 ]", "", text.lower()) for text in (reference, seen))
    return agreement.mean([word in read for word in wanted.split()] or [0.0])


def _counts(case: CountCase) -> Scores:
    right = published = False
    if case.counts is not None:
        found, missing = case.counts.found, case.counts.missing
        right = layout.counts_right(case.expected, found, missing)
        published = layout.published_counts_right(case.expected, found, missing)
    return {
        "right": float(right),
        "published_right": float(published),
        "unread": float(case.counts is None and not case.missing),
        "missing": float(case.missing),
    }


def _layout(case: LayoutCase) -> Scores:
    held = relations(case)
    return {
        "right": float(all(held) and _once(case)),
        "relations": agreement.mean([float(holds) for holds in held]),
        "missing": float(case.boxes is None),
    }


def _once(case: LayoutCase) -> bool:
    boxes = case.boxes or {}
    return all(len(boxes.get(name, ())) == 1 for name in case.objects)


def relations(case: LayoutCase) -> list[bool]:
    """Whether each relation holds; one of something that was not found exactly once does not."""
    return [_holds(relation, case) for relation in case.relations]


def _holds(relation: Relation, case: LayoutCase) -> bool:
    boxes = case.boxes or {}
    subject, other = (
        [boxes.get(name, ()) for name in group] for group in (relation.subject, relation.other)
    )
    if any(len(found) != 1 for found in (*subject, *other)):
        return False
    places = ([found[0] for found in group] for group in (subject, other))
    return layout.stands(relation.direction, *places)


def _sudoku(case: SudokuCase) -> Scores:
    drawn = case.drawn or ()
    question = grids.in_cells(case.question, case.side, case.cells)
    answer = grids.in_cells(case.answer, case.side, case.cells)
    solved = grids.by_cell(question, answer, grids.in_cells(drawn, case.side_drawn, case.cells))
    cell = case.side / case.cells
    return {
        "published": grids.published_share(case.question, case.answer, drawn, cell),
        "by_cell": solved.share,
        "givens_kept": solved.givens_kept,
        "missing": float(case.drawn is None),
    }


def _grid(case: GridCase) -> Scores:
    size = len(case.answer)
    drawn = case.drawn or ((0,) * size,) * size
    solved = grids.by_cell(case.question, case.answer, drawn)
    return {
        "by_cell": solved.share,
        "givens_kept": solved.givens_kept,
        "missing": float(case.drawn is None),
    }


def _mask(case: MaskCase) -> Scores:
    lies = case.overlap
    if lies is None:
        return {"iou": 0.0, "precision": None, "recall": 0.0, "f1": 0.0, "missing": 1.0}
    both = lies.found + lies.meant
    return {
        "iou": lies.iou,
        "precision": lies.precision,
        "recall": lies.recall,
        "f1": 2 * lies.shared / both if both else 1.0,
        "missing": 0.0,
    }


# --- many cases -----------------------------------------------------------------------------------


def figures(outputs: Sequence[Output]) -> Estimates:
    """Everything that one generator's cases come to."""
    results: Estimates = {}
    for subset, rows in grouped(output.subset for output in outputs).items():
        found = [scores(outputs[row].case) for row in rows]
        for name in found[0]:
            values = [value for score in found if (value := score[name]) is not None]
            results[f"{subset}.{name}"] = share_of(values)
    held = [
        (holds, output.name)
        for output in outputs
        if isinstance(output.case, LayoutCase)
        for holds in relations(output.case)
    ]
    if held:  # over relations, not over cases
        results["layout.relations"] = share_of([h for h, _ in held], [name for _, name in held])
    return results | _overall(results)


def _overall(results: Mapping[str, Estimate]) -> Estimates:
    """Plain means of three parts, where all three are there."""
    return {
        name: Estimate(agreement.mean([results[part].value for part in parts]), len(parts))
        for name, parts in PARTS.items()
        if all(part in results for part in parts)
    }
