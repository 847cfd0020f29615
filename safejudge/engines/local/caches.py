"""Caches of transformers by row: what a model keeps of the prompts that it has read.

Keys and values of attention, and the states of layers that have others, in the fields of each
layer: whatever has a row for each prompt is parted and put together, and the rest stays. Nothing
made here shares memory with what it was made of, for some layers are written in place.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    Tensor = torch.Tensor


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a layer of a cache, whatever the layer calls it."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors(inner)


def row_of(cache: Any, row: int, rows: int) -> Any:
    """One row of a cache, in memory of its own."""

    def part(value: Any) -> Any:
        if _has_rows(value, rows):
            return value[row : row + 1].clone()
        return {k: part(v) for k, v in value.items()} if isinstance(value, dict) else value

    return mapped(cache, lambda layer: {name: part(v) for name, v in vars(layer).items()})


def combined(caches: Sequence[Any]) -> Any:
    """A cache whose rows are those of caches of one row, in memory of its own."""
    import torch

    def whole(values: Sequence[Any]) -> Any:
        if _has_rows(values[0], 1):
            return torch.cat(list(values))
        if isinstance(values[0], dict):
            return {name: whole([value[name] for value in values]) for name in values[0]}
        return values[0]

    layers = iter(zip(*(cache.layers for cache in caches), strict=True))

    def joined(_: Any) -> dict[str, Any]:
        parts = [vars(layer) for layer in next(layers)]
        return {name: whole([part[name] for part in parts]) for name in parts[0]}

    return mapped(caches[0], joined)


def mapped(cache: Any, change: Any) -> Any:
    """A cache with the attributes of its layers changed; what it was made of stays as it was."""
    other = copy.copy(cache)
    other.layers = []
    for layer in cache.layers:
        new = copy.copy(layer)
        vars(new).update(change(layer))
        other.layers.append(new)
    return other


def _has_rows(value: Any, rows: int) -> bool:
    """Whether this is a tensor over so many prompts, and no number of a layer's own."""
    import torch

    return isinstance(value, torch.Tensor) and value.dim() > 1 and len(value) == rows
