"""Which pictures teach a filter, which its threshold is found on, and which rules it can learn."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from safejudge.engines.base import holds
from safejudge.errors import InputError
from safejudge.method.relevance import relevance_text
from safejudge.preference.vectors import batches
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.distill.labels import Labelled, Labels, Pictures
    from safejudge.distill.recipe import FilterRecipe
    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.types import Constitution

LEAST = 10
"""Learned images that must violate a rule; a filter that never saw it violated would skip it."""


def split(
    pictures: Sequence[Labelled], recipe: FilterRecipe
) -> tuple[list[Labelled], list[Labelled]]:
    """Keep a share of the images apart, drawn by the seed, whatever the order of the records."""

    def rank(image: str) -> bytes:
        return hashlib.sha256(f"{recipe.seed}:{image}".encode()).digest()

    images = sorted({one.place.image for one in pictures}, key=rank)
    count = max(1, round(recipe.held_out * len(images)))
    if count >= len(images):
        raise InputError(
            f"there are labels of {counted(len(images), 'image')}; learning from some and finding "
            "the threshold on others needs at least 2, and hundreds to be of use"
        )
    apart = set(images[:count])
    return (
        [one for one in pictures if one.place.image not in apart],
        [one for one in pictures if one.place.image in apart],
    )


def usable(
    labels: Labels, encoder: HFEncoder, pictures: Pictures
) -> tuple[list[Labelled], Counter[str]]:
    """Leave out pictures that are gone, or that the backbone cannot take."""
    import torch

    kept: list[Labelled] = []
    left_out: Counter[str] = Counter()
    for batch in batches(labels.pictures):
        loaded = [(one, pictures.load(one.place)) for one in batch]
        seen = []
        for one, picture in loaded:
            if isinstance(picture, str):
                left_out[picture] += len(one.scores)
            else:
                seen.append((one, picture))
        if not seen:
            continue
        with torch.no_grad():
            vectors = encoder.embed_pictures([picture for _, picture in seen])
        for (one, _), vector in zip(seen, vectors, strict=True):
            if vector.isnan().any():
                left_out["the backbone cannot take its picture"] += len(one.scores)
            else:
                kept.append(one)
    if not kept:
        reasons = ", ".join(f"{reason} ({n})" for reason, n in left_out.items())
        raise InputError(f"none of {len(labels.pictures)} pictures can be learned from: {reasons}")
    return kept, left_out


def learnable(
    constitution: Constitution,
    encoder: HFEncoder,
    learning: Sequence[Labelled],
    held_out: Sequence[Labelled],
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts of the rules that can be learned, and why the others cannot.

    Raises `InputError` where none can.
    """
    texts = {rule.id: relevance_text(rule) for rule in constitution.rules}
    often = Counter(texts.values())
    reasons: dict[str, str] = {}
    for rule, text in texts.items():
        seen, apart = violating(rule, learning), violating(rule, held_out)
        if often[text] > 1:
            reasons[rule] = "another rule has the same text; give it a `relevance:` of its own"
        elif not holds(encoder, text):
            reasons[rule] = "its text is too long for the backbone; give it a shorter `relevance:`"
        elif seen < LEAST or not apart:
            reasons[rule] = (
                f"the judge finds it violated in {seen} of the pictures to learn from and in "
                f"{apart} of those held out; it takes {LEAST} and 1"
            )
    if len(reasons) == len(texts):
        named = "; ".join(f"{rule}: {reason}" for rule, reason in reasons.items())
        raise InputError(f"no rule can be learned ({named}); hand over more images")
    return {rule: text for rule, text in texts.items() if rule not in reasons}, reasons


def violating(rule: str, pictures: Iterable[Labelled]) -> int:
    """Count the pictures in which the judge finds a rule violated."""
    return sum(rule in one.violated for one in pictures)
