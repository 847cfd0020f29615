"""Rows of a journal: results and what made them -> what is kept, and back."""

from __future__ import annotations

import hashlib
import json
import uuid
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safejudge.files import records
from safejudge.types import Constitution, Judgment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.judge import Judge
    from safejudge.types import JSON, Decision, Result, Rule

FAILED = "failed"
"""The label of an image that could not be judged."""


@dataclass(frozen=True, slots=True)
class Need:
    """A question to people about one image."""

    rule: str
    why: str
    """undecided, between (thresholds), shadow or audit."""
    rank: float
    """How urgent it is, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Row:
    """One judgment to be kept."""

    result: Result
    decision: Decision | None = None
    """What thresholds said."""
    caption: str | None = None
    """Of which a digest is kept."""
    client: str = ""
    variant: str = ""
    """The name of a shadow; empty for what was answered."""
    needs: tuple[Need, ...] = ()
    """What people should look at."""
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """One judgment as the journal has it."""

    id: int
    at: float
    image: str
    image_id: str
    head: int
    variant: str
    client: str
    label: str
    action: str | None
    record: JSON = field(repr=False)
    """As `judge --out` writes it."""


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What made judgments."""

    head: JSON
    """As the head of a file of records says it."""
    digest: str
    """Of what makes another judgment."""
    rules: Mapping[str, str]
    """The digest of each rule, by id; see `rule_digest`."""


def made_of(head: JSON) -> MadeBy:
    """Say what a head of records tells of the judgments below it."""
    rules = Constitution.model_validate(head["constitution"])
    return MadeBy(head, _digest(_compared(head)), rule_digests(rules))


def made_by(judge: Judge) -> MadeBy:
    """Say what a judge makes."""
    head = head_of(judge)
    return MadeBy(head, _digest(_compared(head)), rule_digests(judge.constitution))


def head_of(judge: Judge) -> JSON:
    """Say what made judgments, as the head of a file of records."""
    made = judge.provenance
    return records.header(made.versions["safejudge"], made, None, judged_by=judge.described())


def rule_digest(rule: Rule) -> str:
    """Return what a decision about a rule hangs on: what it says, and by what it is judged.

    Unlike what thresholds hang on (`Rule.digest`) it leaves out the text of the
    relevance filter, which changes scores and nothing that a person decided.
    """
    said = rule.model_dump(mode="json", include={"text", "objective", "condition"})
    return digest_of(json.dumps(said, sort_keys=True))[:16]


def rule_digests(constitution: Constitution) -> dict[str, str]:
    """Return the digest of each rule, by id."""
    return {rule.id: rule_digest(rule) for rule in constitution.rules}


def digest_of(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def packed(record: JSON) -> bytes:
    """Compress a record."""
    return zlib.compress(records.to_line(record).encode(), 6)


def unpacked(content: bytes) -> JSON:
    """Read a compressed record."""
    record: JSON = json.loads(zlib.decompress(content))
    return record


def judged_by(head: JSON) -> str:
    """Digest what made judgments, but for the list of what was shown to nobody, which grows."""
    made = _compared(head)
    del made["provenance"]["skip_hashes"]
    return _digest(made)


def _compared(head: JSON) -> JSON:
    """Leave of a head what makes another judgment: versions and days may move on."""
    made = head["provenance"]
    named = {name: made.get(name) for name in (*records.COMPARED, *records.BESIDE)}
    return {"provenance": named} | {name: head.get(name) for name in ("constitution", "policy")}


def values_of(row: Row) -> JSON:
    """Return what the row of a judgment holds, but when it came and what made it."""
    result, decision = row.result, row.decision
    record = records.record(
        result.image, result, None, None if decision is None else decision.record()
    )
    return {
        "image": record["image"],
        "image_id": image_id_of(result),
        "caption": digest_of(row.caption) if row.caption else "",
        "variant": row.variant,
        "client": row.client,
        "label": result.label if isinstance(result, Judgment) else FAILED,
        "action": None if decision is None else decision.action,
        "score": result.score if isinstance(result, Judgment) else None,
        "record": packed(record),
        "thumbnail": row.thumbnail,
    }


def image_id_of(result: Result) -> str:
    """Name an image by its bytes; where nobody had any, each try is one of its own."""
    return result.id or digest_of(f"none:{uuid.uuid4()}")


def kept_of(row: Any) -> Kept:
    """Read a row."""
    return Kept(
        row.id, row.at, row.image, row.image_id, row.head, row.variant, row.client, row.label,
        row.action, unpacked(row.record),
    )  # fmt: skip


def _digest(made: JSON) -> str:
    return digest_of(json.dumps(made, sort_keys=True))
