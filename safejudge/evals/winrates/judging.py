"""A vision-language model as the rater of a study: which of two pictures, asked in both orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.engines.open import KITS
from safejudge.evals.mjbench import vlm
from safejudge.evals.mjbench.protocols import LoadedSample
from safejudge.evals.mjbench.samples import Sample, Source
from safejudge.evals.stats.preference import Answer
from safejudge.evals.winrates.study import Vote
from safejudge.images.load import load_images
from safejudge.types import ImageInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.models import Models
    from safejudge.evals.mjbench.prompts import Form
    from safejudge.evals.winrates.study import Pair, Study
    from safejudge.policy import Policy
    from safejudge.types import JSON

WINDOW = 32
"""Pairs that are judged together."""


def judge(
    study: Study, models: Models, policy: Policy, aspect: str, advance: Callable[[int], None]
) -> list[Vote]:
    """Ask about every pair, in both orders, which picture is better in an aspect.

    The question is that of MJ-Bench's comparisons, read by the probabilities of First and Second.
    A pair of which a picture cannot be read has two votes that are unread.
    """
    form: Form = "short" if models.engine.card.uri in KITS else "protocol"
    asked = vlm.RatingForm(form, modes=("multi",), readings=("weighted",))
    (protocol,) = vlm.rating(models, policy, asked)
    votes = []
    for begin in range(0, len(study.pairs), WINDOW):
        pairs = study.pairs[begin : begin + WINDOW]
        samples = [_loaded(study, pair, aspect, policy) for pair in pairs]
        for pair, answers in zip(pairs, protocol.judged(samples), strict=True):
            votes += [_vote(pair, models.engine.card.uri, answer) for answer in answers]
        advance(len(pairs))
    return votes


def _loaded(study: Study, pair: Pair, aspect: str, policy: Policy) -> LoadedSample:
    paths = study.paths(pair)
    left, right = (Source(side, path) for side, path in zip(("left", "right"), paths, strict=True))
    sample = Sample(pair.id, aspect, "", pair.prompt, (left, right), Answer.FIRST)
    images = load_images(paths, policy)
    return LoadedSample(
        sample,
        tuple(image.pictures[0] if isinstance(image, ImageInput) else None for image in images),
    )


def _vote(pair: Pair, rater: str, answer: JSON) -> Vote:
    turned = answer["order"] == "10"
    shown = {Answer.FIRST: "left", Answer.SECOND: "right", Answer.TIE: "tie"}
    if turned:
        shown |= {Answer.FIRST: "right", Answer.SECOND: "left"}
    choice = shown.get(answer["choice"], "unread")
    return Vote(pair=pair.id, rater=rater, choice=choice, turned=turned)


def file_of(rater: str) -> str:
    """Name the file of votes of a rater whose name is an address."""
    plain = "".join(sign if sign.isalnum() else "-" for sign in rater)
    return f"votes-{plain}.jsonl"
