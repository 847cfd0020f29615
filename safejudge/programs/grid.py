"""`grid`: whether the digits of a number puzzle stand in its cells.

program: {grid: "{solution}", given: "{puzzle}"}
program: {grid: "2314 1423 3241 4132"}            # rows; 0 or . is an empty cell
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.errors import ArgumentError
from safejudge.programs import ocr
from safejudge.programs.base import Found, Program, is_slot, share, shown
from safejudge.programs.scoring import grids
from safejudge.programs.scoring.texts import SURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.programs.scoring.grids import Rows
    from safejudge.types import JSON, Box, Picture

_EXAMPLE = '`grid: "2314 1423 3241 4132"`: as many rows as columns, digits only'
_MOST = 9


class Grid(Program):
    """Reads a square grid that fills the picture, cell by cell, in cells of the picture's size."""

    name = "grid"
    version = "1"
    options = ("given", "at_least")

    def check(self, arguments: JSON) -> JSON:
        """Check the solution, the puzzle (`given`), and the share of its empty cells."""
        checked: JSON = {"grid": _written(arguments["grid"])}
        if "given" in arguments:
            checked["given"] = _written(arguments["given"])
            sizes = {len(_rows(v)) for k, v in checked.items() if not is_slot(v)}
            if len(sizes) > 1:
                raise ArgumentError("has a solution and a puzzle of two sizes", _EXAMPLE)
        checked["at_least"] = share(arguments, "at_least", 1.0)
        return checked

    def prepare(self) -> None:
        """Open the OCR."""
        ocr.reader()

    def files(self) -> tuple[Path, ...]:
        """Name the OCR's models."""
        return ocr.model_files()

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Read every cell; givens must be kept, and enough of the others right."""
        del boxes
        answer = _rows(arguments["grid"])
        size = len(answer)
        question = _rows(arguments["given"]) if "given" in arguments else _empty(size)
        read = ocr.reader().cells(picture, size)
        drawn = tuple(tuple(_digit(*cell) for cell in row) for row in read)
        solved = grids.by_cell(question, answer, drawn)
        rows = " ".join("".join(map(str, row)) for row in drawn)
        said = f"read {rows}: {solved.right} of {solved.empty} cells right"
        if solved.givens:
            said += f", {solved.kept} of {solved.givens} givens kept"
        facts = {
            "rows": rows, "empty": solved.empty, "right": solved.right,
            "givens": solved.givens, "givens_kept": solved.kept,
        }  # fmt: skip
        holds = solved.share >= arguments["at_least"] and solved.kept == solved.givens
        return Found(solved.share, holds, said, facts=facts)


def _digit(text: str, sure: float) -> int:
    """Read a cell: a digit that is sure enough, or nothing (0)."""
    is_one = len(text) == 1 and text in "0123456789" and sure > SURE
    return int(text) if is_one else 0


def _written(value: Any) -> str:
    """Write rows in one form: "2314 1423"."""
    if is_slot(value):
        return str(value)
    if isinstance(value, list | tuple):
        rows = [
            "".join(map(str, row)) if isinstance(row, list | tuple) else str(row) for row in value
        ]
    else:
        rows = str(value).replace("/", " ").split()
    if len(rows) == 1 and len(rows[0]) in (16, 36, 81):  # a square on one line
        side = round(len(rows[0]) ** 0.5)
        rows = [rows[0][start : start + side] for start in range(0, len(rows[0]), side)]
    rows = [row.replace(".", "0") for row in rows]
    square = 2 <= len(rows) <= _MOST and all(len(row) == len(rows) for row in rows)
    if not square or not all(sign in "0123456789" for row in rows for sign in row):
        raise ArgumentError(f"has {shown(value)}, which is no square of digits", _EXAMPLE)
    return " ".join(rows)


def _rows(written: str) -> Rows:
    return tuple(tuple(int(sign) for sign in row) for row in written.split())


def _empty(size: int) -> Rows:
    return tuple((0,) * size for _ in range(size))
