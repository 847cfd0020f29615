"""Whether a model can compile at all: the example of its own instructions, put to it as a rule.

The two statements and how they combine stand in the prompt, so a model that does not return them
copies no rule that stands nowhere. It passes by what it says, not by its words: each clause has a
statement of its own, and both are required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.compile import prompts
from safejudge.compile.asking import UnusableError
from safejudge.compile.prose import read_back
from safejudge.compile.tree import planned_flow, split_flow
from safejudge.constitution.lint.fidelity import differences
from safejudge.text import cut, spelled
from safejudge.types import Message, leaves

if TYPE_CHECKING:
    from safejudge.flow import Flow

_WRONG = frozenset({"statement", "exception", "alternative"})
"""Kinds of differences that no other words for the same explain."""


def trial_flow() -> Flow[str | None]:
    """Have the example split; None if that went well, else what went wrong."""
    planned = yield from planned_flow(prompts.EXAMPLE)
    try:
        condition = yield from split_flow([*planned, Message("user", prompts.FIRST)])
    except UnusableError as error:
        return str(error)
    split = len(list(leaves(condition))) > 1
    if split and all(f.kind not in _WRONG for f in differences(prompts.EXAMPLE, condition)):
        return None
    return f"it gives: {spelled(cut(read_back(condition), 200))}"
