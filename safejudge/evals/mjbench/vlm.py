"""A scoring VLM on MJ-Bench's pictures: rates each by itself, or compares two in both orders.

By the rating that it writes, or by the probabilities of all ratings (arXiv 2407.04842, sec. 3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals.mjbench import prompts as texts
from safejudge.evals.mjbench.protocols import LoadedSample, Protocol, rated
from safejudge.evals.replies import refuses, stored_rating, strict_choice, strict_rating
from safejudge.evals.stats.preference import Answer

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.evals.mjbench.prompts import Form, Scale
    from safejudge.evals.mjbench.protocols import Answers
    from safejudge.evals.mjbench.samples import Sample
    from safejudge.evals.prompts import Prompt, Reading
    from safejudge.policy import Policy
    from safejudge.types import JSON, AnswerProbs, Picture, Probe, Reasoning

Mode = Literal["single", "multi"]
"""Every picture by itself, or both at once."""
CHOICES = ("First", "Second")
ORDERS = ("01", "10")
_MAX_TOKENS = {"short": 12, "protocol": 256}
"""Of a written reply."""


@dataclass(frozen=True, slots=True)
class RatingForm:
    """How a VLM is asked for ratings."""

    form: Form = "protocol"
    scales: tuple[Scale, ...] = ("1-5",)
    modes: tuple[Mode, ...] = ("single", "multi")
    readings: tuple[Reading, ...] = ("written", "weighted")


def rating(models: Models, policy: Policy, chosen: RatingForm) -> list[Protocol]:
    """Every way of asking a VLM for ratings that was chosen."""
    vlm = _Vlm(models, policy, chosen.form)
    pairs = frozenset({"alignment", "safety", "quality"})
    methods: dict[tuple[Mode, Reading], Callable[[Scale, Sequence[LoadedSample]], Answers]] = {
        ("single", "written"): vlm.single_written, ("single", "weighted"): vlm.single_weighted,
        ("multi", "written"): vlm.multi_written, ("multi", "weighted"): vlm.multi_weighted,
    }  # fmt: skip
    protocols = []
    for mode, reading in itertools.product(chosen.modes, chosen.readings):
        # Nothing is rated where only a choice is asked for, so one scale is as good as another.
        unrated = mode == "multi" and (reading == "weighted" or chosen.form == "short")
        for scale in chosen.scales[:1] if unrated else chosen.scales:
            name = f"choice {mode} {reading}" if unrated else f"{scale} {mode} {reading}"
            judged = partial(methods[mode, reading], scale)
            perspectives = pairs if mode == "multi" else pairs | {"bias"}
            protocols.append(Protocol(models.engine.card.uri, name, perspectives, judged))
    return protocols


@dataclass(frozen=True, slots=True)
class _Vlm:
    models: Models
    policy: Policy
    form: Form

    def single_weighted(self, scale: Scale, samples: Sequence[LoadedSample]) -> Answers:
        """Each picture by itself: the mean of all ratings, weighted by their probabilities."""

        def probe(sample: Sample, picture: Picture) -> Probe:
            prompt = self._rating_prompt(sample, scale, label_only=True)
            return prompt.probe((picture,), texts.SCALES[scale])

        replies = self._ask_each(samples, probe)
        return [
            [rated(loaded, [self._mean(reply, scale) for reply in row])]
            for loaded, row in zip(samples, replies, strict=True)
        ]

    def single_written(self, scale: Scale, samples: Sequence[LoadedSample]) -> Answers:
        """Each picture by itself: the rating that is written."""

        def request(sample: Sample, picture: Picture) -> Reasoning:
            prompt = self._rating_prompt(sample, scale, label_only=False)
            return prompt.written((picture,), _MAX_TOKENS[self.form])

        answers = []
        for loaded, replies in zip(samples, self._ask_each(samples, request), strict=True):
            replies_read = ["" if reply is None else str(reply) for reply in replies]
            ratings = [self._rating(text, scale) for text in replies_read]
            answers.append([rated(loaded, ratings) | _written(replies_read)])
        return answers

    def multi_weighted(self, scale: Scale, samples: Sequence[LoadedSample]) -> Answers:
        """Both pictures at once, in both orders: the likelier of First and Second."""
        probes = {
            (row, order): prompt.probe(_ordered(samples[row], order), CHOICES)
            for row, order, prompt in self._comparisons(scale, samples, label_only=True)
        }
        replies = dict(zip(probes, self.models.answer(list(probes.values())), strict=True))
        return [
            [self._chosen(replies.get((row, order)), order) for order in ORDERS]
            for row in range(len(samples))
        ]

    def multi_written(self, scale: Scale, samples: Sequence[LoadedSample]) -> Answers:
        """Both pictures at once, in both orders: what is written."""
        requests = {
            (row, order): prompt.written(_ordered(samples[row], order), _MAX_TOKENS[self.form])
            for row, order, prompt in self._comparisons(scale, samples, label_only=False)
        }
        replies = dict(zip(requests, self.models.answer(list(requests.values())), strict=True))
        return [
            [self._compared(replies.get((row, order)), order, scale) for order in ORDERS]
            for row in range(len(samples))
        ]

    def _rating_prompt(self, sample: Sample, scale: Scale, *, label_only: bool) -> Prompt:
        return texts.rating(
            self.form, sample.perspective, scale, sample.caption, label_only=label_only, image=None
        )

    def _comparisons(
        self, scale: Scale, samples: Sequence[LoadedSample], *, label_only: bool
    ) -> list[tuple[int, str, Prompt]]:
        """Row, order and prompt of every sample whose pictures can be shown."""
        prompts = []
        for row, loaded in enumerate(samples):
            perspective, caption = loaded.sample.perspective, loaded.sample.caption
            prompt = texts.comparison(self.form, perspective, scale, caption, label_only=label_only)
            prompts += [(row, order, prompt) for order in ORDERS if loaded.complete]
        return prompts

    def _ask_each(
        self,
        samples: Sequence[LoadedSample],
        request_of: Callable[[Sample, Picture], Probe | Reasoning],
    ) -> list[list[Any]]:
        """Put one question about every picture; None for one that cannot be read."""
        rows = [
            [None if p is None else request_of(loaded.sample, p) for p in loaded.pictures]
            for loaded in samples
        ]
        requests = list(dict.fromkeys(r for row in rows for r in row if r is not None))
        replies = dict(zip(requests, self.models.answer(requests), strict=True))
        return [[None if request is None else replies[request] for request in row] for row in rows]

    def _rating(self, text: str, scale: Scale) -> float | None:
        words = texts.WORDS[scale]
        if self.form == "protocol":
            rating = strict_rating(text, words)
        else:
            rating = stored_rating(text.strip().rstrip("."), words)
        return rating if rating is not None and texts.is_on(rating, scale) else None

    def _mean(self, reply: AnswerProbs | None, scale: Scale) -> float | None:
        """The expected rating; None where the model did not want to give one."""
        if reply is None or reply.problem is not None:
            return None
        mass = math.fsum(reply.p_labels)
        if not mass or mass < self.policy.minimum_label_mass:
            return None
        values = texts.values_of(scale)
        return math.fsum(p * n for n, p in zip(values, reply.p_labels, strict=True)) / mass

    def _chosen(self, reply: Any, order: str) -> JSON:
        if reply is None or reply.problem is not None:
            return {"order": order, "choice": Answer.UNPARSED}
        first, second = reply.p_labels
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
        ratings = [strict_rating(text, texts.WORDS[scale], image) for image in (0, 1)]
        if self.form == "short":
            number = {"first": 1, "second": 2}.get(text.strip().rstrip(".").lower())
        else:
            number = strict_choice(text)
        if number is not None:
            choice = {0: Answer.TIE, 1: Answer.FIRST, 2: Answer.SECOND}[number]
        else:
            choice = Answer.REFUSED if refuses(text) else Answer.UNPARSED
        answer = {"order": order, "choice": choice, "ratings": None if None in ratings else ratings}
        return answer | _written([text])


def _ordered(loaded: LoadedSample, order: str) -> tuple[Picture, ...]:
    return loaded.readable if order == "01" else loaded.readable[::-1]


def _written(replies: Sequence[str]) -> JSON:
    return {"replies": list(replies), "refused": any(map(refuses, replies))}
