"""What a judge says of one step of an answer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from safejudge.types.base import Outcome, Record
from safejudge.types.verdicts import Read, ReasoningTrace

StepKind = Literal[
    "Reasoning",
    "Visual Interpretation",
    "Numerical Calculation",
    "Symbolic Calculation",
    "Knowledge",
    "Question Understanding",
    "No Solution Provided",
]
"""What can be wrong with a step (ProJudge, arXiv 2503.06553)."""


class StepVerdict(Record):
    """Whether one step is right, and how that came about."""

    step: str
    """The step, as it was shown."""
    outcome: Outcome
    """yes: right; no: wrong; undecided."""
    kind: StepKind | None = None
    """What is wrong with a wrong step; None where that could not be read."""
    why: str | None = None
    """The reason in the model's words, where it was asked."""
    score: Annotated[float, Field(ge=0, le=1)] | None
    """How far it is right, debiased (`method.debias`); None where nothing could be read."""
    test: Literal["accept", "reject", "reasoning", "open_no", "open", "label_mass", "unreadable"]
    """What decided, or why nothing did; as of a `PreconditionVerdict`."""
    reads: tuple[Read, ...] = ()
    """The look at the pictures, and the language prior where there are pictures."""
    reasoning: ReasoningTrace | None = None
    """The conversation about a step that was open."""
    note: str | None = None
    """What a person should know: why it stayed undecided, what was not read."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        """Refuse a kind of a step that is not wrong, and a verdict without anything read."""
        if self.kind is not None and self.outcome is not Outcome.NO:
            raise ValueError(f"the kind {self.kind!r} of a step that is not wrong")
        if self.score is None and self.outcome is not Outcome.UNDECIDED:
            raise ValueError(f"{self.outcome} of a step that nothing was read of")
        return self
