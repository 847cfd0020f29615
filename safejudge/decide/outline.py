"""Thresholds and checks for people: tables, charts and sentences."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from safejudge.decide import promises
from safejudge.decide.promises import Cut, Promise
from safejudge.decide.thresholds import Absent, Slope, Threshold
from safejudge.evals.stats.curves import calibration_error, reliability
from safejudge.show.figures import Chart, Series, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from safejudge.decide.calibrate import Wanted
    from safejudge.decide.check import Kept, Whole
    from safejudge.decide.probability import Fitted
    from safejudge.decide.sample import RuleSample, Sample
    from safejudge.decide.thresholds import Reasoning, RuleThresholds, Thresholds

    Floats = npt.NDArray[np.float64]
    Booleans = npt.NDArray[np.bool_]

SHARES = (0.25, 0.5, 0.75)
"""Of what could be acted on, for the table of labels."""
_PROMISED = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Promises for which coverage is drawn."""


# --- thresholds -----------------------------------------------------------------------------------


def is_whole(thresholds: Thresholds) -> bool:
    """Whether every rule has both thresholds."""
    return all(
        isinstance(side, Threshold)
        for entry in thresholds.rules.values()
        for side in (entry.block, entry.pass_)
    )


def table(thresholds: Thresholds) -> Table:
    """One row per rule: its labels, both thresholds, its probability."""
    rows = [
        (
            rule,
            str(entry.labels),
            str(entry.violations),
            *(_cell(side, entry.labels) for side in (entry.block, entry.pass_)),
            _probability(entry.probability),
        )
        for rule, entry in thresholds.rules.items()
    ]
    return Table(
        "Thresholds",
        ("rule", "labels", "violating", "block above", "pass below", "log-loss"),
        tuple(rows),
        "Beside a threshold: the share of labelled images beyond it, and the errors among them. "
        "Without one every image is for a person on that side. Log-loss: of the scores, and of the "
        "probabilities on labels left out.",
        ("block above", "pass below"),
    )


def _cell(side: Threshold | Absent, labels: int) -> str:
    if isinstance(side, Threshold):
        return f"{side.at:.4f} ({side.n / max(1, labels):.0%}, {side.errors} of {side.n} wrong)"
    return "none" if side.missing is None else f"none (at least {side.missing} more)"


def _probability(entry: Slope | Absent) -> str:
    if isinstance(entry, Absent):
        return "not applied"
    return f"{entry.before:.3f} to {entry.after:.3f}"


def findings(thresholds: Thresholds, sample: Sample) -> list[str]:
    """Say what a person should know, a sentence or two each."""
    said = [
        (
            "The promises hold for images like those that were labelled, each by itself. On "
            "another kind of image they may break: calibrate --check tests fresh labels."
        ),
        _reasoning(thresholds.reasoning),
    ]
    hidden = {rule: kept for rule, kept in sample.rules.items() if kept.skipped_violated}
    said += [
        f"{rule}: the relevance filter left out {kept.skipped_violated} of "
        f"{kept.violated + kept.skipped_violated} violating images; no threshold sees those"
        for rule, kept in hidden.items()
    ]
    said += [
        f"{rule}: {kept.left_out['unread']} images without a readable answer were left out"
        for rule, kept in sample.rules.items()
        if kept.left_out["unread"]
    ]
    return said


def absent_table(thresholds: Thresholds) -> Table:
    """What is not there, and why."""
    rows = [
        (f"{rule}, {name}", "-" if side.missing is None else str(side.missing), side.why)
        for rule, entry in thresholds.rules.items()
        for name, side in _absent(entry)
    ]
    return Table(
        "What is missing",
        ("what", "labels missing, at least", "why"),
        tuple(rows),
        "Missing labels are of the kind that the promise needs: violating images to block, others "
        "to pass.",
    )


def _absent(entry: RuleThresholds) -> Iterator[tuple[str, Absent]]:
    sides = (("block", entry.block), ("pass", entry.pass_), ("probability", entry.probability))
    yield from ((name, side) for name, side in sides if isinstance(side, Absent))


def _reasoning(found: Reasoning) -> str:
    if found.verdict == "not asked":
        return "Whether reasoning pays is not known: nothing in these records was reasoned about."
    if found.verdict == "not recorded":
        return (
            "Whether reasoning pays is not known: short records do not say what was reasoned about."
        )
    words = {
        "pays": "Reasoning pays",
        "harms": "Reasoning harms",
        "cannot tell": "Whether reasoning pays cannot be told",
    }
    interval = "no interval"
    if found.low is not None and found.high is not None:
        interval = f"{found.low:+.4f} to {found.high:+.4f}"
    gain, other = found.gain or 0.0, found.by_score or 0.0
    return (
        f"{words[found.verdict]}: {found.reasoned} of {found.n} rule verdicts had any, and the "
        f"share that is right changes by {gain:+.4f} ({interval}) against an open statement as no, "
        f"by {other:+.4f} against its open score."
    )


# --- checks ---------------------------------------------------------------------------------------


def checked_table(found: Sequence[Kept]) -> Table:
    """One row per promise."""
    rows = tuple(
        (
            f"{kept.rule}, {kept.action}",
            kept.found,
            f"{kept.promise:.1%}",
            str(kept.n),
            str(kept.errors),
            f"{kept.errors / kept.n:.1%}" if kept.n else "-",
            f"{kept.high:.1%}",
            f"{kept.low:.1%}",
            str(kept.missing) if kept.found == "cannot tell" else "",
        )
        for kept in found
    )
    return Table(
        "Promises on fresh labels",
        ("promise", "found", "at most", "images", "errors", "share", "upper", "lower", "missing"),
        rows,
        "Kept: the upper bound is within the promise. Broken: the lower bound is above it, at a "
        "confidence that all promises share. Missing: images without an error that would show it "
        "kept.",
        ("found", "at most", "images", "errors"),
    )


def whole_table(found: Sequence[Whole]) -> Table:
    """One row per action on whole images."""
    names = {"block": "blocked: safe", "pass": "passed: unsafe", "person": "a person's: unsafe"}
    rows = tuple(
        (names[part.action], str(part.n), str(part.errors), f"{part.low:.1%} to {part.high:.1%}")
        for part in found
    )
    return Table(
        "Whole images",
        ("action: what is wrong with it", "images", "of them", "95 %"),
        rows,
        "Promises are about rules; of whole images nothing is promised.",
    )


# --- the page -------------------------------------------------------------------------------------


def labels_table(sample: Sample, wanted: Wanted) -> Table:
    """How many labels of each rule would buy what, if errors stay as they are among them."""
    heads = [
        f"{name} {share:.0%}" for name in ("block", "pass") for share in SHARES
    ]  # fmt: skip
    rows = [
        (rule, str(len(kept.rows)), *chain(*_bought(kept, wanted)))
        for rule, kept in sample.rules.items()
    ]
    return Table(
        "How many labels would buy what",
        ("rule", "labels now", *heads),
        tuple(rows),
        "Labelled images in all that would promise to block at least so many of the violating "
        "ones, or to pass so many of the others, if errors stay as frequent there as they are now; "
        "never: they are more frequent than the promise. From the bound, so a rough estimate.",
    )


def _bought(kept: RuleSample, wanted: Wanted) -> Iterator[list[str]]:
    violated = np.array([row.violated for row in kept.rows], dtype=bool)
    scores = np.array([row.score for row in kept.rows], dtype=float)
    for values, right, promise in (
        (-scores, violated, wanted.block), (scores, ~violated, wanted.pass_)
    ):  # fmt: skip
        yield [_labels(values, right, share, promise) for share in SHARES]


def _labels(values: Floats, right: Booleans, share: float, promise: Promise) -> str:
    """Labels for a cut that takes this share of what is right, or more of it.

    `values` are the least where a cut begins. A looser cut often takes fewer labels.
    """
    total = int(right.sum())
    if not total:
        return "-"
    ranked = right[np.argsort(values, kind="stable")]
    until = np.cumsum(ranked)
    found = []
    for wanted in range(math.ceil(share * total), total + 1):
        n = int(np.searchsorted(until, wanted)) + 1
        needed = promises.labels_for(n, n - wanted, len(right), promise)
        if needed is not None:
            found.append(needed)
    return str(min(found)) if found else "never"


def charts(sample: Sample, wanted: Wanted, fitted: Fitted) -> tuple[Chart, ...]:
    """Coverage against promise, for both actions, and reliability before and after."""
    return (
        _coverage(sample, wanted, "block"),
        _coverage(sample, wanted, "pass"),
        _reliability(sample, fitted),
    )


def _coverage(sample: Sample, wanted: Wanted, action: str) -> Chart:
    delta = (wanted.block if action == "block" else wanted.pass_).delta
    series = tuple(
        Series(
            rule,
            tuple((share, _covered(kept, action, Promise(share, delta))) for share in _PROMISED),
        )
        for rule, kept in sample.rules.items()
        if kept.rows and not kept.bounded
    )
    done = {"block": "blocked", "pass": "passed"}[action]
    return Chart(
        f"Coverage against promise: {action}",
        "line",
        f"largest share of errors among the {done}",
        f"share of images {done}",
        series,
        "What these labels would promise, one rule a line. A promise chosen because of this "
        "drawing is worth less than it says: choose it before.",
        marked=True,
    )


def _covered(kept: RuleSample, action: str, promise: Promise) -> float:
    scores = [row.score for row in kept.rows]
    if action == "block":
        found = promises.above(scores, [not row.violated for row in kept.rows], promise)
    else:
        found = promises.below(scores, [row.violated for row in kept.rows], promise)
    return found.n / len(scores) if isinstance(found, Cut) else 0.0


def _reliability(sample: Sample, fitted: Fitted) -> Chart:
    kept = {rule: part for rule, part in sample.rules.items() if len(fitted.left_out[rule])}
    before = [row.score for part in kept.values() for row in part.rows]
    after = [float(p) for rule in kept for p in fitted.left_out[rule]]
    truths = [row.violated for part in kept.values() for row in part.rows]
    series = tuple(
        Series(
            f"{name} (ECE {calibration_error(values, truths):.3f})",
            tuple((part.mean_score, part.share_true) for part in reliability(values, truths)),
        )
        for name, values in (("scores", before), ("probabilities", after))
        if values
    )
    return Chart(
        "Reliability, before and after",
        "line",
        "said",
        "true",
        series,
        "All rules. Each probability is of a line that was fitted without its image; where nothing "
        "is applied, it is the score.",
        diagonal=True,
        marked=True,
    )


def config(thresholds: Thresholds, wanted: Wanted) -> Mapping[str, object]:
    """Say how thresholds were made."""
    return {
        "alpha (block)": wanted.block.share,
        "beta (pass)": wanted.pass_.share,
        "delta": wanted.block.delta,
        **thresholds.made_by.model_dump(mode="json"),
    }
