"""Images x rules -> which rules to ask (CLUE, arXiv 2501.00192, sec. 3.2).

A rule is asked about a picture if the cosine of a dual encoder's embeddings of both is above a
threshold. Takes rules and a picture; gives the similarity of each. What it does not know: the
encoder, and whether a rule is violated. A similarity that is no number skips nothing. A filter that
was distilled from a judge (`Learned`) gives another number, has a threshold of its own, and skips
no rule but those that it learned as they stand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safejudge.errors import EngineCallError, InputError, PolicyError
from safejudge.flow import NotAsked
from safejudge.types import Similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from safejudge.flow import Flow
    from safejudge.policy import Policy
    from safejudge.types import Constitution, Learned, Picture, Rule

THRESHOLDS: Mapping[str, float] = {
    "hf:openai/clip-vit-base-patch16": 0.22,  # the paper
    "hf:sketch": -0.093,  # benchmarks/threshold.py
}
"""By encoder URI: what its authors, the paper or a benchmark of this repository state."""


_SCORER = "scorer:"  # `engines.open.SCORER`, which stands above this


def threshold_of(uri: str, policy: Policy, learned: Learned | None = None) -> float:
    """Return the policy's threshold, else the filter's own, else the one stated for the encoder.

    Raises `PolicyError` where none is known: a threshold of one encoder means nothing for
    another.
    """
    if policy.relevance_threshold is not None:
        return policy.relevance_threshold
    if learned is not None:
        return learned.threshold
    if uri in THRESHOLDS:
        return THRESHOLDS[uri]
    if uri.startswith(_SCORER):
        raise PolicyError(
            f"{uri} states no relevance threshold: a scorer that train-scorer made says which "
            "picture is preferred, not which rule to ask. safejudge distill makes one that is a "
            "filter; or switch the filter off (--no-relevance)"
        )
    raise PolicyError(
        f"no relevance threshold is stated for the encoder {uri}. Calibrate one on a few hundred "
        "unlabelled images (safejudge relevance IMAGES --constitution C --encoder URI) and give "
        "it as --relevance-threshold or Policy.relevance_threshold, or switch the filter off "
        "(--no-relevance)"
    )


def relevance_text(rule: Rule) -> str:
    """Return what the picture is compared with: the short text if there is one."""
    return rule.objective if rule.relevance is None else rule.relevance


def unlearned(constitution: Constitution, learned: Learned) -> list[str]:
    """Return the ids of rules that a distilled filter did not learn, or not as they stand."""
    return [
        rule.id
        for rule in constitution.rules
        if learned.rules.get(relevance_text(rule)) != rule.digest()
    ]


def compared_rules(rules: Sequence[Rule], policy: Policy) -> list[Rule]:
    """Return the rules that are compared with a picture: those that may be skipped."""
    return [rule for rule in rules if rule.id not in policy.never_skipped]


def relevance_flow(rules: Sequence[Rule], picture: Picture) -> Flow[dict[str, float | None]]:
    """Return each rule's similarity to the picture, by id; None where there is no number.

    A rule about which nobody was asked (`NotAsked`) is absent.
    """
    requests = tuple(Similarity(picture, relevance_text(rule)) for rule in rules)
    if not requests:
        return {}
    answers = yield requests
    similarities: dict[str, float | None] = {}
    for rule, answer in zip(rules, answers, strict=True):
        if isinstance(answer, NotAsked):
            continue
        if not isinstance(answer, float):
            raise EngineCallError(f"the encoder answered with {type(answer).__name__}, no number")
        similarities[rule.id] = answer if math.isfinite(answer) else None
    return similarities


def relevant(similar: Mapping[str, float | None], policy: Policy) -> list[str]:
    """Return the ids of the rules to ask, in their order.

    Those above the threshold, those without a number, those that are never skipped, and the
    likest where all are below it. A rule that is asked anyhow is not the likest: it is asked
    beside that one, not in its place.
    """
    threshold = policy.relevance_threshold
    numbers = {
        rule: number
        for rule, number in similar.items()
        if number is not None and math.isfinite(number) and rule not in policy.never_skipped
    }
    likest = sorted(numbers, key=numbers.__getitem__, reverse=True)[: policy.always_asked]
    return [
        rule
        for rule in similar
        if rule not in numbers
        or threshold is None
        or not numbers[rule] <= threshold
        or rule in likest
    ]


def doubtful(
    rules: Iterable[str], similar: Mapping[str, float | None], policy: Policy
) -> frozenset[str]:
    """Return the ids of rules of which it is not known whether they are asked.

    Those about which the encoder was not asked, and those below the threshold that are asked only
    if none of these is likelier.
    """
    missing = frozenset(rules) - frozenset(similar) - frozenset(policy.never_skipped)
    if not missing or not policy.filters:
        return missing
    unasked_below = frozenset(similar) - frozenset(
        relevant(similar, policy.model_copy(update={"always_asked": 0}))
    )
    return missing | (unasked_below & frozenset(relevant(similar, policy)))


def calibrated(similarities: Sequence[float], keep: float) -> float:
    """Return the threshold above which the share `keep` of (image, rule) pairs lies.

    For an encoder without a stated threshold: on unlabelled images it says how much is asked, not
    how much is missed.
    """
    if not 0.0 < keep < 1.0:
        raise InputError(f"the share to keep is {keep:g}; it must lie above 0 and below 1")
    if not similarities:
        raise InputError("no image gave a number to calibrate with; hand over images it can read")
    ranked = sorted(similarities, reverse=True)
    return ranked[min(len(ranked) - 1, math.floor(keep * len(ranked)))]
