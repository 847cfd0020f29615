"""What goes to an engine, an encoder or a detector, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field

from safejudge.types.base import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.types.pictures import Picture


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
    engine: int = 0
    """Place in the judge's `Panel` of the engine that is asked; an engine itself always gets 0."""


@dataclass(frozen=True, slots=True)
class AnswerProbs:
    """What an engine read for one probe."""

    p_labels: tuple[float, ...]
    """Raw probability of each label, in the probe's order, summed over its spellings."""
    top: str = ""
    """The likeliest first token as text; tells a person what the model wanted to say."""
    exact: bool = True
    """False where a number is an upper bound: a server showed only its top tokens, rounded to 0,
    or does not tell the label mass."""
    problem: str | None = None
    """Why there is no usable answer; then the numbers mean nothing."""
    prompt_tokens: int | None = field(default=None, compare=False)
    """How long the prompt was, its pictures included, as a server counts; None: not told."""

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
class Sampling:
    """How a reply is drawn that is not the greedy one."""

    temperature: float
    """Above 0, and at most 2, which is the most that vLLM and its server take; nothing else cuts
    the distribution."""
    seed: int
    """0 or more. The same request with the same seed gets the same reply, as far as the engine's
    numbers are the same in batches of every size."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for what not every engine that draws would take."""
        if not 0 < self.temperature <= 2:
            raise ValueError(f"temperature {self.temperature}: give a number above 0, at most 2")


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
    engine: int = 0
    """As that of a `Probe`."""
    sampling: Sampling | None = None
    """None: the greedy reply. Else only an engine whose card says `samples` may be asked."""


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


@dataclass(frozen=True, slots=True)
class Learned:
    """What a relevance filter that was distilled from a judge states of itself."""

    threshold: float
    """A rule is asked above this number."""
    rules: Mapping[str, str]
    """The rules that it learned: `Rule.digest()` by what each is compared with."""


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
    most_together: int | None = None
    """Most pictures of one thing that a question may show, in order; None: as many as fit."""
    dialect: str = ""
    """The form of question that it is asked in; empty for the ordinary one."""
    samples: bool = False
    """Whether it draws replies by a request's `sampling`; else its replies are greedy."""
    notes: tuple[str, ...] = field(default=(), hash=False)
    """What a person should know of how it is asked."""
    learned: Learned | None = field(default=None, hash=False)
    """Of an encoder that was distilled from a judge; of others None."""


_ROUNDING = 1e-3  # float32 sums over spellings may end a little above 1


def are_probabilities(numbers: Sequence[float]) -> bool:
    """Whether these are the probabilities of some labels: there are some, each in [0, 1]."""
    return len(numbers) > 0 and all(0.0 <= p <= 1.0 + _ROUNDING for p in numbers)
