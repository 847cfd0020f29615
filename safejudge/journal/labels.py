"""What people agreed on -> labels, as `calibrate` and `eval labelled` read them.

Takes a journal and the rules as they are now; gives one `Label` an image. It names the image by its
bytes, since many uploads share a name. A rule that nobody settled is unknown, never kept: only what
people said of every rule is safe. What says nothing is left out, and counted by why.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import select

from safejudge.evals.labelled.labels import Label
from safejudge.journal.people import agreed_on, decisions
from safejudge.journal.rows import FAILED, rule_digests
from safejudge.journal.tables import JUDGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.journal.people import PersonDecision
    from safejudge.journal.store import Journal
    from safejudge.types import Constitution

COLUMNS = ("image", "label", "violations", "unknown", "id")
_MANY = 500
"""Ids of one statement."""


@dataclass(slots=True)
class Agreed:
    """Labels, and what gave none."""

    labels: list[Label] = field(default_factory=list)
    """In the order in which their images were first decided about."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Images and rules without an answer, by why."""

    def notes(self) -> list[str]:
        """Say what was left out, a sentence each."""
        return [f"left out: {count} {why}" for why, count in self.left_out.items()]


_GONE = "answers about images without a judgment in the journal (pruned, or never read)"
_OTHER = "answers about rules that the constitution does not have"
_OLD = "answers about an earlier wording of a rule; ask again"
_SPLIT = "answers on which reviewers disagree"
_FEW = "answers that too few reviewers gave"
_OPEN = "answers that no reviewer could give (cannot tell)"


def agreed_labels(journal: Journal, rules: Constitution, *, reviewers: int = 1) -> Agreed:
    """Return what at least so many `reviewers` say, and nobody contradicts."""
    found = Agreed()
    digests = rule_digests(rules)
    by_image: dict[str, dict[str, list[PersonDecision]]] = {}
    for said in decisions(journal):
        by_image.setdefault(said.image_id, {}).setdefault(said.rule, []).append(said)
    names = names_of(journal, by_image)
    for image_id, by_rule in by_image.items():
        violated: dict[str, bool] = {}
        for rule, said_of in by_rule.items():
            current = [said for said in said_of if said.rule_digest == digests.get(rule)]
            held = agreed_on(current, reviewers)
            if image_id not in names:
                found.left_out[_GONE] += 1
            elif held is None:
                found.left_out[_why(said_of, current, known=rule in digests)] += 1
            else:
                violated[rule] = held.verdict == "violates"
        if violated:
            found.labels.append(_label(image_id, names[image_id], violated, [*digests]))
    return found


def _why(said: Sequence[PersonDecision], current: Sequence[PersonDecision], *, known: bool) -> str:
    """Say why an image and a rule have no answer."""
    verdicts = {one.verdict for one in current} - {"cannot_tell"}
    if not known:
        return _OTHER
    if said and not current:
        return _OLD
    if len(verdicts) > 1:
        return _SPLIT
    return _FEW if verdicts else _OPEN


def _label(image_id: str, name: str, violated: dict[str, bool], rules: Sequence[str]) -> Label:
    unknown = tuple(rule for rule in rules if rule not in violated)
    violations = tuple(rule for rule in rules if violated.get(rule))
    label = "unsafe" if violations else None if unknown else "safe"
    return Label.model_validate(
        {"image": name, "label": label, "violations": violations, "unknown": unknown,
         "id": image_id}
    )  # fmt: skip


def names_of(journal: Journal, image_ids: Iterable[str]) -> dict[str, str]:
    """Name images that were judged; one whose name another has is called by its id."""
    found: dict[str, str] = {}
    table = JUDGMENTS.c
    with journal.reading() as connection:
        for some in _parts(image_ids):
            wanted = select(table.image_id, table.image).where(
                table.image_id.in_(some), table.variant == "", table.label != FAILED
            )
            found |= {row.image_id: row.image for row in connection.execute(wanted)}
    shared = Counter(found.values())
    return {image_id: image_id if shared[name] > 1 else name for image_id, name in found.items()}


def _parts(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while part := list(islice(rest, _MANY)):
        yield part


def as_csv(labels: Sequence[Label]) -> str:
    """Write labels as a file that `read_labels` reads."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for label in labels:
        violations, unknown = " ".join(label.violations or ()), " ".join(label.unknown)
        table.writerow((label.image, label.label or "", violations, unknown, label.id))
    return text.getvalue()
