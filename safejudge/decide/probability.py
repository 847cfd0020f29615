"""Scores -> probabilities that a rule is violated: a slope and an offset per rule. Pure.

Takes the log-odds of scores (`margin`) and what is true, of several rules; gives a line per rule,
p = 1 / (1 + exp(-(offset + slope * margin))) (Platt 1999), or why there is none.

Few labels of a rule say little about its own line, so it is drawn towards the line of all rules
together, and that towards the score as it stands (offset 0, slope 1). How far a rule may go its own
way is not assumed: of several strengths the one is taken whose log-loss on rows left out is the
least, over all rules. Then the lines have to show that they are worth it, on rows left out: over
all rules they must gain more than two standard errors of log-loss, and each rule must gain by
itself; where not, nothing is applied. A judge that is right about its chances already is so left
alone: 30 labels made it worse in nearly every case in which they were used. Which rows are left out
together hangs on the ids of their images, so a calibration is the same every time.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FEWEST = 100
"""Labels of all rules below which nothing is fitted."""
OWN = 10
"""Labels of a rule below which it gets no line, not even that of the others."""
FOLDS = 5
"""Parts of the rows, of which one is left out at a time."""
MOST = 10.0
"""Log-odds beyond this count as this: so sure no model is rightly."""

SURE = 2.0
"""Standard errors that the gain over all rules has to exceed."""

_IDENTITY = np.array([0.0, 1.0])
_LOOSE = np.array([1.0, 0.5])
"""Standard deviations of the line of all rules around the score as it stands."""
_STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Standard deviations of a rule's offset around that of all; half of it of its slope."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows of one rule, side by side."""

    margins: Floats
    """Log-odds of scores."""
    truths: Floats
    """1.0 where the rule is violated, else 0.0."""
    folds: npt.NDArray[np.int64]
    """With which rows each is left out; `fold_of`."""
    images: npt.NDArray[np.str_]
    """Ids of their images: rows of one image, under several rules, are no independent evidence."""

    @staticmethod
    def of(margins: Sequence[float], truths: Sequence[bool], images: Sequence[str]) -> Rows:
        """Make rows; `images` are the ids of their images."""
        return Rows(
            np.clip(np.asarray(margins, dtype=float), -MOST, MOST),
            np.asarray(truths, dtype=float),
            np.array([fold_of(image) for image in images], dtype=np.int64),
            np.array(images, dtype=np.str_),
        )

    def where(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Keep some of them."""
        return Rows(*(getattr(self, name)[chosen] for name in Rows.__slots__))


@dataclass(frozen=True, slots=True)
class Line:
    """What log-odds of a rule become, and what it is worth on rows that were left out."""

    offset: float
    slope: float
    before: float
    """Mean log-loss of the scores as they stand."""
    after: float
    """That of the probabilities, each from rows without its own."""

    def __call__(self, margin: float) -> float:
        """Turn the log-odds of a score into a probability."""
        return 1.0 / (1.0 + math.exp(-(self.offset + self.slope * min(MOST, max(-MOST, margin)))))


@dataclass(frozen=True, slots=True)
class NoLine:
    """Why the scores of a rule stay as they are."""

    why: str
    missing: int | None = None
    """So many labels are missing at least."""


def fold_of(image: str) -> int:
    """Say with which images one is left out."""
    return int(hashlib.sha256(image.encode("utf-8", "replace")).hexdigest()[:8], 16) % FOLDS


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was found of all rules."""

    lines: dict[str, Line | NoLine]
    """The line of every rule, or why it has none."""
    left_out: dict[str, Floats]
    """A probability of every row, by a line that was fitted without it; the score itself where
    nothing is applied to its rule."""


def fit(rows: Mapping[str, Rows]) -> Fitted:
    """Find the line of every rule, and what it says of rows that it was not fitted to."""
    total = sum(len(row.truths) for row in rows.values())
    enough = {rule: row for rule, row in rows.items() if len(row.truths) >= OWN}
    found: dict[str, Line | NoLine] = {
        rule: NoLine(f"{len(row.truths)} labels, {OWN} are the fewest", OWN - len(row.truths))
        for rule, row in rows.items()
        if rule not in enough
    }
    if total < FEWEST:
        few = NoLine(f"{total} labels over all rules, {FEWEST} are the fewest", FEWEST - total)
        found |= dict.fromkeys(enough, few)
        enough = {}
    left_out = {rule: 1 / (1 + np.exp(-row.margins)) for rule, row in rows.items()}
    if enough:
        by_strength = {s: _left_out(enough, s) for s in _STRENGTHS}
        strength = min(
            _STRENGTHS, key=lambda s: sum(float(x.sum()) for x in by_strength[s].values())
        )
        losses, fitted = by_strength[strength], _fitted(enough, strength)
        veto = _veto(enough, losses)
        for rule, row in enough.items():
            found[rule] = NoLine(veto) if veto else _worth(row, losses[rule], fitted[rule])
            if isinstance(found[rule], Line):
                likely = np.exp(-losses[rule])  # of what is true
                left_out[rule] = np.where(row.truths == 1.0, likely, 1.0 - likely)
    return Fitted({rule: found[rule] for rule in rows}, left_out)


def _veto(rows: Mapping[str, Rows], losses: Mapping[str, Floats]) -> str | None:
    """Say why nothing is applied to any rule: together the lines gain too little to be sure."""
    raw = {rule: _losses(row, _IDENTITY) for rule, row in rows.items()}
    gains = np.concatenate([raw[rule] - losses[rule] for rule in rows])
    images = np.concatenate([row.images for row in rows.values()])
    _, codes = np.unique(images, return_inverse=True)
    rests = np.bincount(codes, weights=gains - gains.mean())
    error = SURE * math.sqrt(float((rests**2).sum())) / len(gains)
    if gains.mean() > error:
        return None
    before, after = (np.concatenate([part[rule] for rule in rows]).mean() for part in (raw, losses))
    return (
        f"log-loss on labels left out is {before:.4f} without and {after:.4f} with it over all "
        f"rules, {len(gains)} labels: no gain of more than {SURE:g} standard errors ({error:.4f})"
    )


def _worth(rows: Rows, losses: Floats, line: Floats) -> Line | NoLine:
    """Keep a line that is better on rows left out than the scores as they stand."""
    before, after = float(_losses(rows, _IDENTITY).mean()), float(losses.mean())
    if after >= before:
        return NoLine(f"log-loss on labels left out is {before:.4f} without, {after:.4f} with it")
    if line[1] <= 0:
        return NoLine(f"a higher score makes a violation no likelier (slope {line[1]:.2f})")
    return Line(float(line[0]), float(line[1]), before, after)


def _left_out(rows: Mapping[str, Rows], strength: float) -> dict[str, Floats]:
    """Log-loss of every row, by lines that were fitted without its fold."""
    losses = {rule: np.zeros(len(row.truths)) for rule, row in rows.items()}
    for fold in range(FOLDS):
        fitted = _fitted(
            {rule: row.where(row.folds != fold) for rule, row in rows.items()}, strength
        )
        for rule, row in rows.items():
            out = row.folds == fold
            losses[rule][out] = _losses(row.where(out), fitted[rule])
    return losses


def _fitted(rows: Mapping[str, Rows], strength: float) -> dict[str, Floats]:
    """Lines of all rules: each its own, drawn towards that of all together."""
    parts = rows.values()
    everything = Rows(
        *(np.concatenate([getattr(r, name) for r in parts]) for name in Rows.__slots__)
    )
    shared = _line(everything, _IDENTITY, _LOOSE)
    if strength == 0.0:
        return dict.fromkeys(rows, shared)
    spread = np.array([strength, strength / 2])
    return {rule: _line(row, shared, spread) for rule, row in rows.items()}


def _line(rows: Rows, centre: Floats, spread: Floats) -> Floats:
    """Fit offset and slope, with a normal prior around `centre`: Newton's method, damped."""
    at = centre.copy()
    design = np.stack([np.ones_like(rows.margins), rows.margins], axis=1)
    precision = 1.0 / spread**2

    def loss(line: Floats) -> float:
        return float(_losses(rows, line).sum() + 0.5 * (precision * (line - centre) ** 2).sum())

    value = loss(at)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-(design @ at)))
        slope = design.T @ (p - rows.truths) + precision * (at - centre)
        curve = (design * (p * (1 - p))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while size > 1e-6 and (new := loss(at - size * step)) > value:
            size /= 2
        if size <= 1e-6 or value - new < 1e-10:
            break
        at, value = at - size * step, new
    return at


def _losses(rows: Rows, line: Floats) -> Floats:
    """Log-loss of every row: log(1 + exp(-z)) where it is true, log(1 + exp(z)) where it is not."""
    odds = line[0] + line[1] * rows.margins
    losses: Floats = np.logaddexp(0.0, np.where(rows.truths == 1.0, -odds, odds))
    return losses
