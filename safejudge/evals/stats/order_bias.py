"""One judge, both orders of the same two answers: whether the slot decides. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import Estimate, share_of

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

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
    groups: Sequence[Hashable],
) -> dict[str, Estimate]:
    """What pairs of choices come to, as shown in either order.

    `undecided` are the choices that are none; pairs of one group belong together.
    """
    # The same answer stands in the other slot of the other order.
    same = [first not in undecided and TURNED[second] == first for first, second in choices]
    broken = [first in undecided or second in undecided for first, second in choices]
    columns = {
        "right_in_both": [pair == ("right", "right") for pair in marks],
        "same_answer": same,
        **{f"always_{slot}": [pair == (slot, slot) for pair in choices] for slot in ("A", "B")},
        "tie_or_unread" if "C" in undecided else "unread": broken,
    }
    return {name: share_of(column, groups) for name, column in columns.items()}
