"""What every engine does with a request: its place in a batch, its pictures, no answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.types import AnswerProbs

if TYPE_CHECKING:
    from PIL import Image

    from safejudge.types import Picture, Probe, Reasoning


def place(request: Probe | Reasoning) -> tuple[list[str], str]:
    """Sort key: equal pictures next to each other, in an order no caller's list can change."""
    return [picture.digest for picture in request.images], repr(request)


def no_answer(probe: Probe, problem: str) -> AnswerProbs:
    """Say why a probe has no probabilities."""
    return AnswerProbs((0.0,) * len(probe.labels), problem=problem)


def as_image(picture: Picture) -> Image.Image:
    """Pixels as PIL: libraries would fetch an address or open a path, so they never see one."""
    from PIL import Image

    return Image.fromarray(picture.pixels, mode="RGB")
