"""Where the patches of Idefics3 and SmolVLM lie, in whole numbers.

transformers (5.19 at least) works it out with fractions in the model's own type: in bfloat16 3 of
every 12 rows and columns, 6 of 27, come out as their neighbour, and answers about pictures change.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_EMBEDDINGS = frozenset({"Idefics3VisionEmbeddings", "SmolVLMVisionEmbeddings"})


def place_patches(model: Any) -> None:
    """Make a loaded model of these two families place its patches exactly; leave others alone."""
    for module in model.modules():
        if type(module).__name__ in _EMBEDDINGS:
            module.forward = partial(_embedded, module)


def _embedded(
    module: Any, pixel_values: torch.Tensor, patch_attention_mask: torch.Tensor
) -> torch.Tensor:
    """Embed patches and places; the mask is pictures x rows x columns, true where a picture is."""
    side = module.num_patches_per_side
    rows = _spread(patch_attention_mask[:, :, 0], side)
    columns = _spread(patch_attention_mask[:, 0, :], side)
    positions = (rows[:, :, None] * side + columns[:, None, :]) * patch_attention_mask
    patches = module.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
    embedded: torch.Tensor = patches + module.position_embedding(positions.flatten(1))
    return embedded


def _spread(present: torch.Tensor, side: int) -> torch.Tensor:
    """Spread the patches that are there evenly over `side` places; there is pictures x patches."""
    import torch

    count = present.sum(1, keepdim=True).clamp(min=1)
    index = torch.arange(present.shape[1], device=present.device)
    return (index * side // count).clamp(max=side - 1)
