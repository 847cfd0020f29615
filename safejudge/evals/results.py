"""Results of a benchmark -> files that other tools read, and two for people.

`results.json` and `samples_SUITE.jsonl` hold everything, and two files of `lmms` the same as
lmms-eval writes it; `scores.csv` has a row per image and rule (`scores.parquet` the same, where
pyarrow is installed), `tables.md` is for people, and `report.html` too: one page with charts and
pictures.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.errors import OutputError
from safejudge.evals import harness, lmms
from safejudge.evals.page import Made, page
from safejudge.files.atomic import writing
from safejudge.show import markdown
from safejudge.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.evals.suite import EvalResult
    from safejudge.show.figures import Table
    from safejudge.types import JSON


RESULTS, PAGE, CONFIG = "results.json", "report.html", "config.json"
SHOWN = (RESULTS, PAGE)
"""Files that are made anew where one is missing."""


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` where results cannot be written, before any work."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is no folder; name a new one")
    if (out / RESULTS).exists() and not overwrite:
        raise OutputError(f"{out}: holds results already; name another folder, or --overwrite")


def write_config(out: Path, config: JSON) -> None:
    """Keep how a run was made, so that its results can be made anew from its records."""
    with writing(out / CONFIG):
        (out / CONFIG).write_text(_json(plain(config)), encoding="utf-8")


def read_config(out: Path, suite: str) -> JSON:
    """How a run was made, as far as its folder tells: one of an earlier version has no such file.

    That one says it in its results, or only in the head of its records.
    """
    config = _read_json(out / CONFIG)
    if not config:
        config = _read_json(out / RESULTS).get("configs", {}).get(suite, {})
    return config or {"provenance": harness.provenance_of(out)}


def made_of(out: Path, config: JSON) -> Made:
    """What made a run, by its settings and the head of its records."""
    provenance = config.get("provenance") or harness.provenance_of(out)
    named = [config.get("constitution"), str(provenance.get("constitution") or "")[:12]]
    data = config.get("data") or config.get("from_outputs")
    return Made(
        model=config.get("model") or provenance.get("model"),
        constitution=next((name for name in named if name), None),
        data=None if data is None else str(data),
        date=config.get("date"),
    )


def _read_json(path: Path) -> JSON:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_results(
    out: Path, suite: str, result: EvalResult, config: JSON, pictures: Path | None = None
) -> list[Path]:
    """Write results, samples, tables and the page of one suite; return the files.

    `config` says how it was made; `pictures` is the folder that the images of mistakes lie in,
    where the suite does not name one (default: the data). NaN is written as null: JSON has no other
    word for "undefined".
    """
    if pictures is None and config.get("data"):
        pictures = Path(config["data"])
    config, numbers = plain(config), plain(result.numbers)
    versions = {suite: metadata.version("safejudge")}
    made = made_of(out, config)
    results = {
        "headline": result.headline,
        "model": made.model,
        "constitution": made.constitution,
        "results": {suite: numbers},
        "configs": {suite: config},
        "versions": versions,
        "date": time.time(),
        "findings": list(result.findings),
        "coverage": None if result.coverage is None else asdict(result.coverage),
        "unread": list(result.unread),
    }
    if result.ranking is not None:
        results["ranking"] = asdict(result.ranking)
    samples = [
        {"doc_id": number, "doc_hash": _digest(sample), **sample}
        for number, sample in enumerate(map(plain, result.samples))
    ]
    for_lmms = lmms.results(suite, numbers, len(samples), config, versions)
    moment = lmms.moment_of(out)
    texts = {
        RESULTS: _json(results),
        f"samples_{suite}.jsonl": "".join(f"{json.dumps(sample)}\n" for sample in samples),
        "tables.md": "\n\n".join([*map(_markdown, result.tables), _listed(result)]) + "\n",
        PAGE: page(suite, result, config, result.pictures or pictures, made),
        f"{moment}_results.json": _json(for_lmms | {"date": moment}),
        f"{moment}_samples_{suite}.jsonl": "".join(lmms.samples(samples)),
        **result.files,
    }
    files = {name: text.encode() for name, text in texts.items()}
    if any("rules" in sample for sample in samples):
        files |= _scores(list(_rows(result)))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (out / name).write_bytes(data)
    return [out / name for name in files]


def _json(value: JSON) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


class _Row(NamedTuple):
    """One image and one rule; None where there is nothing."""

    image: str
    rule: str
    violated: bool | None
    """The target."""
    outcome: str
    """By the policy: `not_relevant` for a rule that its filter skips."""
    score: float | None
    unfiltered: str | None
    """The outcome without the filter, where one ran."""


def _rows(result: EvalResult) -> Iterator[_Row]:
    for sample in result.samples:
        violations, unknown = sample["target"]["violations"], sample["target"].get("unknown", ())
        for name, rule in sample["rules"].items():
            known = violations is not None and name not in unknown
            violated = name in violations if known else None
            score, unfiltered = plain(rule["score"]), rule.get("unfiltered")
            yield _Row(sample["image"], name, violated, rule["outcome"], score, unfiltered)


def _scores(rows: Sequence[_Row]) -> dict[str, bytes]:
    """The rows as CSV, and as Parquet where there is what writes it."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_Row._fields)
    for row in rows:
        table.writerow(map(_cell, row))
    files = {"scores.csv": text.getvalue().encode()}
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        return files
    kinds = (pa.string(), pa.string(), pa.bool_(), pa.string(), pa.float64(), pa.string())
    columns = [pa.array([row[number] for row in rows], kind) for number, kind in enumerate(kinds)]
    data = io.BytesIO()
    parquet.write_table(pa.table(columns, names=_Row._fields), data)
    return files | {"scores.parquet": data.getvalue()}


def _cell(value: bool | float | str | None) -> float | str | None:
    """A value for people who open the file in a spreadsheet: text that can be no formula.

    A name may begin a formula or hold what steers a terminal; `scores.parquet` has it as it is.
    """
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    return (
        f"'{clean(value)}"
        if value.lstrip()[:1] in _FORMULA or value[:1].isspace()
        else clean(value)
    )


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula in a spreadsheet, in either width."""


def _markdown(table: Table) -> str:
    note = f"\n\n{table.note}" if table.note else ""
    return f"### {table.title}\n\n{markdown.table(table.columns, table.rows)}{note}"


def _listed(result: EvalResult) -> str:
    return "\n".join(f"- {line}" for line in (*result.findings, *result.unread))


def plain(value: Any) -> Any:
    """The same with null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _digest(sample: JSON) -> str:
    return hashlib.sha256(json.dumps(sample, sort_keys=True).encode()).hexdigest()
