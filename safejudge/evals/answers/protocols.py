"""Judges of answers beside a picture: items -> what each way of judging says about each.

Answers are scored one by one, two are compared in both orders, several are ranked; by what the
judge writes, or by the probabilities of the labels. What was refused or cannot be read stays None,
with the reason; nothing becomes a number or a coin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals.answers import prompts as texts
from safejudge.evals.replies import read_choice, read_ranking, read_score, read_verdict, refuses
from safejudge.evals.stats import agreement as ag
from safejudge.method.questions import read_answer
from safejudge.text import storable
from safejudge.types import AnswerProbs, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.evals.prompts import Prompt, Reading
    from safejudge.policy import Policy
    from safejudge.types import JSON, Picture

Order = Literal["AB", "BA"]
ORDERS: tuple[Order, ...] = ("AB", "BA")
"""The two orders in which two answers are shown."""
REASONS = ("refused", "no reply", "unreadable", "little label mass", "undecided")
"""Why an answer of the judge is None."""
_MAX_TOKENS = 512
"""A written reply is cut there; one that is cut has no last line and is unreadable."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question about a picture, with its answers."""

    key: str
    """Unique among the items of a run."""
    part: str
    """The part of the data that it is in; `--split` and `--limit` go by it."""
    image: str
    """The picture's path, as the data has it."""
    question: str
    """What was asked about the picture."""
    answers: tuple[str, ...]
    """What was answered, in the order of the data."""
    truth: str
    """What people said."""
    about: JSON
    """What else its record tells."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of judging."""

    name: str
    """`score weighted`, `pair written`."""
    asks: Callable[[Item, Picture], Sequence[tuple[JSON, Probe | Reasoning]]]
    """What is asked of one item, each with what its answer's record begins with."""
    read: Callable[[Any, Item], JSON]
    """Reads one answer: `said` (of what was shown), else `why` not, and what it hangs on."""


def say(
    models: Models, ways: Callable[[Item], Sequence[Way]], shown: Sequence[tuple[Item, Picture]]
) -> list[dict[str, list[JSON]]]:
    """Ask everything about some items at once, equal questions once; by way, in their order."""
    plans = [
        [(way, about, ask) for way in ways(item) for about, ask in way.asks(item, picture)]
        for item, picture in shown
    ]
    wanted = list(dict.fromkeys(ask for plan in plans for _, _, ask in plan))
    answers = dict(zip(wanted, models.answer(wanted) if wanted else [], strict=True))
    found = []
    for (item, _), plan in zip(shown, plans, strict=True):
        said: dict[str, list[JSON]] = {}
        for way, about, ask in plan:
            said.setdefault(way.name, []).append(about | way.read(answers[ask], item))
        found.append(said)
    return found


# --- the ways -----------------------------------------------------------------------------------


def scoring(reading: Reading, policy: Policy) -> Way:
    """Every answer by itself, from 1 to 5."""
    alone = reading == "weighted"

    def asks(item: Item, picture: Picture) -> list[tuple[JSON, Probe | Reasoning]]:
        made = [texts.score(item.question, answer, alone=alone) for answer in item.answers]
        labels = texts.LEVELS if alone else None
        return [({"answer": place}, _request(ask, picture, labels))
                for place, ask in enumerate(made)]  # fmt: skip

    def read(answer: Any, _: Item) -> JSON:
        return _level(answer, policy) if alone else _written(answer, _last_first(read_score))

    return Way(f"score {reading}", asks, read)


def comparing(reading: Reading, policy: Policy, *, tie: bool) -> Way:
    """Which of two answers is better, in both orders; with `tie`, C says neither."""
    alone = reading == "weighted"
    letters = ("A", "B", "C") if tie else ("A", "B")

    def asks(item: Item, picture: Picture) -> list[tuple[JSON, Probe | Reasoning]]:
        made: list[tuple[JSON, Probe | Reasoning]] = []
        for order in ORDERS:
            answers = item.answers if order == "AB" else item.answers[::-1]
            ask = texts.pair(item.question, answers, tie=tie, alone=alone)
            made.append(({"order": order}, _request(ask, picture, letters if alone else None)))
        return made

    def read(answer: Any, _: Item) -> JSON:
        if alone:
            return _letter(answer, policy)
        return _written(answer, _last_first(read_choice) if tie else read_verdict)

    return Way(f"pair {reading}", asks, read)


def ranking() -> Way:
    """All answers at once, from best to worst, written."""

    def asks(item: Item, picture: Picture) -> list[tuple[JSON, Probe | Reasoning]]:
        return [({}, _request(texts.rank(item.question, item.answers), picture, None))]

    def read(answer: Any, item: Item) -> JSON:
        count = len(item.answers)
        return _written(answer, _last_first(lambda text: read_ranking(text, count)))

    return Way("rank written", asks, read)


def ranked(scores: Sequence[float | None]) -> str | None:
    """The ranking that scores of single answers make; None where one is unread or two are equal."""
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or len(set(known)) < len(known):
        return None  # who of two equals comes first would be a coin
    order = sorted(range(len(known)), key=lambda place: -known[place])
    return "".join(texts.LETTERS[place] for place in order)


def _request(ask: Prompt, picture: Picture, labels: tuple[str, ...] | None) -> Probe | Reasoning:
    if labels is not None:
        return ask.probe((picture,), labels)
    return ask.written((picture,), _MAX_TOKENS)


# --- what came back -----------------------------------------------------------------------------


def _written(reply: str, read: Callable[[str], str | None]) -> JSON:
    text = storable(str(reply))
    said = read(text)
    if said is not None:
        return {"said": said, "text": text}
    if isinstance(reply, NoReply):
        return {"said": None, "why": "no reply", "note": storable(reply.problem), "text": text}
    why = "no reply" if not text.strip() else "refused" if refuses(text) else "unreadable"
    return {"said": None, "why": why, "text": text}


def _last_first(read: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Read the mark of the last line; a text without one there is read whole.

    The reasons may quote a mark that stands in an answer, and that is not what the judge says.
    """

    def found(text: str) -> str | None:
        last = text.rstrip().rpartition("\n")[2]
        said = read(last) if "[[" in last else None
        return read(text) if said is None else said

    return found


def _level(answer: AnswerProbs, policy: Policy) -> JSON:
    """The likeliest score, the log-probabilities of all, and their mean."""
    problem = _problem(answer, policy)
    if problem is not None:
        return problem
    logprobs = [math.log(min(p, 1.0)) if p > 0 else None for p in answer.p_labels]
    weighted = ag.weighted_score(logprobs)
    # Of two that are equally likely, the one that the others speak for; else the lower.
    said = min(
        ag.LEVELS,
        key=lambda n: (-weighted.probabilities[n - 1], round(abs(n - weighted.score), 6), n),
    )
    return _read(answer) | {"said": str(said), "logprobs": logprobs, "score": weighted.score}


def _letter(answer: AnswerProbs, policy: Policy) -> JSON:
    """The likeliest letter; A and B equally likely is a tie."""
    problem = _problem(answer, policy)
    if problem is not None:
        return problem
    total = math.fsum(answer.p_labels)
    best = max(answer.p_labels)
    top = "".join(letter for letter, p in zip("ABC", answer.p_labels, strict=False) if p == best)
    found = _read(answer) | {"p": [p / total for p in answer.p_labels]}
    if top in {"A", "B", "C", "AB"}:
        return found | {"said": "C" if top == "AB" else top}
    return found | {"said": None, "why": "undecided"}


def _problem(answer: AnswerProbs, policy: Policy) -> JSON | None:
    """Why an answer is none; None where it can be read."""
    read, problem = read_answer("full", answer)
    if problem is not None:
        return {"said": None, "why": "no reply", "note": problem.removeprefix("view full: ")}
    if read.label_mass <= 0 or read.label_mass < policy.minimum_label_mass:
        return _read(answer) | {"said": None, "why": "little label mass"}
    return None


def _read(answer: AnswerProbs) -> JSON:
    return {"mass": answer.label_mass, "top": storable(answer.top), "exact": answer.exact}
