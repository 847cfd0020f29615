"""Rows of public preference sets -> pairs: Pick-a-Pic, HPD v2, ImageRewardDB.

Takes a file as each is released; gives pairs and what makes none, counted by why. Which set it is
follows from its columns.

- Pick-a-Pic (arXiv 2305.01569): Parquet, `caption`, `jpg_0`, `jpg_1`, `label_0` (1, 0, or 0.5 for a
  tie), `has_label`.
- HPD v2 (arXiv 2306.09341): a JSON list, `prompt` and two pictures (`image_path` or `file_path`)
  with `human_preference` (1 beside the better), or several with `rank` (lower is better).
- ImageRewardDB (arXiv 2304.05977): a JSON list, a row a picture: `image_path`, `prompt_id`,
  `prompt`, `rank` (lower is better).

Paths are from the file's folder, or one above it; where a set names folders that are not there, a
picture beside the file counts.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import combinations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.files.below import leads_out
from safejudge.files.rows import Doubled, parse_json
from safejudge.preference.pair_file import Pair, read_pairs
from safejudge.preference.rubrics import OVERALL
from safejudge.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.types import JSON

SUFFIXES = (".json", ".parquet")
"""Files that a public set may be."""
_ABOVE = 4
"""Folders above the file in which paths may begin."""


@dataclass(slots=True)
class Public:
    """What a file holds."""

    pairs: list[Pair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows, or pairs of a ranking, that give none, by why."""


def read_any(file: Path, aspects: Sequence[str] = ()) -> list[Pair]:
    """Read pairs of a public set, or of a file of one's own; what gives none is a warning.

    Raises `InputError` where there is no pair, and as `read_pairs` does.
    """
    if file.suffix.lower() not in SUFFIXES:
        return read_pairs(file, aspects)
    if strange := [name for name in aspects if name != OVERALL]:
        raise InputError(f"{file}: public pairs have the aspect {OVERALL}, not {strange[0]}")
    found = read_public(file)
    told = ", ".join(f"{count} x {why}" for why, count in found.left_out.most_common())
    if not found.pairs:
        raise InputError(f"{file}: holds no pair ({told or 'it is empty'})")
    if told:
        warnings.warn(f"{file}: no pairs of {told}", UserWarning, stacklevel=2)
    return found.pairs


def read_public(file: Path) -> Public:
    """Read a file of one of the sets. Raises `InputError` for another."""
    found = Public()
    if file.suffix.lower() == ".parquet":
        _read_pick_a_pic(file, found)
        return found
    rows = _json_rows(file, found)
    keys = set(rows[0]) if rows else set()
    if {"prompt_id", "image_path", "rank"} <= keys:
        _read_image_reward(file, rows, found)
    elif "prompt" in keys and keys & {"human_preference", "rank"}:
        _read_hpd(file, rows, found)
    else:
        raise InputError(
            f"{file}: is no list of HPD v2 or ImageRewardDB (its first row has "
            f"{', '.join(sorted(keys)[:8]) or 'nothing'}); your own pairs go into JSONL or CSV"
        )
    return found


# --- Pick-a-Pic -----------------------------------------------------------------------------------


def _read_pick_a_pic(file: Path, found: Public) -> None:
    if find_spec("pyarrow") is None:
        raise InputError(f"{file}: reading it needs pyarrow; pip install 'safejudge[eval]'")
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    wanted = ("caption", "jpg_0", "jpg_1", "label_0")
    try:
        with parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            if lacking := [name for name in wanted if name not in names]:
                raise InputError(
                    f"{file}: has no column {lacking[0]}; Pick-a-Pic has {', '.join(wanted)}"
                )
            columns = [*wanted, *({"has_label"} & set(names))]
            for batch in table.iter_batches(batch_size=64, columns=columns):
                for row in batch.to_pylist():
                    _add_pick(file, row, found)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file}: cannot be read ({one_line(str(error))[:200]})") from error


def _add_pick(file: Path, row: JSON, found: Public) -> None:
    label, images = row["label_0"], (row["jpg_0"], row["jpg_1"])
    if row.get("has_label") is False or not isinstance(label, int | float) or label not in (0, 1):
        found.left_out["a tie" if label == 0.5 else "no label"] += 1
    elif not all(isinstance(image, bytes) and image for image in images):
        found.left_out["a picture is not there"] += 1
    elif images[0] == images[1]:
        found.left_out["the same picture twice"] += 1
    else:
        better, worse = images if label == 1 else images[::-1]
        names = [hashlib.sha256(image).hexdigest() for image in (better, worse)]
        prompt = row["caption"] if isinstance(row["caption"], str) else ""
        content = (better, worse)
        found.pairs.append(Pair(prompt, names[0], names[1], OVERALL, file.parent, content))


# --- lists of JSON --------------------------------------------------------------------------------


def _json_rows(file: Path, found: Public) -> list[JSON]:
    try:
        rows = parse_json(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: cannot be read as JSON ({one_line(str(error))[:200]})"
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict | Doubled) for row in rows):
        raise InputError(f"{file}: is no list of rows; your own pairs go into JSONL or CSV")
    if doubled := sum(isinstance(row, Doubled) for row in rows):
        found.left_out["a row with a key twice"] += doubled
    return [row for row in rows if isinstance(row, dict)]


def _read_hpd(file: Path, rows: Sequence[JSON], found: Public) -> None:
    for row in rows:
        names = row.get("image_path") or row.get("file_path")
        ranks = row.get("rank")
        if ranks is None and isinstance(row.get("human_preference"), list):
            ranks = [-n if _is_number(n) else None for n in row["human_preference"]]
        if not isinstance(names, list) or not isinstance(ranks, list) or len(names) != len(ranks):
            found.left_out["pictures and labels do not go together"] += 1
            continue
        _add_ranked(file, row.get("prompt"), list(zip(names, ranks, strict=True)), found)


def _read_image_reward(file: Path, rows: Sequence[JSON], found: Public) -> None:
    by_prompt: dict[str, list[JSON]] = {}
    for row in rows:
        by_prompt.setdefault(str(row.get("prompt_id")), []).append(row)
    for group in by_prompt.values():
        ranked = [(row.get("image_path"), row.get("rank")) for row in group]
        _add_ranked(file, group[0].get("prompt"), ranked, found)


def _add_ranked(file: Path, prompt: Any, ranked: Sequence[tuple[Any, Any]], found: Public) -> None:
    """Add a pair for every two pictures of which one stands before the other."""
    named = [
        (name, rank)
        for name, rank in ranked
        if isinstance(name, str) and name.strip() and _is_number(rank)
    ]
    if len(named) < len(ranked):
        found.left_out["a picture without a name or a rank"] += len(ranked) - len(named)
    elif len(named) == 1:
        found.left_out["a prompt with one picture"] += 1
    for (one, first), (two, second) in combinations(named, 2):
        if first == second or one == two:
            found.left_out["a tie" if one != two else "the same picture twice"] += 1
            continue
        better, worse = (one, two) if first < second else (two, one)
        places = _placed(file, better), _placed(file, worse)
        if places[0] is None or places[1] is None:
            found.left_out["a path that leads out of the folder"] += 1
            continue
        root = _folders(file)[-1]
        chosen, rejected = (str(place.relative_to(root)) for place in places if place is not None)
        text = prompt if isinstance(prompt, str) else ""
        found.pairs.append(Pair(text, chosen, rejected, OVERALL, root))


def _is_number(value: Any) -> bool:
    if isinstance(value, int):  # of any size, which no float holds
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _placed(file: Path, name: str) -> Path | None:
    """Find a picture: by its path from the file's folder or one above, else beside the file."""
    plain = name.replace("\\", "/")
    for folder in _folders(file):
        if leads_out(folder, plain):
            return None
        try:
            if (folder / plain).is_file():
                return folder / plain
        except OSError:  # a name that is too long for a file; then none is there
            break
    return file.resolve().parent / PurePosixPath(plain).name


def _folders(file: Path) -> list[Path]:
    folder = file.resolve().parent
    return [folder, *list(folder.parents)[:_ABOVE]]
