"""Figures computed here, beside those that somebody else computed or printed, and their record."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from safejudge.show.markdown import table


@dataclass(frozen=True)
class Check:
    """One figure, from up to three sources."""

    name: str
    """What it is of."""
    ours: Any
    """Computed here; None where the outputs do not allow it."""
    expected: Any = None
    """Computed again by someone else."""
    published: Any = None
    """As its authors printed it."""
    listed: bool = True
    """Whether it has a row of its own in the table even if it agrees."""
    within: float = 5e-5
    """How far apart is the same: four places."""
    why: str = ""
    """Why it cannot be computed or differs."""

    def outcomes(self) -> list[str]:
        """What comes of each comparison."""
        if self.ours is None:
            return ["not computable"]
        references = [
            reference for reference in (self.expected, self.published) if reference is not None
        ]
        return [
            "same" if _close(reference, self.ours, self.within) else "differs"
            for reference in references
        ]


def _close(left: Any, right: Any, within: float) -> bool:
    if isinstance(left, list):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_close(a, b, within) for a, b in pairs)
    return (
        bool(left == right) if isinstance(left, str) else math.isclose(left, right, abs_tol=within)
    )


# --- the record ----------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def recorded(check: Check) -> dict[str, Any]:
    fields = {name: getattr(check, name) for name in ("ours", "expected", "published", "why")}
    fields = {name: value for name, value in fields.items() if value not in (None, "")}
    return {"name": check.name, **fields, "outcomes": check.outcomes()}


def text(title: str, checks: list[Check]) -> str:
    counts = Counter(outcome for check in checks for outcome in check.outcomes())
    listed = [check for check in checks if check.listed or "differs" in check.outcomes()]
    rows = [
        (check.name, _cell(check.published), _cell(check.expected), _cell(check.ours),
         ", ".join(sorted(set(check.outcomes()))) + (f": {check.why}" if check.why else ""))
        for check in listed
    ]  # fmt: skip
    return (
        f"{title}: {counts['same']} of {counts['same'] + counts['differs']} comparisons are the "
        f"same, {counts['not computable']} published figures cannot be computed from what is "
        f"there. Of {len(checks)} checks {len(listed)} are listed; all are in the record.\n\n"
        + table(("check", "published", "expected", "ours", ""), rows)
    )
