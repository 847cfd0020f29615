"""The core types: what a constitution holds, what goes to an engine, what comes out.

Types that cross a file or a wire are frozen pydantic models that refuse unknown fields.
Types that live only in the process are frozen dataclasses: hashable, so equal requests are one
request. Numbers in [0, 1] are called `score` or `p_*`; signed numbers `margin`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Sequence


if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


class Record(BaseModel):
    """Base of every type that is written to a file or sent over a wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Outcome(StrEnum):
    """A three-valued answer; also Kleene's truth values, in the order no < undecided < yes."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class Severity(StrEnum):
    """How bad a violation is, in the constitution's own judgement."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


# --- constitution -------------------------------------------------------------------------------


class Precondition(Record):
    """A leaf of a condition: one statement that a picture shows or does not show."""

    statement: str
    """A positive, checkable sentence, as it is put to the model."""
    look_at: str | None = None
    """The central object of the statement, in words a detector can look for; see `regions`."""


class AllOf(Record):
    """Holds when every part holds."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


class AnyOf(Record):
    """Holds when at least one part holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


class NoneOf(Record):
    """Holds when no part holds: the exceptions of a rule."""

    none: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """The parts; at least one."""


Condition = Precondition | AllOf | AnyOf | NoneOf
AllOf.model_rebuild()
AnyOf.model_rebuild()
NoneOf.model_rebuild()


ModerationKey = Literal[
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual",
    "sexual/minors", "violence", "violence/graphic",
]  # fmt: skip
"""The categories of OpenAI's moderation endpoint."""


class DraftRule(Record):
    """One rule as people wrote it; what is missing is the compiler's to find."""

    id: str
    """Unique within the constitution; lower-case words joined by `-` or `_`."""
    category: str
    """The heading under which reports group the rule."""
    severity: Severity
    """How bad a violation is."""
    text: str
    """The rule as people wrote it."""
    objective: str | None = None
    """The same rule in words whose truth a picture settles."""
    relevance: str | None = None
    """A shorter text for the relevance filter, where an encoder cannot hold `objective`."""
    moderation: tuple[ModerationKey, ...] = ()
    """The categories of OpenAI's moderation endpoint that a violation falls under."""
    condition: Condition | None = None
    """The tree of preconditions; used as written."""

    def source(self) -> str:
        """Sha256 (hex) of what a compiled form of this rule is made from."""
        return hashlib.sha256(repr((self.text, self.objective)).encode()).hexdigest()


class Rule(DraftRule):
    """One rule of a constitution. A picture violates it when its condition holds."""

    objective: str
    condition: Condition


class Draft(Record):
    """A constitution as people wrote it; rules without a condition are still to be compiled."""

    name: str
    """What reports call it."""
    description: str = ""
    """What it is for, in a sentence or two."""
    rules: Annotated[tuple[DraftRule, ...], Field(min_length=1)]
    """At least one rule; ids are unique."""


class Constitution(Record):
    """A set of rules, as read from one YAML file and, where rules were compiled, its lock."""

    name: str
    """What reports call it."""
    description: str = ""
    """What it is for, in a sentence or two."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """At least one rule; ids are unique."""

    @field_validator("rules")
    @classmethod
    def _ids_are_unique(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        # Verdicts are keyed by id: a doubled id would quietly lose a rule.
        seen: set[str] = set()
        for rule in rules:
            if rule.id in seen:
                raise ValueError(f"two rules have the id {rule.id!r}")
            seen.add(rule.id)
        return rules

    def digest(self) -> str:
        """Sha256 (hex) of everything that can change a verdict."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


# --- images -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels as a model will see them: one frame on one background.

    Equality and hash go by `digest`, so a picture is a cheap dictionary key.
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    """Height x width x 3, RGB; not writeable."""
    digest: str
    """Sha256 (hex) of shape and pixels: exactly what is sent, never the source file."""
    frame: int | None = None
    """Index of the frame in an animated source."""
    background: Literal["white", "black"] | None = None
    """What transparent parts were composited on, if there were any."""

    @staticmethod
    def of(
        pixels: npt.NDArray[np.uint8],
        frame: int | None = None,
        background: Literal["white", "black"] | None = None,
    ) -> Picture:
        """Freeze an H x W x 3 uint8 array and compute its digest."""
        frozen = np.array(pixels, dtype=np.uint8, order="C", copy=True)
        if frozen.ndim != 3 or frozen.shape[2] != 3:
            raise ValueError(f"a picture is height x width x 3, not {frozen.shape}")
        frozen.setflags(write=False)
        header = f"{frozen.shape[0]}x{frozen.shape[1]}:".encode()
        digest = hashlib.sha256(header + frozen.tobytes()).hexdigest()
        return Picture(frozen, digest, frame, background)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """One decoded image: the pictures a judgment has to look at."""

    id: str
    """Sha256 (hex) of the source bytes; for arrays and tensors, of shape, type and data."""
    name: str
    """The path, or `image[3]` for the fourth nameless item of a list."""
    pictures: tuple[Picture, ...]
    """At least one: every sampled frame, on every background that the policy asks for."""


class Failure(Record):
    """An image that was not judged, and why. It stands in the image's place in the result list."""

    image: str
    """The path, or `image[3]`."""
    id: str | None = None
    """Sha256 of the source bytes, where they could be read."""
    reason: str
    """One word for machines: missing, empty, truncated, not_an_image, unsupported, too_large,
    too_many_pixels, bad_array, url, unreadable, engine."""
    message: str
    """What happened and what to do, for people."""


# --- requests to an engine ----------------------------------------------------------------------

YES_NO = ("yes", "no")
"""The labels of an ordinary question; the first one is the positive answer."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question whose answer is read from the probabilities of the first token(s).

    The message is one user turn: instruction, images, question, in this order, so that engines
    with a prefix cache keep the image for every question that follows it.
    """

    instruction: str
    """The part that all questions share; comes before the images."""
    images: tuple[Picture, ...]
    """None (the language prior), one, or several."""
    question: str
    """The part that differs; comes last."""
    labels: tuple[str, ...] = YES_NO
    """The answers to compare. A label that is not one token is scored as a sequence."""


@dataclass(frozen=True, slots=True)
class AnswerProbs:
    """What an engine read for one probe."""

    p_labels: tuple[float, ...]
    """Raw probability of each label, in the probe's order, summed over its spellings."""
    top: str = ""
    """The likeliest first token as text; tells a person what the model wanted to say."""
    exact: bool = True
    """False where a server showed only its top tokens and a label is an upper bound."""
    problem: str | None = None
    """Why there is no usable answer; then the numbers mean nothing."""

    @property
    def label_mass(self) -> float:
        """P(any of the labels), in [0, 1]."""
        return min(1.0, sum(self.p_labels))

    @property
    def score(self) -> float | None:
        """`M`: the first label's share of the label mass (CLUE sec. 3.4); None if there is none."""
        total = sum(self.p_labels)
        if self.problem is not None or not 0.0 < total < float("inf"):
            return None
        return self.p_labels[0] / total


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a reasoning conversation."""

    role: Literal["user", "assistant"]
    """Who speaks."""
    text: str
    """What is said; images stand in the first user turn, between instruction and text."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A request for text: free, or forced into a JSON schema."""

    instruction: str
    """The shared part of the first user turn; comes before the images."""
    images: tuple[Picture, ...]
    """None, one or several."""
    messages: tuple[Message, ...]
    """The conversation so far; the last turn is the user's."""
    schema: type[BaseModel] | None = None
    """The reply must be JSON of this (bounded) model; None for free text."""
    max_tokens: int = 256
    """The reply is cut there."""


class NoReply(str):
    """An empty reply, and why there is none; no caller can mistake it for an answer."""

    __slots__ = ("problem",)

    problem: str

    def __new__(cls, problem: str) -> Self:
        """Keep the problem beside the empty text."""
        reply = super().__new__(cls, "")
        reply.problem = problem
        return reply


@dataclass(frozen=True, slots=True)
class Similarity:
    """A request to a dual encoder: how alike a picture and a text are."""

    picture: Picture
    """The frame on the background that is looked at."""
    text: str
    """The text."""


@dataclass(frozen=True, slots=True)
class Locate:
    """A request to a detector: where in a picture the things are that some words name."""

    picture: Picture
    """The frame on the background that is looked at."""
    words: tuple[str, ...]
    """What to look for, one object each."""


class Box(Record):
    """One object that a detector found."""

    word: str
    """What was looked for."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    """How sure the detector is."""
    left: Annotated[int, Field(ge=0)]
    """First column of pixels; the box is inside the picture and not empty."""
    top: Annotated[int, Field(ge=0)]
    """First row of pixels."""
    right: Annotated[int, Field(ge=1)]
    """One past the last column."""
    bottom: Annotated[int, Field(ge=1)]
    """One past the last row."""

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.right - self.left) * (self.bottom - self.top)


# --- verdicts and judgments ---------------------------------------------------------------------


View = Literal["full", "no_image", "region_removed", "region_crop"]
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
    """False where the numbers are bounds (top-k servers)."""


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


class PreconditionVerdict(Record):
    """The answer to one precondition on one picture, and how it came about."""

    statement: str
    """The statement that was asked."""
    look_at: str | None = None
    """Its central object."""
    outcome: Outcome
    """yes, no or undecided."""
    test: Literal["reject", "accept", "region", "reasoning", "open", "label_mass", "unreadable"]
    """What decided: a test, or why nothing did (`open`: between the bounds, no cascade)."""
    score: float
    """Debiased score in [0, 1]; above 0.5 for yes, below for no. See `debias`."""
    margin: float
    """log-odds of `score`."""
    reads: tuple[Read, ...]
    """Every look, in the order taken."""
    boxes: tuple[Box, ...] | None = None
    """The region of the central object, the surest box first; None if it was not looked for."""
    reasoning: ReasoningTrace | None = None
    """The cascade's conversation, if it was asked."""
    note: str | None = None
    """What a person should know: why it stayed undecided, what the engine reported."""


class RuleVerdict(Record):
    """Whether one rule is violated."""

    outcome: Literal["violated", "not_violated", "undecided", "not_relevant"]
    """`not_relevant`: skipped by the relevance filter."""
    score: float | None
    """How strongly the condition holds, in [0, 1]; None for a skipped rule."""
    margin: float | None
    """log-odds of `score`; None for a skipped rule."""
    bound: Literal["exact", "upper", "lower"] = "exact"
    """`upper` / `lower`: evaluation stopped early; the full score could only be lower / higher."""
    similarity: float | None = None
    """Cosine similarity of rule and picture, if the relevance filter ran; in [-1, 1]."""
    frame: int | None = None
    """The frame that decided, of an animated image."""
    background: Literal["white", "black"] | None = None
    """The background that decided, of a transparent image."""
    preconditions: tuple[PreconditionVerdict, ...] = ()
    """Everything that was asked for this rule, in the order asked."""


class Usage(Record):
    """What one image needed, whatever stood beside it in the batch.

    Not counted: the questions without an image, which all images share and the disk keeps.
    """

    probes: int = 0
    """Different yes/no questions with a picture of this image (after early stop)."""
    reasoning_calls: int = 0
    """Replies generated for this image."""
    detector_calls: int = 0
    """Different sets of words looked for in a picture of this image."""


class ModelRef(Record):
    """A model beside the judge."""

    uri: str
    """What it was chosen by."""
    revision: str
    """Digest of its weights and settings."""


class Provenance(Record):
    """What produced a judgment."""

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
    versions: dict[str, str]
    """Versions of safejudge, torch, transformers, ... that took part."""


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
    """The highest rule score, in [0, 1]; None if the relevance filter skipped every rule."""
    margin: float | None
    """log-odds of `score`."""
    rules: dict[str, RuleVerdict]
    """One verdict per rule id, in the constitution's order."""
    provenance: Provenance
    """What produced this judgment."""
    usage: Usage
    """What it cost."""


Result = Judgment | Failure
"""What a judge returns per image."""


Step = tuple[Literal["all", "any", "none"], int]
"""From an inner node of a condition to one of its parts: the operator, and the place in its list.
"""


def steps(condition: Condition) -> Iterator[tuple[Step, Condition]]:
    """Yield the parts of an inner node with the step to each; nothing for a precondition."""
    match condition:
        case Precondition():
            return
        case AllOf(all=parts):
            yield from ((("all", place), part) for place, part in enumerate(parts))
        case AnyOf(any=parts):
            yield from ((("any", place), part) for place, part in enumerate(parts))
        case NoneOf(none=parts):
            yield from ((("none", place), part) for place, part in enumerate(parts))


def placed_leaves(
    condition: Condition, way: tuple[Step, ...] = ()
) -> Iterator[tuple[tuple[Step, ...], Precondition]]:
    """Yield the preconditions in listed order, each with the steps to it."""
    if isinstance(condition, Precondition):
        yield way, condition
    for step, part in steps(condition):
        yield from placed_leaves(part, (*way, step))


def leaves(condition: Condition) -> Iterator[Precondition]:
    """Yield the preconditions of a condition in listed order."""
    match condition:
        case Precondition():
            yield condition
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            for part in parts:
                yield from leaves(part)


@dataclass(frozen=True, slots=True)
class EngineCard:
    """What an engine says of itself when it has started."""

    uri: str
    """The URI it was chosen by."""
    model: str
    """Model id or folder."""
    revision: str
    """Digest over weights' identity, chat template and label tokens: the key of caches; empty
    for an engine whose answers must not be cached."""
    label_tokens: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Per label, the spellings found to be single tokens after this template's prompt."""
    versions: dict[str, str] = field(default_factory=dict, hash=False)
    """Versions of the libraries that do the work."""
    pictures: bool = True
    """Whether it takes pictures; a model for text alone cannot judge, but it can compile."""


JSON = dict[str, Any]
"""A decoded JSON object."""


def operator(condition: AllOf | AnyOf | NoneOf) -> str:
    """Name an inner node of a tree."""
    match condition:
        case AllOf():
            return "all of"
        case AnyOf():
            return "any of"
        case NoneOf():
            return "none of"


def parts(condition: Condition) -> tuple[Condition, ...]:
    """Return what an inner node of a tree is made of; nothing for a precondition."""
    match condition:
        case AllOf(all=inner) | AnyOf(any=inner) | NoneOf(none=inner):
            return inner
        case Precondition():
            return ()


_ROUNDING = 1e-3  # float32 sums over spellings may end a little above 1


def are_probabilities(numbers: Sequence[float]) -> bool:
    """Whether these are the probabilities of some labels: there are some, each in [0, 1]."""
    return len(numbers) > 0 and all(0.0 <= p <= 1.0 + _ROUNDING for p in numbers)
