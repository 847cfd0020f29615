"""What a judge says: reads, verdicts on preconditions and rules, judgments on images."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from safejudge.types.base import Outcome, Record, SparseRecord
from safejudge.types.panel import Panel
from safejudge.types.pictures import Failure, Frames
from safejudge.types.programs import Finding
from safejudge.types.requests import Box

UndecidedBy = Literal["rules", "frames", "caption", "not_asked"]
"""What can keep a label undecided."""

View = Literal["full", "no_image", "region_removed", "region_crop", "mirrored"]
"""What is shown with a question; see `views`."""


class Read(Record):
    """One look of the model at one view, as numbers."""

    view: View
    """Which view was shown."""
    score: float | None
    """M = P(yes) / (P(yes) + P(no)); None where nothing could be read."""
    label_mass: float
    """P(yes) + P(no)."""
    top: str = ""
    """The likeliest first token."""
    exact: bool = True
    """False where the numbers are bounds (`AnswerProbs.exact`)."""


class ReasoningTrace(Record):
    """What the cascade heard."""

    text: str
    """The free reasoning."""
    rationale: str | None = None
    """The model's own summary, from the validated JSON."""
    rating: Literal["Yes", "No", "Unsure"] | None = None
    """The validated rating; None for a reply that could not be read."""
    problem: str | None = None
    """Why the reply could not be read."""


class Confirmation(SparseRecord):
    """What a precondition that makes a rule violated was asked beside its statement."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({"shown"})

    by: Literal["contrast", "reworded", "mirrored"]
    """A choice between the statement and a near miss; the statement in other words; the statement
    and the picture with left and right exchanged."""
    statement: str
    """The near miss, the other words, or the statement."""
    reads: tuple[Read, ...]
    """Of a choice: with the statement named first, then last; `score` is P(first) / (P(first) +
    P(last)) in both. Of other words: the picture, and their own language prior. Else one look."""
    outcome: Outcome
    """Whether it says that the statement holds."""
    score: float | None
    """In [0, 1], above 1/2 for the statement; None where nothing could be read."""
    problem: str | None = None
    """Why it could not be read, where the engine said."""
    shown: Literal["region_crop"] | None = None
    """What it was asked about: the crop of the central object; None: the full view."""

    @model_validator(mode="after")
    def _has_its_looks(self) -> Self:
        """Refuse a record that nothing can be told from."""
        if len(self.reads) not in {"contrast": (2,), "reworded": (1, 2)}.get(self.by, (1,)):
            raise ValueError(f"{self.by} has {len(self.reads)} reads")
        return self


class PreconditionVerdict(SparseRecord):
    """The answer to one precondition on one picture, and how it came about."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({
        "confirmations", "engine", "opinions", "finding",
    })  # fmt: skip

    statement: str
    """The statement that was asked."""
    look_at: str | None = None
    """Its central object."""
    outcome: Outcome
    """yes, no or undecided."""
    test: Literal[
        "reject", "accept", "region", "reasoning", "contrast", "reworded", "open_no", "open",
        "label_mass", "unreadable", "not_asked", "program",
    ]  # fmt: skip
    """What decided: a test, a `program` (which is undecided where it cannot look), a confirmation
    that took a yes back, `open_no` (between the bounds, which the policy takes for no), or why
    nothing did (`open`: between the bounds; `not_asked`: of a replay, the records do not say)."""
    score: float
    """Debiased score in [0, 1]; above 0.5 for yes, below for no. See `debias`."""
    margin: float
    """log-odds of `score`."""
    reads: tuple[Read, ...]
    """Every look, in the order taken; none where the mean of several engines counts."""
    boxes: tuple[Box, ...] | None = None
    """The region of the central object, the surest box first; None if it was not looked for."""
    reasoning: ReasoningTrace | None = None
    """The cascade's conversation, if it was asked."""
    note: str | None = None
    """What a person should know: why it stayed undecided, what the engine reported."""
    confirmations: tuple[Confirmation, ...] = ()
    """What was asked beside it, because the rule was about to be violated."""
    engine: str | None = None
    """URI of the engine whose answer this is, where it is one of `opinions`, or was asked after
    them; else None."""
    opinions: tuple[PreconditionVerdict, ...] = ()
    """What each of several engines answered, in the order of the judge's panel: their mean is this
    verdict, or `engine` was asked because of what they left open."""
    finding: Finding | None = None
    """What a program found, or why it could not look."""

    @model_validator(mode="after")
    def _has_what_decided(self) -> Self:
        """Refuse a record that says that something decided which it does not hold."""
        if self.test in ("contrast", "reworded") and self.test not in {
            confirmation.by for confirmation in self.confirmations
        }:
            raise ValueError(f"{self.test} decided, and is not among the confirmations")
        if self.test == "program" and self.finding is None:
            raise ValueError("a program decided, and there is no finding")
        return self

    @property
    def seen(self) -> tuple[Box, ...]:
        """Every box: of the central object, and of what a program read or counted."""
        return (*(self.boxes or ()), *(self.finding.boxes if self.finding is not None else ()))

    @property
    def answers(self) -> tuple[PreconditionVerdict, ...]:
        """The verdicts of one engine each that make up this one: itself, or those of the mean."""
        return self.opinions if self.engine is None and self.opinions else (self,)


class RuleVerdict(Record):
    """Whether one rule is violated."""

    outcome: Literal["violated", "not_violated", "undecided", "not_relevant"]
    """`not_relevant`: skipped by the relevance filter, so it counts for nothing."""
    score: float | None
    """How strongly the condition holds, in [0, 1]; None for a rule that was not asked."""
    margin: float | None
    """log-odds of `score`; None for a rule that was not asked."""
    bound: Literal["exact", "upper", "lower"] = "exact"
    """`upper` / `lower`: evaluation stopped early; the full score could only be lower / higher."""
    similarity: float | None = None
    """Cosine similarity of rule and picture, or the number of a distilled filter, if the relevance
    filter ran; in [-1, 1]."""
    unfiltered: Literal["violated", "not_violated", "undecided"] | None = None
    """The outcome without the relevance filter; known only where every rule is asked all the same
    (`Policy.exhaustive`), and None where no filter ran."""
    frame: int | None = None
    """The frame that decided, of an animated image; of several pictures of one thing which of
    them, counted from 0, and None where all together decided."""
    background: Literal["white", "black"] | None = None
    """The background that decided, of a transparent image."""
    preconditions: tuple[PreconditionVerdict, ...] = ()
    """Everything that was asked for this rule, in the order asked."""
    captioned: bool | None = None
    """Whether the look that decided showed the caption; None for an image without one."""
    set_aside: RuleVerdict | None = None
    """Of a captioned image that was looked at twice: the look that did not decide."""
    unread: bool = Field(default=False, exclude=True)
    """Read from a short record, which holds no answers, and written nowhere else: the rule is
    undecided, and a statement of it got no readable answer."""


class CaptionUse(Record):
    """How much of an image's caption was shown to the model."""

    tokens: int
    """How long it is; where the tokenizer is not known, at most so long."""
    shown: int
    """How much of it was shown: all, the beginning, or 0 where it was too long."""


class Usage(SparseRecord):
    """What one image needed, whatever stood beside it in the batch.

    Not counted: the questions without an image, which all images share and the disk keeps.
    """

    SPARSE: ClassVar[frozenset[str]] = frozenset({"by_engine", "looks"})

    probes: int = 0
    """Different yes/no questions with a picture of this image (after early stop)."""
    reasoning_calls: int = 0
    """Replies generated for this image."""
    detector_calls: int = 0
    """Different sets of words looked for in a picture of this image."""
    looks: int = 0
    """Different calls of programs on a picture of this image."""
    by_engine: dict[str, Usage] = Field(default_factory=dict)
    """Questions and replies of each engine, by its URI, where a judge has several."""


class ModelRef(Record):
    """A model beside the judge."""

    uri: str
    """What it was chosen by."""
    revision: str
    """Digest of its weights and settings."""


class Provenance(SparseRecord):
    """What produced a judgment."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({
        "also", "escalate_to", "skip_hashes", "programs",
    })  # fmt: skip

    constitution: str
    """Digest of the constitution."""
    prompts: str
    """Digest of every prompt text."""
    policy: str
    """Digest of the policy."""
    model: str
    """Engine URI."""
    revision: str
    """Digest of the model's weights and templates, as the engine computes it."""
    encoder: ModelRef | None = None
    """The dual encoder of the relevance filter; None if every rule is asked."""
    detector: ModelRef | None = None
    """The detector that finds central objects; None if no regions are looked at."""
    also: tuple[ModelRef, ...] = ()
    """The engines whose answers count as much as those of the first, by their URIs."""
    escalate_to: ModelRef | None = None
    """The engine that is asked what these leave open."""
    skip_hashes: str | None = None
    """Digest of the list of hashes whose pictures were shown to no model; None: there was none."""
    programs: tuple[ModelRef, ...] = ()
    """The programs of the rules, as `program:NAME`; the revision is a digest of the name, the
    version and the files that the program reads by."""
    versions: dict[str, str]
    """Versions of safejudge, torch, transformers, ... that took part."""

    @property
    def panel(self) -> Panel:
        """The engines by their places."""
        last = None if self.escalate_to is None else self.escalate_to.uri
        return Panel((self.model, *(ref.uri for ref in self.also)), last)


class Judgment(Record):
    """What was found about one image."""

    image: str
    """The path, or `image[3]`."""
    id: str
    """Sha256 of the source bytes."""
    label: Literal["safe", "unsafe", "undecided"]
    """unsafe: a rule is violated; undecided: none is, but at least one could not be settled."""
    violations: tuple[str, ...]
    """Ids of the violated rules, in the constitution's order."""
    score: float | None
    """The highest score of a rule that is relevant, in [0, 1]; None if the filter skipped all."""
    margin: float | None
    """log-odds of `score`."""
    rules: dict[str, RuleVerdict]
    """One verdict per rule id, in the constitution's order."""
    provenance: Provenance
    """What produced this judgment."""
    usage: Usage
    """What it cost."""
    frames: Frames | None = None
    """How many frames of an animation were looked at; None for a still picture."""
    caption: CaptionUse | None = None
    """How much of its caption was shown; None for an image without one."""
    undecided_by: tuple[UndecidedBy, ...] = ()
    """What keeps the label undecided: `rules` that could not be settled, `frames` that nobody
    looked at where the policy wants every one, a `caption` that was too long, or, of a replay,
    what was `not_asked`; empty for the other labels."""


Result = Judgment | Failure
"""What a judge returns per image."""
