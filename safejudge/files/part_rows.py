"""Rows of Parquet parts -> the records that they were made of. Pure; takes no pyarrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safejudge.files.records import DECISION

if TYPE_CHECKING:
    from safejudge.types import JSON


def record_of(row: JSON) -> JSON:
    """The record that a row was made of: without what it has not, the trace as it was."""
    decided = _decision(row.get(DECISION))
    if row.get("error") is not None:
        return {name: row.get(name) for name in ("image", "id", "error")} | decided
    kept: JSON = {name: value for name, value in row.items() if value is not None}
    if "looks" in kept:
        kept["usage"] = kept["usage"] | {"looks": kept.pop("looks")}
    if "by_engine" in kept:
        kept["usage"] = kept["usage"] | {"by_engine": json.loads(kept.pop("by_engine"))}
    rules = {"rules": json.loads(kept.get("rules", "{}"))}
    return {"score": None, "margin": None} | kept | rules | decided


def _decision(held: JSON | None) -> JSON:
    """What a row says to do with its image; nothing where no thresholds were given."""
    if held is None:
        return {}
    decision = {name: value for name, value in held.items() if value is not None}
    return {DECISION: decision | {"rules": json.loads(decision.get("rules", "{}"))}}
