"""OWL-ViT and OWLv2, a side at a time: what pictures and words look like is kept for a while.

Takes pictures and words; gives the raw predictions, a number for each box and word. The picture's
side is nearly all of the work, and rules come back to the same picture with different words.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from safejudge.engines.requests import as_image

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import torch

    from safejudge.types import Picture

    Tensor = torch.Tensor

_KEPT_PICTURES = 40
"""Pictures whose features stay on the device: those of a default window and some more. One takes
11 MB with OWLv2 base in float32."""

_KEPT_WORDS = 4096


class Owl:
    """One model of the family, its processor, and how many tokens its text side holds.

    Calls must not overlap.
    """

    def __init__(self, model: Any, processor: Any, limit: int) -> None:
        self._model, self._processor, self._limit = model, processor, limit
        self._grids, self._vectors = _Kept(), _Kept()

    def predict(self, looks: Sequence[tuple[Picture, Sequence[str]]]) -> tuple[Tensor, Tensor]:
        """Return logits, (pictures, boxes, most words), and boxes, (pictures, boxes, 4).

        Boxes are centre and size, as shares of the model's input. Where a picture is looked at for
        fewer words than another, its last logits mean nothing. Raises `ValueError` for a picture
        that the image processing refuses.
        """
        import torch

        pictures = {picture.digest: picture for picture, _ in looks}
        grids = self._grids.take(
            pictures, lambda new: self._see([pictures[digest] for digest in new]), _KEPT_PICTURES
        )
        words = sorted({word for _, words in looks for word in words})
        vectors = self._vectors.take(words, self._read, _KEPT_WORDS)
        most = max(len(words) for _, words in looks)
        logits, boxes = [], []
        for picture, words_here in looks:
            grid = grids[picture.digest][None]
            features = grid.flatten(1, 2)
            queries = torch.stack([vectors[word] for word in words_here])[None]
            found, _ = self._model.class_predictor(features, queries)
            logits.append(torch.nn.functional.pad(found, (0, most - len(words_here))))
            boxes.append(self._model.box_predictor(features, grid))
        return torch.cat(logits), torch.cat(boxes)

    def tokens(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Return the text side's input, a row per word, padded to its whole length."""
        return dict(
            self._processor.tokenizer(
                list(words),
                padding="max_length",
                max_length=self._limit,
                truncation=False,
                return_tensors="pt",
            ).to(self._model.device)
        )

    def pixels(self, pictures: Sequence[Picture]) -> Tensor:
        """Return the picture side's input, (pictures, 3, height, width)."""
        # As PIL: transformers would fetch an address or open a path, and guess where channels are.
        images = [as_image(picture) for picture in pictures]
        pixels: Tensor = self._processor.image_processor(images, return_tensors="pt")[
            "pixel_values"
        ]
        return pixels.to(self._model.device, self._model.dtype)

    def _see(self, pictures: Sequence[Picture]) -> Tensor:
        """Features as (pictures, rows, columns, width)."""
        grids: Tensor = self._model.image_embedder(self.pixels(pictures))[0]
        return grids

    def _read(self, words: Sequence[str]) -> Tensor:
        """Unit vectors, (words, width)."""
        vectors = self._model.base_model.get_text_features(**self.tokens(words)).pooler_output
        unit: Tensor = vectors / vectors.norm(dim=-1, keepdim=True)
        return unit


class _Kept(OrderedDict[str, "Tensor"]):
    """What was worked out for the last names."""

    def take(
        self, names: Collection[str], work: Callable[[list[str]], Iterable[Tensor]], room: int
    ) -> dict[str, Tensor]:
        """Return those of all names, working out the new ones; keep the last `room`."""
        found = {name: self[name] for name in names if name in self}
        new = [name for name in names if name not in self]
        # A copy of its own: a view would keep the whole batch it came in.
        found |= {n: v.clone() for n, v in zip(new, work(new) if new else (), strict=True)}
        self.update(found)
        for name in found:
            self.move_to_end(name)
        while len(self) > room:
            self.popitem(last=False)
        return found
