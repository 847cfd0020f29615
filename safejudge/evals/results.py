"""Results of a benchmark -> files that other tools read, and tables for people.

`results.json` and `samples_SUITE.jsonl` have the shape of lmms-eval's; `tables.md` is for people.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from safejudge.errors import OutputError
from safejudge.evals.report import table

if TYPE_CHECKING:
    from safejudge.evals.outputs import Scored, Table
    from safejudge.types import JSON


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` where results cannot be written, before any work."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is no folder; name a new one")
    if (out / "results.json").exists() and not overwrite:
        raise OutputError(f"{out}: holds results already; name another folder, or --overwrite")


def write_results(out: Path, suite: str, scored: Scored, config: JSON) -> list[Path]:
    """Write results, samples and tables of one suite; return the files.

    `config` says how it was made. NaN is written as null: JSON has no other word for "undefined".
    """
    results = {
        "results": {suite: _plain(scored.numbers)},
        "configs": {suite: _plain(config)},
        "versions": {suite: metadata.version("safejudge")},
        "date": time.time(),
        "findings": list(scored.findings),
        "unread": list(scored.unread),
    }
    samples = [
        json.dumps({"doc_id": place, "doc_hash": _digest(sample), **_plain(sample)})
        for place, sample in enumerate(scored.samples)
    ]
    texts = {
        "results.json": json.dumps(results, indent=1, ensure_ascii=False) + "\n",
        f"samples_{suite}.jsonl": "".join(f"{line}\n" for line in samples),
        "tables.md": "\n\n".join([*map(_markdown, scored.tables), _listed(scored)]) + "\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror})") from error
    return [out / name for name in texts]


def shown(scored: Scored) -> RenderableType:
    """Tables, findings and what could not be read, for a terminal."""
    parts: list[RenderableType] = []
    for one in scored.tables:
        drawn = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for place, name in enumerate(one.columns):
            side: Literal["left", "right"] = "left" if place == 0 else "right"
            drawn.add_column(Text(name), justify=side, overflow="fold", no_wrap=place == 0)
        for row in one.rows:
            drawn.add_row(*map(Text, row))
        parts += [Text(one.title, style="bold underline"), drawn]
        parts += [Text(one.note, style="dim")] if one.note else []
        parts.append(Text())
    for heading, lines in (("Findings", scored.findings), ("Not read", scored.unread)):
        if lines:
            parts.append(Text(heading, style="bold underline"))
            parts += [Padding(Text(line), (0, 0, 0, 2)) for line in lines]
    return Group(*parts)


def _markdown(one: Table) -> str:
    note = f"\n\n{one.note}" if one.note else ""
    return f"### {one.title}\n\n{table(one.columns, one.rows)}{note}"


def _listed(scored: Scored) -> str:
    return "\n".join(f"- {line}" for line in (*scored.findings, *scored.unread))


def _plain(value: Any) -> Any:
    """The same with null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _digest(sample: JSON) -> str:
    return hashlib.sha256(json.dumps(_plain(sample), sort_keys=True).encode()).hexdigest()
