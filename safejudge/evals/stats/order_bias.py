"""One judge, both orders of the same two answers: whether the slot decides. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import Estimate, share

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from safejudge.evals.stats.agreement import Mark

Choice = str | None
"""A or B as shown, C for a tie, None for an unread one."""
TURNED: dict[Choice, Choice] = {"A": "B", "B": "A", "C": "C", None: None}
"""What a choice is called where the two answers change places."""
HEADS = {
    "right in both": "right_in_both", "the same answer": "same_answer",
    "always the first": "always_A", "always the second": "always_B",
}  # fmt: skip
"""Columns of a table, by the names of their estimates."""


def estimates(
    choices: Sequence[tuple[Choice, Choice]],
    marks: Sequence[tuple[Mark, Mark]],
    undecided: Collection[Choice],
) -> dict[str, Estimate]:
    """What pairs of choices come to, as shown in either order.

    `undecided` are the choices that are none.
    """
    n = len(choices)
    # The same answer stands in the other slot of the other order.
    same = sum(first not in undecided and TURNED[second] == first for first, second in choices)
    shares = {
        "right_in_both": share(marks.count(("right", "right")), n),
        "same_answer": share(same, n),
    }
    for slot in ("A", "B"):
        shares[f"always_{slot}"] = share(choices.count((slot, slot)), n)
    broken = sum(first in undecided or second in undecided for first, second in choices)
    name = "tie_or_unread" if "C" in undecided else "unread"
    return shares | {name: share(broken, n)}
