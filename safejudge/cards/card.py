"""A run and perhaps thresholds -> its card, as JSON for Coop or as Markdown for people."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from safejudge.cards.recommended import card_rule
from safejudge.cards.sections import sections
from safejudge.cards.shape import Card, Measured
from safejudge.evals.results import plain
from safejudge.show import markdown
from safejudge.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.cards.acted import Calibrated
    from safejudge.cards.run import Facts
    from safejudge.cards.shape import Subsection
    from safejudge.show.figures import Table

_MARKUP = re.compile(r"([\\`*_\[\]|<>#~!])")


def card_of(facts: Facts, found: Calibrated | None) -> Card:
    """Make the card; `found` is None where no thresholds were given."""
    made, rules = facts.provenance, facts.constitution
    named = "" if facts.rules is None else f"{facts.rules}, judged by "
    revision = made.revision[:12] or "unknown"
    return Card(
        model_name=f"safejudge: {named}{made.model}",
        version=f"rules {made.constitution[:12] or 'none'}, model {revision}",
        release_date=facts.date,
        sections=sections(facts, found),
        safejudge=Measured(
            suite=facts.suite,
            provenance=made,
            constitution=facts.rules,
            images=facts.images,
            labels=facts.labels_digest,
            rules=() if rules is None else tuple(card_rule(rule, found) for rule in rules.rules),
            thresholds=None if found is None else found.digest,
            seen=0 if found is None else found.seen,
            at_thresholds={} if found is None else found.acted,
            numbers=plain(facts.result.numbers),
        ),
    )


def to_json(card: Card) -> str:
    """Write a card as Coop reads it; undefined figures are null."""
    content = card.model_dump(mode="json", by_alias=True)
    if card.release_date is None:  # Coop knows a text there, or nothing
        del content["releaseDate"]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def to_markdown(card: Card, tables: Iterable[Table]) -> str:
    """Write a card for people: the same seven sections, what is a table as one."""
    lines = [f"# {_shown(card.model_name)}", "", f"Version: {_shown(card.version)}"]
    if card.release_date is not None:
        lines += ["", f"Date: {_shown(card.release_date)}"]
    by_title = {table.title: table for table in tables}
    for section in card.sections:
        lines += ["", f"## {section.title}"]
        for part in section.subsections:
            lines += ["", f"### {_shown(part.title)}", ""]
            table = by_title.get(part.title)
            lines += _fields(part) if table is None else _table(table)
    return "\n".join(lines) + "\n"


def _fields(part: Subsection) -> list[str]:
    return [f"- **{_shown(field.label)}**: {_shown(field.value)}" for field in part.fields]


def _table(table: Table) -> list[str]:
    rows = [[_shown(cell) for cell in row] for row in table.rows]
    lines = [markdown.table([_shown(name) for name in table.columns], rows)]
    return [*lines, "", _shown(table.note)] if table.note else lines


def _shown(text: str) -> str:
    """Make text that others wrote stay text: on one line, and no markup; an address stays one."""
    line = clean(one_line(text))
    return f"<{line}>" if re.fullmatch(r"https://[\w./-]+", line) else _MARKUP.sub(r"\\\1", line)
