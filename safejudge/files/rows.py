"""Files of rows that people write: JSONL or CSV, in UTF-8 -> one dictionary a row, with its line.

Whatever cannot be meant so is an `InputError` that names file and line; nothing is passed over
silently but further columns, which are the caller's business. A key or a column that stands twice
is refused: which of two values is meant nobody knows.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.text import quoted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from safejudge.types import JSON


def read_rows(
    file: str | os.PathLike[str],
    columns: Sequence[str],
    example: str,
    from_text: Callable[[JSON], JSON] = dict,
) -> Iterator[tuple[int, JSON]]:
    """Yield line (1-based) and content of every row: JSONL if the first character is `{`, else CSV.

    Every row has `columns`, perhaps among others. `example` is one row as JSON, for messages;
    `from_text` makes values of the texts of a CSV row.
    """
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 ({error.reason}); save it as UTF-8") from error
    if text.lstrip().startswith("{"):
        yield from _json_rows(text, f"{file}", columns, example)
    else:
        for line, row in _csv_rows(text, f"{file}", columns, example):
            yield line, from_text(row)


def _json_rows(
    text: str, file: str, columns: Sequence[str], example: str
) -> Iterator[tuple[int, JSON]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}:{number}: no JSON on this line ({error})") from error
        if isinstance(row, Doubled):
            raise InputError(
                f"{file}:{number}: the key {quoted(row.key)} stands twice; keep one of them"
            )
        if not isinstance(row, dict) or not row.keys() >= set(columns):
            raise InputError(f"{file}:{number}: write one {example} per line")
        yield number, row


def _csv_rows(
    text: str, file: str, columns: Sequence[str], example: str
) -> Iterator[tuple[int, JSON]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        if not set(columns) <= set(head):
            raise InputError(
                f"{file}:1: the first line must name the columns `{','.join(columns)}`; or write "
                f"JSONL, one {example} per line"
            )
        if (twice := twice_in(head)) is not None:
            raise InputError(f"{file}:1: the column {quoted(twice)} stands twice; keep one of them")
        for row in rows:
            if row and len(row) != len(head):
                raise InputError(
                    f"{file}:{rows.line_num}: has another number of columns than the first line; "
                    f"put a {columns[-1]} with a comma in quotes"
                )
            if row:
                yield rows.line_num, dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{file}:{rows.line_num}: no CSV ({error}); mind the quotes") from error


# --- what stands twice ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Doubled:
    """Stands for a JSON object that has a key twice, in itself or below: nobody knows which counts.

    JSON's own readers take the last one and say nothing.
    """

    key: str


def parse_json(text: str | bytes) -> Any:
    """Read JSON as `json.loads` does, but for objects with a key twice: those are `Doubled`."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> JSON | Doubled:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = Counter(name for name, _ in pairs)
        return Doubled(names.most_common(1)[0][0])
    below = (found for value in content.values() if (found := _doubled(value)))
    return next(below, content)


def _doubled(value: Any) -> Doubled | None:
    if isinstance(value, list):
        return next((found for part in value if (found := _doubled(part))), None)
    return value if isinstance(value, Doubled) else None


def twice_in(head: Sequence[str]) -> str | None:
    """The first column that stands twice, capitals aside; columns without a name may."""
    seen: set[str] = set()
    for name in head:
        if name and name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return None
