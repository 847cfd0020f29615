"""What a suite found, for people: tables, findings, and what could not be read.

A table fits the terminal: where there is no room for all columns, those that matter less
(`Table.keys` says which) stand under their row, each with its name. No number is broken. What goes
into a pipe is as wide as it needs to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.padding import Padding
from rich.text import Text

from safejudge.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from safejudge.show.figures import Table

_PROSE = 100
"""Columns of running text."""
_GAP = 2
"""Cells between two columns."""
_INDENT = 4
"""Of what stands under a row."""


def print_tables(
    console: Console,
    tables: Sequence[Table],
    findings: Sequence[str] = (),
    unread: Sequence[str] = (),
) -> None:
    """Print everything."""
    for table in tables:
        console.print(Text(clean(table.title), style="bold underline"))
        for line in _lines(table, console.width if console.is_terminal else None):
            console.print(line, soft_wrap=True)
        if table.note:
            console.print(Text(clean(table.note), style="dim"), width=min(console.width, _PROSE))
        console.print()
    for heading, texts in (("Findings", findings), ("Not read", unread)):
        if texts:
            console.print(Text(heading, style="bold underline"))
        for text in texts:
            finding = Padding(Text(clean(text)), (0, 0, 0, 2), expand=False)
            console.print(finding, width=min(console.width, _PROSE))


def print_end(console: Console, headline: str, files: Sequence[Path]) -> None:
    """Print the one number and the files last, where they are still on the screen."""
    if headline:
        console.print(Text.assemble("\n", (clean(headline), "bold")))
    if files:
        names = ", ".join(file.name for file in files)
        written = f"written to {files[0].parent}: {names}"
        console.print(Text(clean(written)), soft_wrap=not console.is_terminal)


def _lines(table: Table, width: int | None) -> Iterator[Text]:
    """Draw a table in at most `width` cells; None: as wide as it needs to be."""
    columns = [clean(name) for name in table.columns]
    rows = [[clean(cell) for cell in row] for row in table.rows]
    sizes = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    kept = list(range(len(columns)))
    if width is not None and sum(sizes) + _GAP * len(sizes) - _GAP > width:
        names = (columns[0], *(row[0] for row in rows))
        sizes[0] = max((n for n in map(cell_len, names) if n <= width // 2), default=0)
        kept = kept_columns(table, sizes, width)
    yield Text(_row(columns, kept, sizes), style="bold")
    for row in rows:
        if cell_len(row[0]) > sizes[0]:  # a long name has a line of its own
            yield from map(Text, _folded(row[0].split(" "), width or 0, 0))
            row = ["", *row[1:]]  # noqa: PLW2901 - its name stands above
            if len(kept) > 1:
                yield Text(_row(row, kept, sizes))
        else:
            yield Text(_row(row, kept, sizes))
        others = [f"{columns[n]} {row[n]}" for n in range(len(columns)) if n not in kept and row[n]]
        for line in _folded(others, width or 0, _INDENT):
            yield Text(line, style="dim")


def kept_columns(table: Table, sizes: Sequence[int], width: int) -> list[int]:
    """Choose the columns that stand side by side: the first, and the keys before the others."""
    keys = [table.columns.index(name) for name in table.keys]
    room, kept = width - sizes[0], {0}
    for column in dict.fromkeys([*keys, *range(1, len(table.columns))]):
        room -= sizes[column] + _GAP
        if column and room < 0:
            break
        kept.add(column)
    return sorted(kept)


def _row(cells: Sequence[str], kept: Sequence[int], sizes: Sequence[int]) -> str:
    first, *others = kept
    parts = [set_cell_size(cells[first], sizes[first])]
    parts += [" " * (sizes[n] - cell_len(cells[n])) + cells[n] for n in others]
    return (" " * _GAP).join(parts).rstrip()


def _folded(pieces: Sequence[str], width: int, indent: int) -> Iterator[str]:
    """Put pieces into lines, each piece whole, unless it alone is longer than a line."""
    line = ""
    for piece in pieces:
        longer = f"{line}{' ' * (_GAP if indent else 1)}{piece}" if line else " " * indent + piece
        if line and cell_len(longer) > width:
            yield line
            longer = " " * indent + piece
        line = longer
        while cell_len(line) > width > indent:
            head = set_cell_size(line, width)
            yield head
            line = " " * indent + line[len(head.rstrip()) :]
    if line:
        yield line
