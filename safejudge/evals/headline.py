"""The one number that a suite is about, as a phrase: of its judge, or of the best of several."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.evals.stats.intervals import Estimate


def of_best(figures: Mapping[str, Mapping[str, Estimate]], phrases: Mapping[str, str]) -> str:
    """Say the first of some figures that any judge has, by the judge in which it is highest.

    `phrases` has, by the name of a figure, what it says: "right". Nothing where nobody has one.
    """
    for name, says in phrases.items():
        found = {judge: values[name] for judge, values in figures.items() if name in values}
        defined = {judge: value for judge, value in found.items() if not math.isnan(value.value)}
        if defined:
            judge = max(defined, key=lambda judge: defined[judge].value)
            which = "" if len(found) == 1 else f", the best of {len(found)}"
            return f"{says} {defined[judge].text()} ({judge}{which})"
    return ""
