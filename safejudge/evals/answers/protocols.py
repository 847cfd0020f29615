"""Protocols on answers beside a picture: samples -> what a judge says about each.

Answers are scored one by one, two are compared in both orders, several are ranked; by what the
judge writes, or by the probabilities of the labels. What was refused or cannot be read stays None,
with the reason; nothing becomes a number or a coin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals.answers import prompts as texts
from safejudge.evals.answers.first import PLAIN, UNREAD, Firsts, Setting
from safejudge.evals.answers.prompts import ALONE, Before
from safejudge.evals.replies import (
    read_choice,
    read_ranking,
    read_score,
    read_verdict,
    refuses,
)
from safejudge.evals.stats.agreement import LEVELS, weighted_score
from safejudge.method.questions import read_answer
from safejudge.text import storable
from safejudge.types import AnswerProbs, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.evals.prompts import Prompt, Reading
    from safejudge.policy import Policy
    from safejudge.types import JSON, Picture

Request = Probe | Reasoning
Order = Literal["AB", "BA"]
ORDERS: tuple[Order, ...] = ("AB", "BA")
"""The two orders in which two answers are shown."""
REASONS = ("refused", "no reply", "unreadable", "little label mass", "undecided", UNREAD)
"""Why an answer of the judge is None."""
_MAX_TOKENS = 512
"""A written reply is cut there; one that is cut has no last line and is unreadable."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about a picture, with its answers."""

    key: str
    """Unique among the samples of a run."""
    part: str
    """The part of the data that it is in; `--split` and `--limit` go by it."""
    image: str
    """The picture's path, as the data has it."""
    question: str
    """What was asked about the picture."""
    answers: tuple[str, ...]
    """What was answered, in the order of the data."""
    target: str
    """What people said."""
    facts: JSON
    """What else its record tells."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of judging."""

    name: str
    """`score weighted`, `pair written`, `pair voted own-answer-first`."""
    requests: Callable[[Sample, Picture, Before], Sequence[tuple[JSON, Request]]]
    """What is asked of one sample, each with what its answer's record begins with."""
    read: Callable[[Any, Sample], JSON]
    """Reads one reply: `said` (of what was shown), else `why` not, and what it hangs on."""
    setting: Setting = PLAIN
    """What is asked before."""
    combine: Callable[[Sequence[JSON]], list[JSON]] = list
    """Makes of what was read what is recorded, where several replies are one answer."""

    def within(self, setting: Setting) -> Protocol:
        """The same protocol in a setting."""
        return replace(self, name=setting.named(self.name), setting=setting)


def judge(
    models: Models,
    protocols: Callable[[Sample], Sequence[Protocol]],
    samples: Sequence[tuple[Sample, Picture]],
    firsts: Firsts | None = None,
) -> list[dict[str, list[JSON]]]:
    """Ask everything about some samples at once, equal questions once; by protocol, in order.

    What is asked before is asked first, and kept in `firsts`.
    """
    firsts = firsts or Firsts()
    firsts.ask(
        models,
        (
            (protocol.setting, sample.question, picture)
            for sample, picture in samples
            for protocol in protocols(sample)
        ),
    )
    plans = [[_plan(protocol, *shown, firsts) for protocol in protocols(shown[0])]
             for shown in samples]  # fmt: skip
    wanted = (r for plan in plans for _, asked in plan for _, r in asked if r is not None)
    requests = list(dict.fromkeys(wanted))
    replies = dict(zip(requests, models.answer(requests) if requests else [], strict=True))
    answers: list[dict[str, list[JSON]]] = []
    for (sample, _), plan in zip(samples, plans, strict=True):
        answers.append({})
        for protocol, asked in plan:
            entries = [
                head | (_UNASKED if r is None else protocol.read(replies[r], sample))
                for head, r in asked
            ]
            answers[-1][protocol.name] = protocol.combine(entries)
    return answers


_UNASKED: JSON = {"said": None, "why": UNREAD}


def _plan(
    protocol: Protocol, sample: Sample, picture: Picture, firsts: Firsts
) -> tuple[Protocol, list[tuple[JSON, Request | None]]]:
    """What a protocol asks of a sample; no request where what was to be said before is none."""
    before = firsts.before(protocol.setting, sample.question, picture)
    asked = protocol.requests(sample, picture, ALONE if before is None else before)
    return protocol, [(head, None if before is None else request) for head, request in asked]


# --- the protocols ------------------------------------------------------------------------------


def scoring(reading: Reading, policy: Policy) -> Protocol:
    """Every answer by itself, from 1 to 5."""
    label_only = reading == "weighted"

    def requests(sample: Sample, picture: Picture, before: Before) -> list[tuple[JSON, Request]]:
        prompts = [
            texts.score(sample.question, answer, label_only=label_only, before=before)
            for answer in sample.answers
        ]
        labels = texts.LEVELS if label_only else None
        return [
            ({"answer": number}, _request(prompt, picture, labels, before))
            for number, prompt in enumerate(prompts)
        ]

    def read(reply: Any, _: Sample) -> JSON:
        return level_of(reply, policy) if label_only else written_of(reply, last_first(read_score))

    return Protocol(f"score {reading}", requests, read)


def comparing(reading: Reading, policy: Policy, *, tie: bool) -> Protocol:
    """Which of two answers is better, in both orders; with `tie`, C says neither."""
    label_only = reading == "weighted"
    letters = ("A", "B", "C") if tie else ("A", "B")

    def requests(sample: Sample, picture: Picture, before: Before) -> list[tuple[JSON, Request]]:
        pair: list[tuple[JSON, Request]] = []
        for order in ORDERS:
            answers = sample.answers if order == "AB" else sample.answers[::-1]
            prompt = texts.pair(
                sample.question, answers, tie=tie, label_only=label_only, before=before
            )
            labels = letters if label_only else None
            pair.append(({"order": order}, _request(prompt, picture, labels, before)))
        return pair

    def read(reply: Any, _: Sample) -> JSON:
        if label_only:
            return letter_of(reply, policy)
        return written_of(reply, last_first(read_choice) if tie else read_verdict)

    return Protocol(f"pair {reading}", requests, read)


def ranking() -> Protocol:
    """All answers at once, from best to worst, written."""

    def requests(sample: Sample, picture: Picture, before: Before) -> list[tuple[JSON, Request]]:
        prompt = texts.rank(sample.question, sample.answers, before)
        return [({}, _request(prompt, picture, None, before))]

    def read(reply: Any, sample: Sample) -> JSON:
        count = len(sample.answers)
        return written_of(reply, last_first(lambda text: read_ranking(text, count)))

    return Protocol("rank written", requests, read)


def ranked(scores: Sequence[float | None]) -> str | None:
    """The ranking that scores of single answers make; None where one is unread or two are equal."""
    values = [score for score in scores if score is not None]
    if len(values) < len(scores) or len(set(values)) < len(values):
        return None  # who of two equals comes first would be a coin
    order = sorted(range(len(values)), key=lambda number: -values[number])
    return "".join(texts.LETTERS[number] for number in order)


def _request(
    prompt: Prompt, picture: Picture, labels: tuple[str, ...] | None, before: Before
) -> Request:
    pictures = (picture,) if before.sees else ()
    if labels is not None:
        return prompt.probe(pictures, labels)
    return prompt.written(pictures, _MAX_TOKENS)


# --- what came back -----------------------------------------------------------------------------


def written_of(reply: str, read: Callable[[str], str | None]) -> JSON:
    """What a written reply says; else why it says nothing."""
    text = storable(str(reply))
    answer = read(text)
    if answer is not None:
        return {"said": answer, "text": text}
    if isinstance(reply, NoReply):
        return {"said": None, "why": "no reply", "note": storable(reply.problem), "text": text}
    reason = "no reply" if not text.strip() else "refused" if refuses(text) else "unreadable"
    return {"said": None, "why": reason, "text": text}


def last_first(read: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Read the mark of the last line; a text without one there is read whole.

    The reasons may quote a mark that stands in an answer, and that is not what the judge says.
    """

    def read_last(text: str) -> str | None:
        line = text.rstrip().rpartition("\n")[2]
        answer = read(line) if "[[" in line else None
        return read(text) if answer is None else answer

    return read_last


def level_of(reply: AnswerProbs, policy: Policy) -> JSON:
    """The likeliest score, the log-probabilities of all, and their mean."""
    problem = _problem(reply, policy)
    if problem is not None:
        return problem
    logprobs = [math.log(min(p, 1.0)) if p > 0 else None for p in reply.p_labels]
    weighted = weighted_score(logprobs)
    # Of two that are equally likely, the one that the others speak for; else the lower.
    level = min(
        LEVELS,
        key=lambda n: (-weighted.probabilities[n - 1], round(abs(n - weighted.score), 6), n),
    )
    return _mass(reply) | {"said": str(level), "logprobs": logprobs, "score": weighted.score}


def letter_of(reply: AnswerProbs, policy: Policy) -> JSON:
    """The likeliest letter; A and B equally likely is a tie."""
    problem = _problem(reply, policy)
    if problem is not None:
        return problem
    total = math.fsum(reply.p_labels)
    best = max(reply.p_labels)
    top = "".join(letter for letter, p in zip("ABC", reply.p_labels, strict=False) if p == best)
    entry = _mass(reply) | {"p": [p / total for p in reply.p_labels]}
    if top in {"A", "B", "C", "AB"}:
        return entry | {"said": "C" if top == "AB" else top}
    return entry | {"said": None, "why": "undecided"}


def _problem(reply: AnswerProbs, policy: Policy) -> JSON | None:
    """Why an answer is none; None where it can be read."""
    read, problem = read_answer("full", reply)
    if problem is not None:
        return {"said": None, "why": "no reply", "note": problem.removeprefix("view full: ")}
    if read.label_mass <= 0 or read.label_mass < policy.minimum_label_mass:
        return _mass(reply) | {"said": None, "why": "little label mass"}
    return None


def _mass(reply: AnswerProbs) -> JSON:
    return {"mass": reply.label_mass, "top": storable(reply.top), "exact": reply.exact}
