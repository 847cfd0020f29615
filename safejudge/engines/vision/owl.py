"""OWL-ViT and OWLv2, a side at a time: what pictures and words look like is kept for a while.

Takes pictures and words; gives the raw predictions, a number for each box and word. The picture's
side is nearly all of the work, and rules come back to the same picture with different words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.engines.recent import RecentCache
from safejudge.engines.requests import as_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from safejudge.types import Picture

    Tensor = torch.Tensor

_CACHED_PICTURES = 40
"""Pictures whose features stay on the device: those of a default window and some more. One takes
11 MB with OWLv2 base in float32."""

_CACHED_WORDS = 4096


class Owl:
    """One model of the family, its processor, and how many tokens its text side holds.

    Calls must not overlap.
    """

    def __init__(self, model: Any, processor: Any, limit: int) -> None:
        self._model, self._processor, self._limit = model, processor, limit
        self._grids: RecentCache[str, Tensor] = RecentCache(_CACHED_PICTURES)
        self._vectors: RecentCache[str, Tensor] = RecentCache(_CACHED_WORDS)

    def predict(self, looks: Sequence[tuple[Picture, Sequence[str]]]) -> tuple[Tensor, Tensor]:
        """Return logits, (pictures, boxes, most words), and boxes, (pictures, boxes, 4).

        Boxes are centre and size, as shares of the model's input. Where a picture is looked at for
        fewer words than another, its last logits mean nothing. Raises `ValueError` for a picture
        that the image processing refuses.
        """
        import torch

        pictures = {picture.digest: picture for picture, _ in looks}
        grids = self._grids.fetch_all(
            pictures, lambda digests: _copies(self._see([pictures[digest] for digest in digests]))
        )
        words = sorted({word for _, words in looks for word in words})
        vectors = self._vectors.fetch_all(words, lambda new: _copies(self._read(new)))
        width = max(len(words) for _, words in looks)
        logits, boxes = [], []
        for picture, words_here in looks:
            grid = grids[picture.digest][None]
            features = grid.flatten(1, 2)
            queries = torch.stack([vectors[word] for word in words_here])[None]
            scores, _ = self._model.class_predictor(features, queries)
            logits.append(torch.nn.functional.pad(scores, (0, width - len(words_here))))
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


def _copies(rows: Tensor) -> Iterator[Tensor]:
    """Rows by themselves: a view would keep the whole batch that it came in."""
    return (row.clone() for row in rows)
