"""One judge, both orders of the same two answers: whether the slot decides. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import share

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from safejudge.evals.stats.agreement import Mark
    from safejudge.evals.stats.intervals import Estimate

Choice = str | None
"""A or B as shown, C for a tie, None for an unread one."""
TURNED: dict[Choice, Choice] = {"A": "B", "B": "A", "C": "C", None: None}
"""What a choice is called where the two answers change places."""
HEADS = {
    "right in both": "right_in_both", "the same answer": "same_answer",
    "always the first": "always_A", "always the second": "always_B",
}  # fmt: skip
"""Columns of a table, by the names of their figures."""


def figures(
    said: Sequence[tuple[Choice, Choice]],
    marks: Sequence[tuple[Mark, Mark]],
    open_: Collection[Choice],
) -> dict[str, Estimate]:
    """What pairs of choices come to, as shown in either order; `open_` are those that are none."""
    n = len(said)
    # The same answer stands in the other slot of the other order.
    same = sum(one not in open_ and TURNED[other] == one for one, other in said)
    found = {
        "right_in_both": share(marks.count(("right", "right")), n),
        "same_answer": share(same, n),
    }
    for slot in ("A", "B"):
        found[f"always_{slot}"] = share(said.count((slot, slot)), n)
    broken = sum(one in open_ or other in open_ for one, other in said)
    return found | {"tie_or_unread" if "C" in open_ else "unread": share(broken, n)}
