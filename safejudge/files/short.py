"""Short records: what acting on an image takes, without how it came about.

Takes a record as `records.record` makes it; gives one that keeps image, id, label, what was looked
at, scores, outcomes, decision and people, and drops every answer. Two things are worked out first,
since they hang on the answers: whether all that was asked was answered, for a run that goes on, and
whether a rule's score rests on answers, for thresholds. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.files.records import DECISION, FORM, PEOPLE, SHORT
from safejudge.files.standing import UNREAD, unanswered_rules

if TYPE_CHECKING:
    from safejudge.types import JSON

_KEPT = ("image", "id", "label", "violations", "score", "margin")
_COVERAGE = ("frames", "caption", "undecided_by")
"""Kept where there is anything to say."""
_SPARSE = {"bound": "exact", "frame": None, "background": None}
"""Of a rule, kept where they are something else."""
_SILENT = ("label_mass", "unreadable")
"""Tests of statements that got no readable answer."""


def shortened(record: JSON) -> JSON:
    """Leave out how a record came about; a failure has nothing to leave out."""
    if record.get("error") is not None:
        return _marked(record, dict(record))
    rules: JSON = record["rules"]
    short: JSON = {name: record[name] for name in _KEPT}
    short["rules"] = {name: _rule(verdict) for name, verdict in rules.items()}
    short["usage"] = {n: count for n, count in record["usage"].items() if n != "by_engine"}
    short |= {n: record[n] for n in _COVERAGE if record.get(n)}
    short |= {n: record[n] for n in (DECISION, PEOPLE, "provenance") if n in record}
    if unread := unanswered_rules(record):
        short[UNREAD] = unread
    return _marked(record, short)


def _marked(record: JSON, short: JSON) -> JSON:
    """Say in a record that no head stands before that it is short."""
    return short | ({FORM: SHORT} if "provenance" in record else {})


def _rule(verdict: JSON) -> JSON:
    kept = {name: verdict[name] for name in ("outcome", "score", "margin")}
    kept |= {n: verdict[n] for n, usual in _SPARSE.items() if verdict.get(n, usual) != usual}
    leaves = verdict.get("preconditions", ())
    if verdict["outcome"] == "undecided" and any(leaf["test"] in _SILENT for leaf in leaves):
        kept["unread"] = True
    return kept
