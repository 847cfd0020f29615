"""What every engine does with a request: its place in a batch, its pictures, no answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.types import AnswerProbs, Probe

if TYPE_CHECKING:
    from PIL import Image

    from safejudge.types import Picture, Reasoning


def batch_order(request: Probe | Reasoning) -> tuple[list[str], str]:
    """Sort key: equal pictures next to each other, in an order no caller's list can change.

    It is made of what the model is given, so it outlives every renaming of a module or a class.
    """
    texts = [request.instruction]
    if isinstance(request, Probe):
        texts += [request.question, *request.labels]
    else:
        texts += [f"{turn.role}: {turn.text}" for turn in request.messages]
        schema = "" if request.schema is None else request.schema.__name__
        texts += [schema, f"{request.max_tokens:09}"]
        if request.sampling is not None:
            texts += [f"{request.sampling.temperature}", f"{request.sampling.seed:09}"]
    return [picture.digest for picture in request.images], "\0".join(texts)


def no_answer(probe: Probe, problem: str) -> AnswerProbs:
    """Say why a probe has no probabilities."""
    return AnswerProbs((0.0,) * len(probe.labels), problem=problem)


def as_image(picture: Picture) -> Image.Image:
    """Pixels as PIL: libraries would fetch an address or open a path, so they never see one."""
    from PIL import Image

    return Image.fromarray(picture.pixels, mode="RGB")
