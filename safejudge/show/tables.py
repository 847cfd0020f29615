"""What a suite found, for people: tables, findings, and what could not be read."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from safejudge.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.show.figures import Table

_WIDEST = 400
_PROSE = 100
"""Columns of running text."""


def print_tables(
    console: Console,
    tables: Sequence[Table],
    findings: Sequence[str] = (),
    unread: Sequence[str] = (),
) -> None:
    """Print everything; a table is as wide as it needs to be.

    Cells with intervals cannot be folded and still be read; a narrow terminal breaks the lines.
    """
    for table in tables:
        console.print(Text(clean(table.title), style="bold underline"))
        _print_table(table, console)
        if table.note:
            console.print(Text(clean(table.note), style="dim"), width=min(console.width, _PROSE))
        console.print()
    for heading, texts in (("Findings", findings), ("Not read", unread)):
        if texts:
            console.print(Text(heading, style="bold underline"))
        for text in texts:
            line = Padding(Text(clean(text)), (0, 0, 0, 2), expand=False)
            console.print(line, width=min(console.width, _PROSE))


def _print_table(table: Table, console: Console) -> None:
    drawn = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if index == 0 else "right"
        drawn.add_column(Text(clean(name)), justify=side, no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(clean(cell)) for cell in row))
    wide = Console(file=StringIO(), width=_WIDEST, force_terminal=console.is_terminal)
    width = max(console.width, Measurement.get(wide, wide.options, drawn).maximum)
    # A console of its own, because none prints wider than it is.
    wide = Console(file=StringIO(), width=width, force_terminal=console.is_terminal)
    with wide.capture() as lines:
        wide.print(drawn)
    text = "\n".join(line.rstrip() for line in lines.get().splitlines())
    console.print(Text.from_ansi(text), soft_wrap=True)
