"""Thresholds held against a run: what would have been blocked, passed, or given to a person.

Images that the thresholds were found with prove nothing about them, so they are left out, unless
the run has no others; then the card says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.cards.shape import Acted
from safejudge.decide import thresholds as files
from safejudge.decide.calibrate import known_policy
from safejudge.decide.check import unseen
from safejudge.decide.decision import decide
from safejudge.decide.sample import read_sample, truth_of
from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.labelled.suite import CONSTITUTION, LABELS
from safejudge.files.stored import open_stored
from safejudge.show.page import made_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.cards.run import Facts
    from safejudge.decide.thresholds import RuleThresholds
    from safejudge.policy import Policy

IMAGES = "images"
"""Whole images, beside the rules."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a card says of thresholds."""

    digest: str
    """Of their file."""
    date: str
    """On which they were found."""
    labelled: int
    """Images that they were found with."""
    labels: str
    """Digest of the labels that they were found with."""
    rules: dict[str, RuleThresholds]
    """Those that fit the run's rules."""
    notes: tuple[str, ...]
    """What a person should know of them."""
    seen: int
    """Images of the run that they were found with."""
    independent: bool
    """Whether the run has others, which alone are counted then."""
    acted: dict[str, Acted]
    """By rule, and `IMAGES`; a rule that has no image is left out."""


def calibrated(folder: Path, facts: Facts, path: Path, policies: Sequence[Policy]) -> Calibrated:
    """Hold a file of thresholds against a run of labelled images.

    Raises `InputError` for another model's, for a run whose policy is not known, and for a run of
    anything but labelled images.
    """
    thresholds = files.load(path)
    if not facts.labels:
        raise InputError(
            f"--thresholds {path}: {folder} is a run of {facts.suite}, which has no labelled "
            "images to hold them against; take a run of labelled, or leave them out"
        )
    stored = open_stored(folder / harness.RECORDS)
    about = made_by.about(stored, str(folder / CONSTITUTION), policies)
    policy = known_policy(about)
    rules, notes = files.fit(thresholds, about.constitution, about.provenance, policy)
    sample = read_sample(stored, about, folder / LABELS)
    whole = list(sample.judged)
    seen = unseen(sample, thresholds)
    counted = sample.judged or whole
    decided = [(label, decide(judgment, rules, policy)) for label, judgment in counted]
    acted: dict[str, list[tuple[str, bool]]] = {
        IMAGES: [
            (decision.action, label.unsafe)
            for label, decision in decided
            if label.unsafe is not None
        ]
    }
    for rule in rules:
        acted[rule] = [
            (decision.rules[rule].action, truth)
            for label, decision in decided
            if (truth := truth_of(label, rule)) is not None
        ]
    return Calibrated(
        digest=thresholds.digest(),
        date=thresholds.date,
        labelled=len(thresholds.images),
        labels=thresholds.made_by.labels,
        rules=rules,
        notes=tuple(notes),
        seen=seen,
        independent=bool(sample.judged),
        acted={name: _counted(rows) for name, rows in acted.items() if rows},
    )


def _counted(rows: Sequence[tuple[str, bool]]) -> Acted:
    found = Counter(rows)

    def both(action: str) -> int:
        return found[action, True] + found[action, False]

    return Acted(
        n=len(rows),
        violating=sum(violated for _, violated in rows),
        blocked=both("block"),
        blocked_violating=found["block", True],
        passed=both("pass"),
        passed_violating=found["pass", True],
        people=both("person"),
        not_asked=both("not_asked"),
        not_asked_violating=found["not_asked", True],
    )
