"""Pictures and prompts of pairs -> vectors of a dual encoder, and which of its layers learn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines.base import holds
from safejudge.errors import InputError
from safejudge.images.load import load_images
from safejudge.policy import Policy
from safejudge.text import storable
from safejudge.types import ImageInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.preference.pair_file import Pair
    from safejudge.types import Picture

    Tensor = torch.Tensor

T = TypeVar("T")

_BATCH = 16
"""Pictures, or texts, that are encoded at once."""


class Source:
    """Pictures and prompts of pairs as vectors, remembered where the towers do not change."""

    def __init__(self, encoder: HFEncoder, *, remembers: bool) -> None:
        self._encoder = encoder
        self._remembers = remembers
        self._pictures: dict[Path, Tensor] = {}
        self._texts: dict[str, Tensor] = {}

    def usable(self, pairs: Sequence[Pair]) -> tuple[list[Pair], Counter[str]]:
        """Leave out pairs with a picture or a prompt that the towers cannot take."""
        paths = list(dict.fromkeys(path for pair in pairs for path in pair.paths))
        broken = self._unreadable(paths)
        long = {text for text in map(words_of, pairs) if not holds(self._encoder, text)}
        usable_pairs, left_out = [], Counter[str]()
        for pair in pairs:
            if broken.intersection(pair.paths):
                left_out["a picture cannot be read"] += 1
            elif not words_of(pair):
                left_out["there is no prompt"] += 1
            elif words_of(pair) in long:
                left_out["the prompt is too long for the text side"] += 1
            else:
                usable_pairs.append(pair)
        if not usable_pairs:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in left_out.items())
            raise InputError(f"none of {len(pairs)} pairs can be learned from: {reasons}")
        return usable_pairs, left_out

    def vectors(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
        """Rows for the better pictures, the worse ones, and the prompts."""
        import torch

        paths = list(dict.fromkeys(path for pair in pairs for path in pair.paths))
        texts = list(dict.fromkeys(map(words_of, pairs)))
        if self._remembers:
            with torch.no_grad():
                self._texts |= self._encode_texts([t for t in texts if t not in self._texts])
            pictures, words = self._pictures, self._texts
        else:
            pictures, words = self._encode_pictures(paths), self._encode_texts(texts)
        sides = ([pictures[pair.paths[side]] for pair in pairs] for side in (0, 1))
        better, worse = map(torch.stack, sides)
        return better, worse, torch.stack([words[words_of(pair)] for pair in pairs])

    def _unreadable(self, paths: Sequence[Path]) -> set[Path]:
        import torch

        broken = set()
        for batch in batches(paths):
            with torch.no_grad():
                vectors = self._encode_pictures(batch)
            broken |= {path for path in batch if path not in vectors or vectors[path].isnan().any()}
            if self._remembers:
                self._pictures |= vectors
        return broken

    def _encode_pictures(self, paths: Sequence[Path]) -> dict[Path, Tensor]:
        vectors: dict[Path, Tensor] = {}
        for batch in batches(paths):
            pictures = _loaded(batch)
            if pictures:
                rows = self._encoder.embed_pictures(list(pictures.values()))
                vectors.update(zip(pictures, rows, strict=True))
        return vectors

    def _encode_texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return {
            text: row
            for batch in batches(texts)
            for text, row in zip(batch, self._encoder.embed_texts(batch), strict=True)
        }


def words_of(pair: Pair) -> str:
    """The prompt as the text side gets it."""
    return storable(pair.prompt).strip()


def batches(items: Sequence[T]) -> Iterator[list[T]]:
    """Cut a list into pieces that are encoded, or scored, at once."""
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])


def _loaded(paths: Sequence[Path]) -> dict[Path, Picture]:
    """The first picture of every image that can be read."""
    return {
        path: image.pictures[0]
        for path, image in zip(paths, load_images(paths, Policy()), strict=True)
        if isinstance(image, ImageInput)
    }


def last_layers(model: Any, count: int) -> nn.ModuleList:
    """Return the last layers of the vision tower and of the text tower, so many of each.

    Raises `InputError` for a model whose towers are built otherwise, or have fewer layers.
    """
    from torch import nn

    modules = nn.ModuleList()
    for tower in ("vision_model", "text_model") if count else ():
        try:
            layers = getattr(model, tower).encoder.layers
        except AttributeError as error:
            raise InputError(
                f"--layers {count}: {type(model).__name__} has no {tower} with layers in a row; "
                "leave it out to train the head alone"
            ) from error
        if count > len(layers):
            raise InputError(f"--layers {count}: the {tower} has {len(layers)}; give fewer")
        modules.extend(layers[len(layers) - count :])
    return modules
