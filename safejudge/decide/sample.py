"""Records beside labels -> per rule the scores whose truth is known, and what was left out.

Takes stored records and a file of labels, as `eval labelled` reads it; finds the record of each
label by its id where it has one, else by where its picture lies, else by its name. A row is one
image under one rule that was asked. What cannot speak for a threshold is left out and counted:
scores that are bounds, answers that could not be read, images that say nothing new (the same bytes,
or a group that has one already).
"""

from __future__ import annotations

import hashlib
import os.path
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.labelled.labels import read_labels
from safejudge.files.records import SHORT, form_of
from safejudge.images.listing import key_of
from safejudge.show.page import recorded
from safejudge.types import Judgment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from safejudge.evals.labelled.labels import Label
    from safejudge.files.stored import Stored
    from safejudge.show.page.judged import About
    from safejudge.types import Result, RuleVerdict


@dataclass(frozen=True, slots=True)
class Row:
    """One image under one rule: what was said, and what is true."""

    image: str
    """Sha256 of its bytes."""
    violated: bool
    """What is true."""
    score: float
    """The score of the rule, exact."""
    margin: float
    """Log-odds of it."""
    verdict: RuleVerdict
    """How it came about."""


@dataclass(slots=True)
class RuleSample:
    """What is known of one rule."""

    rows: list[Row] = field(default_factory=list)
    """What can speak for a threshold."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What cannot, by why: `bound`, `unread`."""
    skipped: int = 0
    """Images under which the relevance filter left the rule out."""
    skipped_violated: int = 0
    """How many of them violate it; no threshold can see them."""

    @property
    def violated(self) -> int:
        """Rows whose image violates the rule."""
        return sum(row.violated for row in self.rows)

    @property
    def bounded(self) -> int:
        """Rows whose score is a bound, because questions were left out."""
        return self.left_out["bound"]


@dataclass(slots=True)
class Sample:
    """Labelled records, rule by rule."""

    rules: dict[str, RuleSample]
    """In the constitution's order."""
    judged: list[tuple[Label, Judgment]] = field(default_factory=list)
    """The images that count, with their labels."""
    repeated: int = 0
    """Images left out because they say nothing new: same bytes, or same group."""
    failed: int = 0
    """Labelled images that could not be judged."""
    unjudged: int = 0
    """Labels without a record."""
    unlabelled: int = 0
    """Records without a label."""
    short: bool = False
    """Whether the records hold no answers, so that nobody knows what was reasoned about."""

    @property
    def images(self) -> list[str]:
        """Ids of the images that count."""
        return [judgment.id for _, judgment in self.judged]

    def notes(self) -> list[str]:
        """Say what was left out, a sentence each."""
        counts = {
            "labelled images that repeat another, or are of the same group": self.repeated,
            "labelled images that could not be judged": self.failed,
            "labels without a record": self.unjudged,
            "records without a label": self.unlabelled,
        }
        return [f"left out: {count} {what}" for what, count in counts.items() if count]


def read_sample(stored: Stored, about: About, labels: Path) -> Sample:
    """Put records and labels together. Raises `InputError` where no label has a record."""
    rules = [rule.id for rule in about.constitution.rules]
    known = _Labels(read_labels(labels, rules), labels.parent)
    sample = Sample({rule: RuleSample() for rule in rules}, short=form_of(stored.head) == SHORT)
    found: list[tuple[Label, Judgment]] = []
    for record, result in recorded.results(stored, about.constitution, about.provenance):
        label = known.take(result, record.folder)
        if label is None:
            sample.unlabelled += 1
        elif isinstance(result, Judgment):
            found.append((label, result))
        else:
            sample.failed += 1
    sample.unjudged = known.left
    if not found:
        raise InputError(
            f"{labels}: none of its images has a judgment in {stored.path}; `image` is a path "
            f"below the folder of the labels (the first label is {known.first})"
        )
    sample.judged = list(_independent(found))
    sample.repeated = len(found) - len(sample.judged)
    for label, judgment in sample.judged:
        _add(sample, label, judgment)
    return sample


class _Labels:
    """Labels by the ids of their images; those without one by their places and names."""

    def __init__(self, labels: Sequence[Label], folder: Path) -> None:
        self._ids = {label.id: label for label in labels if label.id is not None}
        named = [label for label in labels if label.id is None]
        self._places = {key_of(label.image, os.path.abspath(folder)): label for label in named}  # noqa: PTH100 - as text
        self._names = {os.path.normpath(label.image): label for label in named}
        self._taken: set[str] = set()
        self.first = labels[0].image

    def take(self, result: Result, folder: str | None) -> Label | None:
        """Return the label of a record, once."""
        image = result.image
        label = (
            self._ids.get(result.id or "")
            or self._places.get(key_of(image, folder))
            or self._names.get(os.path.normpath(image))
        )
        if label is None or label.image in self._taken:
            return None
        self._taken.add(label.image)
        return label

    @property
    def left(self) -> int:
        """Labels that no record took."""
        return len(self._ids) + len(self._names) - len(self._taken)


def _independent(found: Iterable[tuple[Label, Judgment]]) -> Iterator[tuple[Label, Judgment]]:
    """Keep one image of each group, and of equal bytes; which one hangs on nothing but its id."""
    seen: set[tuple[str, str]] = set()
    ordered = sorted(found, key=lambda pair: hashlib.sha256(pair[1].id.encode()).hexdigest())
    for label, judgment in ordered:
        keys = {("id", judgment.id)} | ({("group", label.group)} if label.group else set())
        if not keys & seen:
            yield label, judgment
        seen |= keys


def _add(sample: Sample, label: Label, judgment: Judgment) -> None:
    for rule, verdict in judgment.rules.items():
        violated = truth_of(label, rule)
        if violated is None:
            continue
        kept = sample.rules[rule]
        if verdict.outcome == "not_relevant" or verdict.score is None:
            kept.skipped += 1
            kept.skipped_violated += violated
        elif not was_read(verdict):
            kept.left_out["unread"] += 1
        elif verdict.bound != "exact":
            kept.left_out["bound"] += 1
        else:
            margin = 0.0 if verdict.margin is None else verdict.margin
            kept.rows.append(Row(judgment.id, violated, verdict.score, margin, verdict))


def truth_of(label: Label, rule: str) -> bool | None:
    """Whether an image violates a rule; a safe one violates none. None: not known."""
    return False if label.label == "safe" else label.violates(rule)


def was_read(verdict: RuleVerdict) -> bool:
    """Whether the score of a rule rests on answers.

    It does not where the rule is undecided and one of its statements got no readable answer: a half
    stands there by convention. Where the outcome is decided it hangs on none of those.
    """
    silent = any(leaf.test in {"label_mass", "unreadable"} for leaf in verdict.preconditions)
    return verdict.outcome != "undecided" or not (verdict.unread or silent)
