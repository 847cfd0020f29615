"""Files of rows that people write: JSONL or CSV, in UTF-8 -> one dictionary a row, with its line.

Whatever cannot be meant so is an `InputError` that names file and line; nothing is passed over
silently but further columns, which are the caller's business.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError

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
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}:{number}: no JSON on this line ({error})") from error
        if not isinstance(row, dict) or not row.keys() >= set(columns):
            raise InputError(f"{file}:{number}: write one {example} per line")
        yield number, row


def _csv_rows(
    text: str, file: str, columns: Sequence[str], example: str
) -> Iterator[tuple[int, JSON]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if not set(columns) <= set(rows.fieldnames or ()):
            raise InputError(
                f"{file}:1: the first line must name the columns `{','.join(columns)}`; or write "
                f"JSONL, one {example} per line"
            )
        for row in rows:
            if None in row or None in row.values():
                raise InputError(
                    f"{file}:{rows.line_num}: has another number of columns than the first line; "
                    f"put a {columns[-1]} with a comma in quotes"
                )
            yield rows.line_num, row
    except csv.Error as error:
        raise InputError(f"{file}:{rows.line_num}: no CSV ({error}); mind the quotes") from error
