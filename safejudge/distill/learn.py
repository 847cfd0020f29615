"""Soft labels -> an encoder with a head that says what the judge would.

Every pair of picture and rule has a loss of its own: the cross-entropy to the judge's score, so
that an unsure judge makes an unsure filter. Pairs that the judge finds violated are few and weigh
more (`FilterRecipe.emphasis`). The texts of the rules are known and few: the text tower stays as
it is, and what learns is the vision tower and the head. The order of an epoch hangs on its number
and the seed alone.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from safejudge.engines.vision.scorer import head_scores, squeezed
from safejudge.errors import InputError
from safejudge.preference.learner import Learner
from safejudge.preference.vectors import batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from safejudge.distill.labels import Labelled, Pictures, Place
    from safejudge.distill.recipe import FilterRecipe, Layers
    from safejudge.engines.vision.encoder import HFEncoder

    Tensor = torch.Tensor


class Towers:
    """Vectors of pictures and of the rules' texts; remembered where the towers do not change."""

    def __init__(
        self, encoder: HFEncoder, pictures: Pictures, texts: Mapping[str, str], *, remembers: bool
    ) -> None:
        """Take the texts of the rules, by id; they are encoded once."""
        import torch

        self._encoder = encoder
        self._pictures = pictures
        self._remembers = remembers
        self._remembered: dict[Place, Tensor] = {}
        with torch.no_grad():
            parts = [encoder.embed_texts(batch) for batch in batches(list(texts.values()))]
        self.rules = list(texts)
        self.texts = torch.cat(parts)

    def pictures(self, places: Sequence[Place]) -> Tensor:
        """Rows of unit vectors."""
        import torch

        if not self._remembers:
            return self._encoded(places)
        new = [place for place in dict.fromkeys(places) if place not in self._remembered]
        with torch.no_grad():
            for batch in batches(new):
                self._remembered.update(zip(batch, self._encoded(batch), strict=True))
        return torch.stack([self._remembered[place] for place in places])

    def cosines(self, pictures: Sequence[Labelled]) -> dict[Place, dict[str, float]]:
        """Compare every picture with every rule, as the relevance filter does without a head."""
        import torch

        found = {}
        for batch in batches(pictures):
            with torch.no_grad():
                rows = (self.pictures([one.place for one in batch]) @ self.texts.T).tolist()
            for one, row in zip(batch, rows, strict=True):
                found[one.place] = dict(zip(self.rules, row, strict=True))
        return found

    def _encoded(self, places: Sequence[Place]) -> Tensor:
        import torch

        shown = [self._pictures.there(place) for place in places]
        return torch.cat([self._encoder.embed_pictures(batch) for batch in batches(shown)])


class FilterLearner:
    """Learns from labelled pictures, and gives a filter's numbers of others."""

    def __init__(self, encoder: HFEncoder, towers: Towers, recipe: FilterRecipe) -> None:
        self._towers = towers
        self._recipe = recipe
        self._learner = Learner(encoder, learning_parts(encoder.model, recipe.layers), recipe)
        self.save, self.restore = self._learner.save, self._learner.restore

    @property
    def head(self) -> Any:
        """What scores."""
        return self._learner.head

    def epoch(self, pictures: Sequence[Labelled], number: int) -> float:
        """See every picture once, with its rules; returns the mean loss of a pair.

        Raises `InputError` where learning has led nowhere.
        """
        import torch

        order = list(pictures)
        random.Random(f"{self._recipe.seed}-{number}").shuffle(order)  # noqa: S311
        steps = -(-len(order) // self._recipe.batch)
        losses = []
        for step in range(steps):
            self._learner.set_rate(self._rate(number * steps + step, steps))
            batch = order[step * self._recipe.batch : (step + 1) * self._recipe.batch]
            loss = self._loss(batch)
            self._learner.step(loss)
            losses.append(float(loss.detach()))
        mean = float(torch.tensor(losses).mean())
        if mean != mean:  # noqa: PLR0124 - NaN
            raise InputError(
                f"epoch {number + 1} ended with a loss that is no number: the learning rates are "
                "too high for this backbone; let fewer --layers learn"
            )
        return mean

    def numbers(self, pictures: Sequence[Labelled]) -> dict[Place, dict[str, float]]:
        """Give every picture's numbers by rule, as the filter will."""
        import torch

        found = {}
        for batch in batches(pictures):
            with torch.no_grad():
                rows = self._log_odds(batch).tolist()
            for one, row in zip(batch, rows, strict=True):
                found[one.place] = dict(zip(self._towers.rules, map(squeezed, row), strict=True))
        return found

    def _rate(self, step: int, steps: int) -> float:
        """The share of the peak rate: up over the first tenth of all steps, then down to 0."""
        total = steps * self._recipe.epochs
        return min(1.0, (step + 1) / max(1.0, total / 10)) * (1 - step / total)

    def _loss(self, pictures: Sequence[Labelled]) -> Tensor:
        import torch
        from torch.nn import functional

        rules = self._towers.rules
        scores = [[one.scores.get(rule, torch.nan) for rule in rules] for one in pictures]
        targets = torch.tensor(scores)
        known = ~targets.isnan()
        targets = targets.nan_to_num(0.0)
        weights = known * (1 + (self._recipe.emphasis - 1) * targets)
        losses = functional.binary_cross_entropy_with_logits(
            self._log_odds(pictures), targets, reduction="none"
        )
        return (losses * weights).sum() / weights.sum()  # every picture has a pair

    def _log_odds(self, pictures: Sequence[Labelled]) -> Tensor:
        """Rows by picture, columns by rule."""
        seen = self._towers.pictures([one.place for one in pictures])
        texts = self._towers.texts
        count = len(texts)
        scores = head_scores(
            self._learner.head, seen.repeat_interleave(count, 0), texts.repeat(len(seen), 1)
        )
        return scores.view(len(seen), count)


_AFTER = ("post_layernorm", "layernorm", "head")
"""What stands behind the layers of a vision tower."""


def learning_parts(model: Any, layers: Layers) -> nn.ModuleList:
    """Return what of the vision tower learns: its last layers, and what stands behind them.

    Raises `InputError` for a model whose tower is built otherwise, or has fewer layers.
    """
    from torch import nn

    if layers == 0:
        return nn.ModuleList()
    try:
        tower = model.vision_model
        inner = tower.encoder.layers
    except AttributeError as error:
        raise InputError(
            f"--layers {layers}: {type(model).__name__} has no vision_model with layers in a row; "
            "take a CLIP or SigLIP, or --layers 0 to train the head alone"
        ) from error
    behind = nn.ModuleList()
    if (projection := getattr(model, "visual_projection", None)) is not None:
        behind.append(projection)
    if layers == "all":
        return nn.ModuleList([tower, *behind])
    if layers > len(inner):
        raise InputError(
            f"--layers {layers}: the vision_model has {len(inner)}; give fewer, or all"
        )
    after = (getattr(tower, name, None) for name in _AFTER)
    behind.extend(part for part in after if part is not None)
    return nn.ModuleList([*inner[len(inner) - layers :], *behind])
