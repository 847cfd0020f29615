"""Changes of a constitution as a person reads them: by rule, with the changed words marked.

Takes what `diff` found; gives a renderable for a `rich` console. The marks are signs, so that
they are there without colour as well; what others wrote passes `clean`.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from safejudge.constitution.diff import effect_of
from safejudge.text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from safejudge.constitution.diff import Change, Effect

_WORDS = re.compile(r"\w+(?:[-/']\w+)*|\s+|[^\w\s]")
_SIGNS = {"+": "green", "-": "red", "~": "yellow"}
_EFFECTS: dict[Effect, tuple[str, str]] = {
    "less": ("can only be violated less", "green"),
    "more": ("can only be violated more", "red"),
    "open": ("may be violated more or less", "yellow"),
    "none": ("same condition", "dim"),
}


def changed_rules(
    changes: Sequence[Change], beside: Mapping[str, Sequence[Text]] | None = None
) -> RenderableType:
    """Write the changes for a person, by rule, and a line that counts them.

    `beside` are lines that stand below the changes of a rule, by its id.
    """
    blocks: list[RenderableType] = []
    for rule, changed in groupby(changes, key=lambda change: change.rule):
        group = list(changed)
        blocks += [_heading(rule, group), _table(group)]
        if beside and rule in beside:
            blocks.append(marked("  >", beside[rule]))
        blocks.append(Text())
    return Group(*blocks, Text(_counts(changes)))


def marked(mark: str, lines: Sequence[Text]) -> Table:
    """Set lines in behind a mark, their further lines too."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=3)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(Text(mark, "dim"), line)
    return table


def _heading(rule: str, group: Sequence[Change]) -> Text:
    if not rule:
        return Text("constitution", "bold")
    if group[0].kind in ("rule added", "rule removed"):
        word, sign = ("added", "+") if group[0].old is None else ("removed", "-")
        return Text.assemble((clean(rule), "bold"), f"  {word}", style=_SIGNS[sign])
    return Text.assemble((clean(rule), "bold"), "  ", _EFFECTS[effect_of(group)])


def _table(group: Sequence[Change]) -> Table:
    """One change a row, its further lines set in."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=3)
    table.add_column(overflow="fold")
    mixed = effect_of(group) == "open"
    for change in group:
        sign = "+" if change.old is None else "-" if change.new is None else "~"
        lost = change.kind == "exception removed"
        body = Text(f"{change.kind}: ", "bold red" if lost else _SIGNS[sign])
        body = Text.assemble(body, _text(change))
        if location := _location(change):
            body.append(f"  in {clean(location)}", "dim")
        if mixed and change.effect in ("less", "more"):
            body.append(f"  (only {change.effect})", _EFFECTS[change.effect][1])
        table.add_row(Text(f"  {sign}", _SIGNS[sign]), body)
    return table


def _location(change: Change) -> str:
    """Say where in the condition; nothing for what stands in the one place of its role."""
    plain = all(label.endswith(" of") for label in change.path)
    return "" if plain and len(change.path) < 3 else " > ".join(change.path)


def _text(change: Change) -> Text:
    if change.old is None or change.new is None:
        return Text(clean(change.new or change.old or ""))
    return words(change.old, change.new)


def words(old: str, new: str) -> Text:
    """Write two texts as one, with [-what went-] and {+what came+}."""
    old_words, new_words = (_WORDS.findall(clean(text)) for text in (old, new))
    matcher = difflib.SequenceMatcher(str.isspace, old_words, new_words, autojunk=False)
    steps = matcher.get_opcodes()
    if matcher.ratio() < 0.5:  # crumbs in common only make it harder to read
        steps = [("replace", 0, len(old_words), 0, len(new_words))]
    between = "\n" if len(steps) == 1 and len(old) + len(new) > 60 else ""
    text = Text()
    for step, i, j, k, m in steps:
        removed, added = "".join(old_words[i:j]), "".join(new_words[k:m])
        if step == "equal":
            text.append(removed)
            continue
        text.append(f"[-{removed}-]{between}" if removed else "", "red")
        text.append(f"{{+{added}+}}" if added else "", "green")
    return text


def _counts(changes: Sequence[Change]) -> str:
    kinds = Counter(change.kind for change in changes)
    touched = len({change.rule for change in changes if change.rule})
    changed = touched - kinds["rule added"] - kinds["rule removed"]
    lost = kinds["exception removed"]
    line = f"rules: {kinds['rule added']} added, {kinds['rule removed']} removed, {changed} changed"
    return line + (f"; {counted(lost, 'exception')} removed" if lost else "")
