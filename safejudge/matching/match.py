"""How well candidates meet a query: P(yes) / (P(yes) + P(no)) of a judge's engine.

Read from the raw probabilities of the next token, as every answer here is: a repetition penalty
that a model's settings bring along would move them (UniME-V2's released scores show one of 1.05).
The score orders the candidates of one query; nothing says that 0.5 parts matches from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines.together import limit_of
from safejudge.errors import InputError, StatementError
from safejudge.matching.items import Item, load_items
from safejudge.matching.prompts import match_probe
from safejudge.text import counted, storable
from safejudge.types import AnswerProbs, are_probabilities

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.judge import Judge
    from safejudge.matching.items import Thing
    from safejudge.matching.soft_labels import Score
    from safejudge.policy import Policy
    from safejudge.types import Probe

_TOGETHER = 64
"""Questions that are put to the engine at once."""


@dataclass(frozen=True, slots=True)
class Match:
    """What was read of one query and one candidate."""

    score: Score
    """In [0, 1]; None where nothing was read."""
    label_mass: float = 0.0
    """P(yes) + P(no)."""
    problem: str = ""
    """Why there is no score."""


def match(judge: Judge, query: Thing, candidates: Sequence[Thing]) -> list[Score]:
    """Return how well each candidate meets the query, in order; None where it was not read.

    A query or candidate is a text (`str`), a picture (a `Path`, bytes, a PIL image, pixels), or a
    mapping with `text` and `image`. Only the judge's first engine is asked, and none of its rules;
    its policy says how long a text and how small a label mass may be. `matches` says why one is
    None. Raises `InputError` for what is no item, and `EngineCallError` where the engine fails.
    """
    found = matches(judge.models, judge.policy, query, candidates)
    return [one.score for one in found]


def matches(
    models: Models, policy: Policy, query: Thing, candidates: Sequence[Thing]
) -> list[Match]:
    """Do the same of any models, and say why a score is None."""
    if isinstance(candidates, str | bytes) or not isinstance(candidates, Sequence):
        kind = type(candidates).__name__
        raise InputError(f"candidates are a list of texts and pictures, not a {kind}; write [...]")
    asked, *items = load_items([query, *candidates], models, policy)
    return match_items(models, policy, [(asked, item) for item in items])


def match_items(models: Models, policy: Policy, pairs: Sequence[tuple[Item, Item]]) -> list[Match]:
    """Return how well the second item of each pair meets the first."""
    asked = [_asked(models, *pair) for pair in pairs]
    probes = list(dict.fromkeys(ask for ask in asked if not isinstance(ask, Match)))
    answers: dict[Probe, Match] = {}
    for start in range(0, len(probes), _TOGETHER):
        wave = probes[start : start + _TOGETHER]
        replies = models.answer(wave)
        answers |= {p: read_answer(reply, policy) for p, reply in zip(wave, replies, strict=True)}
    return [ask if isinstance(ask, Match) else answers[ask] for ask in asked]


def _asked(models: Models, query: Item, candidate: Item) -> Probe | Match:
    """Return the question about a pair, or why it cannot be put to this engine."""
    for name, item in (("query", query), ("candidate", candidate)):
        if item.problem:
            return Match(None, problem=f"{name}: {item.problem}")
    probe, engine = match_probe(query, candidate), models.engine
    if probe.images and not engine.card.pictures:
        return Match(None, problem=f"{engine.card.uri} takes text alone")
    if (found := limit_of([engine], len(probe.images))) is not None:
        return Match(
            None, problem=f"{engine.card.uri} can be shown {counted(found[1], 'picture')} at a time"
        )
    try:
        engine.check_statements([item.text for item in (query, candidate) if item.text is not None])
    except StatementError as error:
        return Match(None, problem=str(error))
    return probe


def read_answer(reply: object, policy: Policy) -> Match:
    """Return the share of the first label, or why it cannot be had."""
    if not isinstance(reply, AnswerProbs):
        return Match(None, problem="no answer")
    if reply.problem is not None:
        return Match(None, problem=storable(reply.problem))
    if not are_probabilities(reply.p_labels):
        return Match(None, problem=f"{reply.p_labels} are no probabilities")
    mass = reply.label_mass
    if reply.score is None or mass < policy.minimum_label_mass:
        said = storable(reply.top)
        return Match(None, mass, f"little is said of the answers ({mass:.3f}); it began {said!r}")
    return Match(reply.score, mass)
