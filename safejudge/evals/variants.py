"""The same run with one thing changed, to see how much of a judge's answers hangs on it.

A changed run is over the same samples, in a folder of its own below the plain run's, and its
records have the same form. Pictures are changed once, before anybody sees them, so engine, encoder
and detector look at one and the same; `blind` takes them away altogether, and `longer` changes no
picture but an answer, where answers are what a suite judges.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from safejudge.engines.models import Models
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import InputError
from safejudge.types import Picture

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.suite import Run
    from safejudge.types import AnswerProbs, Probe, Reasoning

FOLDER = "variants"
"""Below the plain run's folder: one folder for each variant."""
LONGER = "longer"
"""The variant that changes answers."""
REPEAT = "repeat-"
"""What the name of a repeated run begins with; a number follows."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is changed."""

    summary: str
    """For people."""
    change: Callable[[Picture], Picture] | None = None
    """What is done to each picture; None: nothing is left of it."""
    rewrite: Callable[[str], str] | None = None
    """What is done to an answer; then pictures stay what they are."""


def _edited(edit: Callable[[Image.Image], Image.Image], picture: Picture) -> Picture:
    pixels = np.asarray(edit(Image.fromarray(picture.pixels)).convert("RGB"))
    return Picture.of(pixels, picture.frame, picture.background)


def _jpeg(quality: int, image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def _scaled(factor: float, image: Image.Image) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _flipped(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


_OPENING = (
    "What follows is an answer to the question that was asked about the picture. It goes over what "
    "was asked, and it says what there is to be said about it."
)
_AGAIN = "To say it once more, in the very same words, so that nothing of it is overlooked:"
_CLOSING = (
    "With that the answer has been given in full. Nothing was added to it and nothing was left out "
    "of it, and there is nothing else that would have to be said here."
)


def lengthened(answer: str) -> str:
    """Say an answer twice, between sentences that add nothing; the same answer for ever."""
    return f"{_OPENING}\n\n{answer}\n\n{_AGAIN}\n\n{answer}\n\n{_CLOSING}"


VARIANTS: Mapping[str, Variant] = {
    "blind": Variant("no picture at all: what the texts alone give away"),
    **{
        f"jpeg-{quality}": Variant(
            f"as JPEG of quality {quality}", partial(_edited, partial(_jpeg, quality))
        )
        for quality in (95, 75, 50, 30)
    },
    "half": Variant("at half its width and height", partial(_edited, partial(_scaled, 0.5))),
    "double": Variant("at twice its width and height", partial(_edited, partial(_scaled, 2.0))),
    "grey": Variant("without colour", partial(_edited, _grey)),
    "flip": Variant("as in a mirror", partial(_edited, _flipped)),
    LONGER: Variant("an answer said twice, with words that add nothing", rewrite=lengthened),
}
"""Every change there is, by name."""


def chosen(names: Sequence[str], suite: str, *, texts: bool) -> list[str]:
    """Check the names of changes for a suite; `all` stands for every one that it can be put to.

    `texts` says whether the suite judges answers that are texts. Raises `InputError`.
    """
    if strange := [name for name in names if name not in {*VARIANTS, "all"}]:
        choices = ", ".join(["all", *VARIANTS])
        raise InputError(f"--variant {strange[0]}: there is no such change; choose from {choices}")
    if LONGER in names and not texts:
        raise InputError(
            f"--variant {LONGER}: {suite} judges no answers that are texts, so nothing can be "
            "blown up; it is for mllm-as-a-judge, multimodal-rewardbench and judge-anything"
        )
    if "all" in names:
        return [name for name in VARIANTS if texts or name != LONGER]
    return list(names)


def runs(plain: Run, names: Sequence[str], repeats: int) -> dict[str, Run]:
    """The changed runs, by name; `repeats` asks the same again so often.

    Engines answer greedily, so a repeat shows what batches of other sizes do to the numbers: all
    that is left to chance.
    """
    changed = {name: _changed(plain, VARIANTS[name]) for name in VARIANTS if name in names}
    for number in range(1, repeats + 1):
        changed[f"{REPEAT}{number}"] = replace(plain, window=max(1, plain.window // (number + 1)))
    return {
        name: replace(run, out=plain.out / FOLDER / name, plain=plain.out)
        for name, run in changed.items()
    }


def _changed(plain: Run, variant: Variant) -> Run:
    if variant.rewrite is not None:
        return replace(plain, rewrite=variant.rewrite)
    if variant.change is not None:
        return replace(plain, change=variant.change)
    seeing = plain.models
    models = Models(
        Blind(seeing.engine),
        cache=seeing.cache,
        also=tuple(map(Blind, seeing.also)),
        escalation=None if seeing.escalation is None else Blind(seeing.escalation),
    )
    return replace(plain, models=models, policy=plain.policy.model_copy(update=_BLIND))


_BLIND = {"relevance": False, "relevance_threshold": None, "crop": False, "region": False}
"""Encoder and detector compare with the picture, so there is nothing for them to do."""


class Blind(WrappedEngine):
    """An engine that is shown no pictures: the questions alone reach it."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read the label probabilities without the pictures; equal questions are asked once."""
        bare = [replace(probe, images=()) for probe in probes]
        distinct = list(dict.fromkeys(bare))
        answers = dict(zip(distinct, self.engine.answer_probs(distinct), strict=True))
        return [answers[probe] for probe in bare]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Reply without the pictures; equal requests are asked once."""
        bare = [replace(request, images=()) for request in requests]
        distinct = list(dict.fromkeys(bare))
        replies = dict(zip(distinct, self.engine.reason(distinct), strict=True))
        return [replies[request] for request in bare]

    def close(self) -> None:
        """Nothing: the engine is the plain run's."""


def folders(out: Path) -> dict[str, Path]:
    """The changed runs that lie below a plain one: known changes first, then repeats, by number."""
    paths = {path.name: path for path in (out / FOLDER).glob("*") if path.is_dir()}
    repeats = [name for name in paths if name.removeprefix(REPEAT).isdecimal()]
    repeats.sort(key=lambda name: int(name.removeprefix(REPEAT)))
    return {name: paths[name] for name in (*VARIANTS, *repeats) if name in paths}
