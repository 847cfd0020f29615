"""What builders of tiny families share: image processing as it is installed, and turn marks."""

from __future__ import annotations

from typing import Any

from tiny_models import video_part

TURNS = ["<|im_start|>", "<|im_end|>"]
"""ChatML's."""
GRID_SIZE = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
"""Of pictures for families that take any size: pixels."""


def video_processor(name: str, **settings: Any) -> Any:
    """The family's own where torchvision is there; else one that is never used."""
    import transformers as t

    try:
        return getattr(t, name)(**settings)
    except ImportError:
        return video_part()


def image_processor(name: str, **settings: Any) -> Any:
    """The backend without torchvision where there is one."""
    import transformers as t

    return getattr(t, f"{name}Pil" if hasattr(t, f"{name}Pil") else name)(**settings)
