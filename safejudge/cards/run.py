"""The folder of a run of `eval` -> what its card can say. Nothing is filled in.

Asks no model: tables are made from the records once more. What no file of the folder holds is None,
and the card says that it is unknown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from safejudge.constitution.load import load_constitution
from safejudge.errors import InputError
from safejudge.evals import harness, reliability, results, suites
from safejudge.evals.labelled.labels import read_labels
from safejudge.evals.labelled.suite import CONSTITUTION, LABELS
from safejudge.files.tally import Tally
from safejudge.show.page.made_by import policy_of
from safejudge.types import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.suite import EvalResult
    from safejudge.policy import Policy
    from safejudge.types import JSON, Constitution


@dataclass(frozen=True, slots=True)
class Facts:
    """What the folder of a run tells."""

    suite: str
    """The name of the suite."""
    summary: str
    """What it judges, in a line."""
    provenance: Provenance
    policy: Policy | None
    """None where no known policy has the run's digest."""
    constitution: Constitution | None
    """None where the folder does not hold the rules."""
    rules: str | None
    """The name of the rules."""
    date: str | None
    data: str | None
    """The name of the data, without the folders above it: a card is for strangers too."""
    result: EvalResult
    judged: int
    """Images with a judgment, or other samples with a record."""
    tally: Tally
    """Over the records of images."""
    images: str | None
    """Sha256 over the ids of images, sorted."""
    labels: tuple[Label, ...]
    """Of labelled images; else none."""
    labels_digest: str | None

    @property
    def drawn(self) -> bool:
        """Whether the judge knows drawn scenes and nothing else."""
        return self.provenance.model.partition(":")[2] == "sketch"


def read_run(folder: Path, policies: Iterable[Policy]) -> Facts:
    """Read the folder that `eval --out` wrote. Raises `InputError`.

    `policies` are those among which the run's is looked for, by its digest.
    """
    name = suites.suite_of(folder)
    suite = suites.find_suite(name)
    result = reliability.read(suite, folder)
    config = results.read_config(folder, name)
    provenance = _provenance(folder, config)
    records = harness.recorded(folder)
    tally = Tally()
    for record in records.values():
        if "usage" in record or "error" in record:
            tally.add(record)
    rules = folder / CONSTITUTION
    constitution = load_constitution(rules) if rules.is_file() else None
    labels, labels_digest = _labels(folder, constitution)
    named = config.get("data")
    return Facts(
        suite=name,
        summary=suite.summary,
        provenance=provenance,
        policy=policy_of(provenance, policies),
        constitution=constitution,
        rules=config.get("constitution") if constitution is None else constitution.name,
        date=config.get("date"),
        data=None if named is None else PurePath(str(named)).name,
        result=result,
        judged=len(records) if result.coverage is None else result.coverage.judged,
        tally=tally,
        images=_images(records),
        labels=labels,
        labels_digest=labels_digest,
    )


def _provenance(folder: Path, config: JSON) -> Provenance:
    told = config.get("provenance") or harness.provenance_of(folder)
    try:
        return Provenance.model_validate({"versions": {}} | told)
    except (TypeError, ValidationError) as error:
        raise InputError(
            f"{folder}: nothing in it says which model was measured, so no card can; measure "
            "again with eval"
        ) from error


def _images(records: Mapping[str, JSON]) -> str | None:
    """Digest the ids of judged images: of the bytes, in whatever order they were judged."""
    ids = sorted(r["id"] for r in records.values() if "label" in r and isinstance(r.get("id"), str))
    return hashlib.sha256("\n".join(ids).encode()).hexdigest() if ids else None


def _labels(
    folder: Path, constitution: Constitution | None
) -> tuple[tuple[Label, ...], str | None]:
    file = folder / LABELS
    if constitution is None or not file.is_file():
        return (), None
    labels = read_labels(file, [rule.id for rule in constitution.rules])
    return tuple(labels), hashlib.sha256(file.read_bytes()).hexdigest()
