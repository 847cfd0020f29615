"""Protocols on MJ-Bench's pictures: samples -> what a judge says about each.

Three kinds of judge (arXiv 2407.04842, sec. 3): the constitutional one, which reads a picture's
score from rules and never sees two at once; a score model, an encoder that compares picture and
caption; and a scoring VLM (`vlm`). A protocol has a name, and says of a sample what the benchmark's
recorded outputs say: two ratings, a choice, or one rating for bias. What was refused or cannot be
read stays `None`; nothing becomes a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines.base import holds
from safejudge.engines.open import number_of
from safejudge.evals.mjbench.prompts import statement_of
from safejudge.evals.pictures import load_pictures
from safejudge.evals.stats.preference import Answer
from safejudge.judge import Judge
from safejudge.method.precondition import was_read
from safejudge.types import Constitution, Judgment, Picture, Precondition, Rule, Similarity

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.evals.mjbench.samples import Sample
    from safejudge.evals.suite import Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

    Answers = list[list[JSON]]
    """Of each sample one answer, or one for each order of its pictures."""


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """A sample with its pictures decoded."""

    sample: Sample
    pictures: tuple[Picture | None, ...]
    """None for one that cannot be read."""

    @property
    def readable(self) -> tuple[Picture, ...]:
        """The pictures that can be read."""
        return tuple(picture for picture in self.pictures if picture is not None)

    @property
    def complete(self) -> bool:
        """Whether every picture can be read."""
        return None not in self.pictures

    @property
    def caption(self) -> str:
        """What was asked for, without spaces around it."""
        return self.sample.caption.strip()


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way in which somebody judges."""

    judge: str
    """Who: the engine's or encoder's URI."""
    name: str
    """How: `constitution score`, `1-5 single weighted`, `cosine`."""
    perspectives: frozenset[str]
    """What it can judge."""
    judged: Callable[[Sequence[LoadedSample]], Answers]
    """Says of every sample one thing, or one for each order of its pictures: `order` ("01" or
    "10"), `ratings`, `choice` (of the pictures as shown), `rating` for bias, and what was read."""


def load(samples: Sequence[Sample], run: Run) -> list[LoadedSample]:
    """Decode the pictures of some samples, each once."""
    sources = {source.name: source.data for sample in samples for source in sample.images}
    loaded = dict(zip(sources, load_pictures(list(sources.values()), run), strict=True))
    pictures = {
        name: picture if isinstance(picture, Picture) else None for name, picture in loaded.items()
    }
    return [
        LoadedSample(sample, tuple(pictures[source.name] for source in sample.images))
        for sample in samples
    ]


def rated(loaded: LoadedSample, ratings: Sequence[float | None]) -> JSON:
    """What a judge says that rated each picture by itself."""
    if loaded.sample.label is None:
        return {"order": "0", "rating": ratings[0]}
    return {"order": "01", "ratings": None if None in ratings else list(ratings)}


# --- the constitutional judge -------------------------------------------------------------------


def constitutional(
    models: Models, constitution: Constitution | None, policy: Policy
) -> list[Protocol]:
    """Safety by the rules of a constitution, by score and by outcome; bias by occupation."""
    uri = models.engine.card.uri
    occupations = _Occupations(models, policy)
    protocols = [Protocol(uri, "occupation rule", frozenset({"bias"}), occupations)]
    if constitution is not None:
        rules = _Rules(Judge(constitution, models, policy))
        safety = frozenset({"safety"})
        protocols += [
            Protocol(uri, "constitution score", safety, rules.by_score),
            Protocol(uri, "constitution outcome", safety, rules.by_outcome),
        ]
    return protocols


class _Rules:
    """Judges every picture by itself; both protocols compare the same judgments.

    Outcomes are those that the relevance filter leads to; scores are over everything asked.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._judgments: dict[str, Judgment] = {}

    def by_score(self, samples: Sequence[LoadedSample]) -> Answers:
        """The picture that violates more is the one with the higher score."""
        return [[self._scores(*pair)] for pair in self._pairs(samples)]

    def _scores(self, *pair: Judgment | None) -> JSON:
        policy = self._judge.policy
        scores = [None if judgment is None else score_of(judgment, policy) for judgment in pair]
        ratings = [None if score is None else 1 - score for score in scores]
        return {"order": "01", "ratings": None if None in ratings else ratings}

    def by_outcome(self, samples: Sequence[LoadedSample]) -> Answers:
        """The picture that violates more is the one with more violated rules."""
        return [[self._outcome(*pair)] for pair in self._pairs(samples)]

    def _outcome(self, *pair: Judgment | None) -> JSON:
        labels = [None if judgment is None else judgment.label for judgment in pair]
        judgments = [judgment for judgment in pair if judgment is not None]
        unread = any(_unread(judgment, self._judge.policy) for judgment in judgments)
        if len(judgments) < len(pair) or unread:
            return {"order": "01", "choice": Answer.UNPARSED, "labels": labels}
        first, second = (len(judgment.violations) for judgment in judgments)
        choice = Answer.FIRST if first < second else Answer.SECOND
        if "undecided" in labels or first == second:
            choice = Answer.TIE
        return {"order": "01", "choice": choice, "labels": labels}

    def _pairs(
        self, samples: Sequence[LoadedSample]
    ) -> list[tuple[Judgment | None, Judgment | None]]:
        pictures = [picture for loaded in samples for picture in loaded.readable]
        new = {p.digest: p for p in pictures if p.digest not in self._judgments}
        results = self._judge([picture.pixels for picture in new.values()])
        judgments = self._judgments | {
            digest: result
            for digest, result in zip(new, results, strict=True)
            if isinstance(result, Judgment)
        }
        # Only those of this window: the other protocol asks for the same next.
        self._judgments = {p.digest: judgments[p.digest] for p in pictures if p.digest in judgments}
        return [
            (self._judgment(loaded.pictures[0]), self._judgment(loaded.pictures[1]))
            for loaded in samples
        ]

    def _judgment(self, picture: Picture | None) -> Judgment | None:
        return None if picture is None else self._judgments.get(picture.digest)


def score_of(judgment: Judgment, policy: Policy) -> float | None:
    """A picture's score over every rule that was asked, also those that are not relevant.

    None where it hangs on what the judge could not read.
    """
    if _unread(judgment, policy, filtered=False):
        return None
    scores = [rule.score for rule in judgment.rules.values() if rule.score is not None]
    return max(scores, default=None)


def _unread(judgment: Judgment, policy: Policy, *, filtered: bool = True) -> bool:
    """Whether a rule is open because its statement was not answered: 1/2 is then no opinion."""
    return any(
        (rule.outcome if filtered else rule.unfiltered or rule.outcome) == "undecided"
        and not all(was_read(p, policy) for p in rule.preconditions)
        for rule in judgment.rules.values()
    )


class _Occupations:
    """Rates how well a picture fits its occupation: the score of a rule that says just that."""

    def __init__(self, models: Models, policy: Policy) -> None:
        self._models = models
        self._policy = policy.unfiltered().exhaustively()
        self._judges: dict[str, Judge] = {}

    def __call__(self, samples: Sequence[LoadedSample]) -> Answers:
        """One rating per sample, in [0, 1]."""
        ratings: dict[int, float | None] = {}
        for caption in dict.fromkeys(loaded.sample.caption for loaded in samples):
            pictures = {
                row: picture
                for row, loaded in enumerate(samples)
                if loaded.sample.caption == caption and (picture := loaded.pictures[0]) is not None
            }
            results = self._judge(caption)([picture.pixels for picture in pictures.values()])
            for row, result in zip(pictures, results, strict=True):
                if isinstance(result, Judgment):
                    ratings[row] = score_of(result, self._policy)
        return [[{"order": "0", "rating": ratings.get(row)}] for row in range(len(samples))]

    def _judge(self, caption: str) -> Judge:
        if caption not in self._judges:
            statement = statement_of("bias", caption)
            rule = Rule(
                id="fits", category="occupation", severity="low", text=statement,
                objective=statement, condition=Precondition(statement=statement),
            )  # fmt: skip
            rules = Constitution(name="occupation", rules=(rule,))
            self._judges[caption] = Judge(rules, self._models, self._policy)
        return self._judges[caption]


# --- a score model ------------------------------------------------------------------------------


def encoding(models: Models) -> list[Protocol]:
    """How like their caption pictures are, by the encoder; nothing without one."""
    encoder = models.encoder
    if encoder is None:
        return []

    def judged(samples: Sequence[LoadedSample]) -> Answers:
        pairs = dict.fromkeys(
            Similarity(picture, loaded.caption)
            for loaded in samples
            for picture in loaded.readable
            if loaded.caption and holds(encoder, loaded.caption)
        )
        cosines = dict(zip(pairs, encoder.similarities(list(pairs)), strict=True)) if pairs else {}
        return [[rated(loaded, _cosines(loaded, cosines))] for loaded in samples]

    perspectives = frozenset({"alignment", "safety", "quality", "bias"})
    uri = encoder.card.uri
    return [Protocol(uri, number_of(uri), perspectives, judged)]


def _cosines(loaded: LoadedSample, cosines: dict[Similarity, float]) -> list[float | None]:
    values = (
        None if picture is None else cosines.get(Similarity(picture, loaded.caption))
        for picture in loaded.pictures
    )
    return [value if value is not None and math.isfinite(value) else None for value in values]
