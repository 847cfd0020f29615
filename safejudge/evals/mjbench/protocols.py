"""Judges of MJ-Bench's pictures: items -> what each way of judging says about each.

Three kinds of judge (arXiv 2407.04842, sec. 3): the constitutional one, which reads a picture's
score from rules and never sees two at once; a scoring VLM, which rates one picture or compares two
(both orders), by the rating it writes or by the probabilities of all ratings; and a score model, an
encoder that compares picture and caption. A way of judging has a name, and says of an item what
the benchmark's recorded outputs say: two ratings, a choice, or one rating for bias. What was
refused or cannot be read stays `None`; nothing becomes a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from safejudge.engines.base import holds
from safejudge.engines.open import SCORER
from safejudge.evals.mjbench import prompts as texts
from safejudge.evals.pictures import load_pictures
from safejudge.evals.replies import refuses, stored_rating, strict_choice, strict_rating
from safejudge.evals.stats.preference import Answer
from safejudge.judge import Judge
from safejudge.method.precondition import was_read
from safejudge.types import (
    AnswerProbs,
    Constitution,
    Failure,
    Judgment,
    Precondition,
    Probe,
    Reasoning,
    Rule,
    Similarity,
)

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.evals.mjbench.prompts import Form, Scale
    from safejudge.evals.mjbench.samples import Item
    from safejudge.evals.prompts import Prompt, Reading
    from safejudge.evals.suite import Run
    from safejudge.policy import Policy
    from safejudge.types import JSON, Picture

Mode = Literal["single", "multi"]
CHOICES = ("First", "Second")
_WRITTEN = {"short": 12, "protocol": 256}
"""Most tokens of a written reply."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item with its pictures decoded; None for one that cannot be read."""

    item: Item
    pictures: tuple[Picture | None, ...]

    @property
    def whole(self) -> bool:
        """Whether every picture is there."""
        return None not in self.pictures


@dataclass(frozen=True, slots=True)
class Way:
    """One way of judging."""

    judge: str
    """Who: the engine's or encoder's URI."""
    name: str
    """How: `constitution score`, `1-5 single weighted`, `cosine`."""
    perspectives: frozenset[str]
    """What it can judge."""
    say: Callable[[Sequence[Shown]], list[list[JSON]]]
    """Says of every item one thing, or one for each order of its pictures: `order` ("01" or "10"),
    `ratings`, `choice` (of the pictures as shown), `rating` for bias, and what was read."""


def load(items: Sequence[Item], run: Run) -> list[Shown]:
    """Decode the pictures of some items, each once."""
    sources = {source.name: source.data for item in items for source in item.images}
    loaded = dict(zip(sources, load_pictures(list(sources.values()), run), strict=True))
    return [Shown(item, tuple(_there(loaded[s.name]) for s in item.images)) for item in items]


def _there(picture: Picture | Failure) -> Picture | None:
    return None if isinstance(picture, Failure) else picture


# --- the constitutional judge -------------------------------------------------------------------


def constitutional(models: Models, constitution: Constitution | None, policy: Policy) -> list[Way]:
    """Safety by the rules of a constitution, by score and by outcome; bias by occupation."""
    uri = models.engine.card.uri
    ways = [Way(uri, "occupation rule", frozenset({"bias"}), _Occupations(models, policy))]
    if constitution is not None:
        judge = _Rules(Judge(constitution, models, policy))
        safety = frozenset({"safety"})
        ways += [
            Way(uri, "constitution score", safety, judge.by_score),
            Way(uri, "constitution outcome", safety, judge.by_outcome),
        ]
    return ways


class _Rules:
    """Judges every picture by itself; both ways of comparing read the same judgments."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known: dict[str, Judgment] = {}

    def by_score(self, shown: Sequence[Shown]) -> list[list[JSON]]:
        """The picture that violates more is the one with the higher score."""
        return [[self._scores(*pair)] for pair in self._pairs(shown)]

    def _scores(self, *pair: Judgment | None) -> JSON:
        found = [None if one is None else score_of(one, self._judge.policy) for one in pair]
        scores = [None if score is None else 1 - score for score in found]
        return {"order": "01", "ratings": None if None in scores else scores}

    def by_outcome(self, shown: Sequence[Shown]) -> list[list[JSON]]:
        """The picture that violates more is the one with more violated rules."""
        return [[self._outcome(*pair)] for pair in self._pairs(shown)]

    def _outcome(self, *pair: Judgment | None) -> JSON:
        read = {"labels": [None if one is None else one.label for one in pair]}
        if any(one is None or score_of(one, self._judge.policy) is None for one in pair):
            return {"order": "01", "choice": Answer.UNPARSED, **read}
        first, second = (len(one.violations) for one in pair if one is not None)
        open_ = "undecided" in read["labels"]
        choice = Answer.FIRST if first < second else Answer.SECOND
        return {"order": "01", "choice": Answer.TIE if open_ or first == second else choice, **read}

    def _pairs(self, shown: Sequence[Shown]) -> list[tuple[Judgment | None, Judgment | None]]:
        there = [p for one in shown for p in one.pictures if p is not None]
        new = {p.digest: p for p in there if p.digest not in self._known}
        results = self._judge([picture.pixels for picture in new.values()])
        known = self._known | {
            digest: result
            for digest, result in zip(new, results, strict=True)
            if isinstance(result, Judgment)
        }
        # Only what this window shows: the other way of comparing asks for the same next.
        self._known = {p.digest: known[p.digest] for p in there if p.digest in known}
        found = self._known
        return [
            (
                None if one.pictures[0] is None else found.get(one.pictures[0].digest),
                None if one.pictures[1] is None else found.get(one.pictures[1].digest),
            )
            for one in shown
        ]


def score_of(judgment: Judgment, policy: Policy) -> float | None:
    """A picture's score; None where it hangs on what the judge could not read.

    An open rule whose statement was not answered has 1/2 by convention, which is no opinion.
    """
    for rule in judgment.rules.values():
        if rule.outcome == "undecided" and not all(was_read(p, policy) for p in rule.preconditions):
            return None
    return judgment.score


class _Occupations:
    """Rates how well a picture fits its occupation: the score of a rule that says just that."""

    def __init__(self, models: Models, policy: Policy) -> None:
        self._models = models
        self._policy = policy.unfiltered().exhaustively()
        self._judges: dict[str, Judge] = {}

    def __call__(self, shown: Sequence[Shown]) -> list[list[JSON]]:
        """One rating per item, in [0, 1]."""
        ratings: dict[int, float | None] = {}
        for caption in dict.fromkeys(one.item.caption for one in shown):
            places = [i for i, one in enumerate(shown) if one.item.caption == caption]
            there = [(i, p) for i in places if (p := shown[i].pictures[0]) is not None]
            results = self._judge(caption)([picture.pixels for _, picture in there])
            for (i, _), result in zip(there, results, strict=True):
                if isinstance(result, Judgment):
                    ratings[i] = score_of(result, self._policy)
        return [[{"order": "0", "rating": ratings.get(i)}] for i in range(len(shown))]

    def _judge(self, caption: str) -> Judge:
        if caption not in self._judges:
            statement = texts.statement_of("bias", caption)
            rule = Rule(
                id="fits", category="occupation", severity="low", text=statement,
                objective=statement, condition=Precondition(statement=statement),
            )  # fmt: skip
            rules = Constitution(name="occupation", rules=(rule,))
            self._judges[caption] = Judge(rules, self._models, self._policy)
        return self._judges[caption]


# --- a score model ------------------------------------------------------------------------------


def encoding(models: Models) -> list[Way]:
    """How like their caption pictures are, by the encoder; nothing without one."""
    encoder = models.encoder
    if encoder is None:
        return []

    def say(shown: Sequence[Shown]) -> list[list[JSON]]:
        pairs = [
            Similarity(picture, one.item.caption.strip())
            for one in shown
            for picture in one.pictures
            if picture is not None and (text := one.item.caption.strip()) and holds(encoder, text)
        ]
        wanted = list(dict.fromkeys(pairs))
        found = dict(zip(wanted, encoder.similarities(wanted), strict=True)) if wanted else {}
        return [[_cosines(one, found)] for one in shown]

    every = frozenset({"alignment", "safety", "quality", "bias"})
    uri = encoder.card.uri
    return [Way(uri, "preference score" if uri.startswith(SCORER) else "cosine", every, say)]


def _cosines(shown: Shown, found: dict[Similarity, float]) -> JSON:
    caption = shown.item.caption.strip()
    keys = [None if p is None else Similarity(p, caption) for p in shown.pictures]
    cosines = [_finite(None if key is None else found.get(key)) for key in keys]
    return _rated(shown, "01", cosines)


# --- a scoring VLM ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a VLM is asked for ratings."""

    form: Form = "protocol"
    scales: tuple[Scale, ...] = ("1-5",)
    modes: tuple[Mode, ...] = ("single", "multi")
    readings: tuple[Reading, ...] = ("written", "weighted")


def rating_ways(models: Models, policy: Policy, protocol: Protocol) -> list[Way]:
    """Every way of asking a VLM for ratings that was chosen."""
    vlm = _Vlm(models, policy, protocol.form)
    pairs = frozenset({"alignment", "safety", "quality"})
    says: dict[tuple[Mode, Reading], Callable[[Scale, Sequence[Shown]], list[list[JSON]]]] = {
        ("single", "written"): vlm.single_written, ("single", "weighted"): vlm.single_weighted,
        ("multi", "written"): vlm.multi_written, ("multi", "weighted"): vlm.multi_weighted,
    }  # fmt: skip
    ways = []
    for mode, reading in itertools.product(protocol.modes, protocol.readings):
        # Nothing is rated where only a choice is asked for, so one scale is as good as another.
        free = mode == "multi" and (reading == "weighted" or protocol.form == "short")
        for scale in protocol.scales[:1] if free else protocol.scales:
            name = f"choice {mode} {reading}" if free else f"{scale} {mode} {reading}"
            say = partial(says[mode, reading], scale)
            judged = pairs if mode == "multi" else pairs | {"bias"}
            ways.append(Way(models.engine.card.uri, name, judged, say))
    return ways


@dataclass(frozen=True, slots=True)
class _Vlm:
    models: Models
    policy: Policy
    form: Form

    def single_weighted(self, scale: Scale, shown: Sequence[Shown]) -> list[list[JSON]]:
        """Each picture by itself: the mean of all ratings, weighted by their probabilities."""
        labels = texts.SCALES[scale]

        def probe(item: Item, picture: Picture) -> Probe:
            ask = texts.rating(
                self.form, item.perspective, scale, item.caption, alone=True, image=None
            )
            return ask.probe((picture,), labels)

        read = self._each(shown, probe)
        return [[_rated(one, "01", list(map(self._mean, answers)))] for one, answers in read]

    def single_written(self, scale: Scale, shown: Sequence[Shown]) -> list[list[JSON]]:
        """Each picture by itself: the rating that is written."""

        def request(item: Item, picture: Picture) -> Reasoning:
            ask = texts.rating(
                self.form, item.perspective, scale, item.caption, alone=False, image=None
            )
            return ask.written((picture,), _WRITTEN[self.form])

        found = []
        for one, replies in self._each(shown, request):
            words = ["" if reply is None else str(reply) for reply in replies]
            ratings = [self._rating(text, scale) for text in words]
            found.append([_rated(one, "01", ratings) | _written(words)])
        return found

    def multi_weighted(self, scale: Scale, shown: Sequence[Shown]) -> list[list[JSON]]:
        """Both pictures at once, in both orders: the likelier of First and Second."""
        asks = [_comparison(self.form, one.item, scale, alone=True) for one in shown]
        probes = {
            (i, order): ask.probe(_ordered(one, order), CHOICES)
            for i, (one, ask) in enumerate(zip(shown, asks, strict=True))
            for order in ("01", "10")
            if one.whole
        }
        answers = dict(zip(probes, self.models.answer(list(probes.values())), strict=True))
        return [
            [self._chosen(answers.get((i, order)), order) for order in ("01", "10")]
            for i in range(len(shown))
        ]

    def multi_written(self, scale: Scale, shown: Sequence[Shown]) -> list[list[JSON]]:
        """Both pictures at once, in both orders: what is written."""
        asks = [_comparison(self.form, one.item, scale, alone=False) for one in shown]
        requests = {
            (i, order): ask.written(_ordered(one, order), _WRITTEN[self.form])
            for i, (one, ask) in enumerate(zip(shown, asks, strict=True))
            for order in ("01", "10")
            if one.whole
        }
        replies = dict(zip(requests, self.models.answer(list(requests.values())), strict=True))
        return [
            [self._compared(replies.get((i, order)), order, scale) for order in ("01", "10")]
            for i in range(len(shown))
        ]

    def _each(
        self, shown: Sequence[Shown], ask: Callable[[Item, Picture], Probe | Reasoning]
    ) -> list[tuple[Shown, list[Any]]]:
        """Put one question about every picture that is there; None for one that is not."""
        asked = [[None if p is None else ask(one.item, p) for p in one.pictures] for one in shown]
        wanted = list(dict.fromkeys(r for some in asked for r in some if r is not None))
        answers = dict(zip(wanted, self.models.answer(wanted), strict=True))
        return [
            (one, [None if request is None else answers[request] for request in some])
            for one, some in zip(shown, asked, strict=True)
        ]

    def _rating(self, text: str, scale: Scale) -> float | None:
        words = texts.WORDS[scale]
        if self.form == "protocol":
            found = strict_rating(text, words)
        else:
            found = stored_rating(text.strip().rstrip("."), words)
        return found if found is not None and 0 < found <= len(texts.SCALES[scale]) else None

    def _mean(self, answer: AnswerProbs | None) -> float | None:
        """The expected rating; None where the model did not want to give one."""
        if answer is None or answer.problem is not None:
            return None
        mass = math.fsum(answer.p_labels)
        if not mass or mass < self.policy.minimum_label_mass:
            return None
        return math.fsum(p * n for n, p in enumerate(answer.p_labels, start=1)) / mass

    def _chosen(self, answer: Any, order: str) -> JSON:
        if answer is None or answer.problem is not None:
            return {"order": order, "choice": Answer.UNPARSED}
        first, second = answer.p_labels
        if not first + second or first + second < self.policy.minimum_label_mass:
            return {"order": order, "choice": Answer.UNPARSED}
        choice = Answer.FIRST if first > second else Answer.SECOND
        p_first = first / (first + second)
        return {
            "order": order, "choice": Answer.TIE if first == second else choice,
            "p_first": p_first,
        }  # fmt: skip

    def _compared(self, reply: Any, order: str, scale: Scale) -> JSON:
        text = "" if reply is None else str(reply)
        words = texts.WORDS[scale]
        ratings = [strict_rating(text, words, i) for i in (0, 1)]
        if self.form == "short":
            named = {"first": 1, "second": 2}.get(text.strip().rstrip(".").lower())
        else:
            named = strict_choice(text)
        by_name = {0: Answer.TIE, 1: Answer.FIRST, 2: Answer.SECOND}
        unread = Answer.REFUSED if refuses(text) else Answer.UNPARSED
        choice = unread if named is None else by_name[named]
        said = {"order": order, "choice": choice, "ratings": None if None in ratings else ratings}
        return said | _written([text])


def _comparison(form: Form, item: Item, scale: Scale, *, alone: bool) -> Prompt:
    return texts.comparison(form, item.perspective, scale, item.caption, alone=alone)


def _ordered(shown: Shown, order: str) -> tuple[Picture, ...]:
    pictures = [picture for picture in shown.pictures if picture is not None]
    return tuple(pictures if order == "01" else reversed(pictures))


def _rated(shown: Shown, order: str, ratings: Sequence[float | None]) -> JSON:
    if shown.item.label is None:
        return {"order": "0", "rating": ratings[0]}
    return {"order": order, "ratings": None if None in ratings else list(ratings)}


def _written(replies: Sequence[str]) -> JSON:
    return {"replies": list(replies), "refused": any(map(refuses, replies))}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
