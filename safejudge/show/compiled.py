"""What the compiler did, for people: one row per rule, and what is left for them to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from safejudge.text import clean, counted
from safejudge.types import leaves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.compile.run import Compiled

_STYLES = {"ready": "green", "review": "yellow", "failed": "bold red"}


def compiled_rules(results: Sequence[Compiled]) -> Group:
    """A table of the rules, and below it everything that is open."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("rule", "objectiveness", "statements", "entry", "result"):
        table.add_column(name, overflow="fold")
    notes: list[RenderableType] = []
    for result in results:
        state = _state(result)
        entry = None if result.state == "failed" else result.entry
        table.add_row(
            Text(clean(result.id)),
            Text(" > ".join(str(version.score) for version in entry.versions) if entry else ""),
            Text(str(len(list(leaves(entry.condition)))) if entry else ""),
            Text(_origin(result)),
            Text(state, style=_STYLES[state]),
        )
        remarks = list(dict.fromkeys(result.remarks))
        if entry is None:
            remarks.append("next: another model, or a condition written by hand")
        if remarks:
            notes.append(Text(f"\n{clean(result.id)}", style="bold"))
            notes += [Padding(Text(clean(remark)), (0, 0, 0, 2)) for remark in remarks]
    return Group(table, *notes)


def summary(results: Sequence[Compiled], lock: Path) -> str:
    """One line: how many rules are ready, open and failed, and where the lock is."""
    states = [_state(result) for result in results]
    counts = ", ".join(f"{states.count(name)} {name}" for name in _STYLES)
    output = clean(str(lock)) if lock.exists() else "no lock was written"
    whose = "its" if len(results) == 1 else "their"
    rules = f"{counted(len(results), 'rule')} without a condition of {whose} own"
    return f"{rules}: {counts}; {output}"


def _state(result: Compiled) -> str:
    if result.state == "failed":
        return "failed"
    return "ready" if result.clean else "review"


def _origin(result: Compiled) -> str:
    if result.state == "failed":
        return "the earlier one" if result.entry else "none"
    edited = result.entry is not None and result.entry.edited
    return "kept, edited by hand" if edited else "kept" if result.state == "kept" else "new"
