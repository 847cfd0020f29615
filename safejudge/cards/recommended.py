"""Thresholds -> what a card says of them: the two scores of each rule, and what they do here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.cards.acted import IMAGES
from safejudge.cards.shape import CardRule, RecommendedThresholds
from safejudge.decide.thresholds import Absent, Threshold
from safejudge.evals.stats.intervals import FEW, share
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.cards.acted import Calibrated
    from safejudge.cards.shape import Acted
    from safejudge.types import Constitution, Rule

UNCALIBRATED = (
    "not calibrated: no threshold can be recommended. Label images, judge them with --exhaustive, "
    "and run safejudge calibrate; then make the card with --thresholds"
)


def card_rule(rule: Rule, found: Calibrated | None) -> CardRule:
    """Say for programs what is recommended about a rule."""
    entry = None if found is None else found.rules.get(rule.id)
    block, passed = (None, None) if entry is None else (entry.block, entry.pass_)
    both = None
    if isinstance(block, Threshold) and isinstance(passed, Threshold):
        both = RecommendedThresholds(
            high_precision_threshold=block.at, high_recall_threshold=passed.at
        )
    return CardRule(
        id=rule.id,
        category=rule.category,
        severity=rule.severity,
        text=rule.text,
        recommended_thresholds=both,
        block=block,
        pass_=passed,
    )


def recommended(
    constitution: Constitution | None, found: Calibrated | None
) -> dict[str, dict[str, str]]:
    """Say for people what is recommended about every rule."""
    if found is None or constitution is None:
        return {"Recommended thresholds": {"All rules": UNCALIBRATED}}
    lines = {}
    for rule in constitution.rules:
        entry = found.rules.get(rule.id)
        if entry is None:
            lines[rule.id] = "not calibrated: the rule is new, or has changed since"
            continue
        block = _said(entry.block, "block above", "what is blocked is innocent")
        passed = _said(entry.pass_, "pass below", "what is passed violates")
        lines[rule.id] = f"{block}; {passed}"
    about = {
        "Between them": "a person decides; so it is on a side without a threshold",
        "In Coop": "the first is the high-precision threshold, the second the high-recall one",
        "Found on": f"{found.date}, with {counted(found.labelled, 'labelled image')}",
        "Promise": "each for itself, for images like those labelled and for this model, rules and "
        "policy; nothing is promised of whole images",
    }
    notes = {f"Note {number}": note for number, note in enumerate(found.notes, start=1)}
    return {"Recommended thresholds": lines, "About the thresholds": about | notes}


def _said(side: Threshold | Absent, action: str, error: str) -> str:
    if isinstance(side, Absent):
        more = "" if side.missing is None else f"; at least {side.missing} labels are missing"
        return f"{action}: not calibrated ({side.why}{more})"
    return (
        f"{action} {side.at:.6f} (at most {side.promise:.1%} of {error}, but for a chance of "
        f"{side.delta:.1%}; n {side.n}, {counted(side.errors, 'error')}, bound {side.bound:.1%})"
    )


# --- on the run -----------------------------------------------------------------------------------


def at_thresholds(found: Calibrated) -> Table:
    """Say what becomes of the run's images at the thresholds; shares have 95 % intervals."""
    seen = counted(found.seen, "image")
    fresh = f"Left out: {seen} that the thresholds were found with."
    if not found.independent:
        fresh = (
            f"The thresholds were found with all {seen}, so these figures prove nothing about "
            "them; measure on fresh labels."
        )
    return Table(
        "At the recommended thresholds",
        ("", "n", "violating", "blocked", "passed", "to people", "not asked (violating)",
         "precision", "recall", "missed", "share to people"),
        tuple((name, *_cells(acted)) for name, acted in found.acted.items()),
        f"{fresh} Precision: of what is blocked, the share that violates. Recall: of what "
        "violates, the share that is blocked. Missed: of what is passed, the share that violates. "
        "Not asked: the relevance filter skips the rule, and no threshold sees that. "
        f"Of equal files and of a group one image counts. Whole {IMAGES}: one rule that blocks is "
        f"enough, and all that are asked have to pass. {FEW}",
    )  # fmt: skip


def _cells(acted: Acted) -> tuple[str, ...]:
    counts = (acted.n, acted.violating, acted.blocked, acted.passed, acted.people)
    skipped = f"{acted.not_asked} ({acted.not_asked_violating})"
    shares = (
        share(acted.blocked_violating, acted.blocked),
        share(acted.blocked_violating, acted.violating),
        share(acted.passed_violating, acted.passed),
        share(acted.people, acted.n),
    )
    return *map(str, counts), skipped, *(one.cell() for one in shares)
