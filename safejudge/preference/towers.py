"""Which parts of a dual encoder learn beside the head: the last layers of both towers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def last_layers(model: Any, count: int) -> nn.ModuleList:
    """Return the last layers of the vision tower and of the text tower, so many of each.

    Raises `InputError` for a model whose towers are built otherwise, or have fewer layers.
    """
    from torch import nn

    found = nn.ModuleList()
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
        found.extend(layers[len(layers) - count :])
    return found
