"""PreferenceScorer: images and prompts in, one number each out; a reward, or a part of one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from safejudge.engines.base import holds
from safejudge.engines.open import SCORER, open_encoder
from safejudge.errors import EngineSetupError, InputError
from safejudge.images.arrays import is_array
from safejudge.images.load import load_images, split_batch
from safejudge.images.pairs import caption_of
from safejudge.policy import Policy
from safejudge.text import counted
from safejudge.types import ImageInput, Similarity

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from safejudge.engines.base import Encoder
    from safejudge.images.pairs import Images, Prompt, Prompts
    from safejudge.types import Picture


class PreferenceScorer:
    """Scores how much a picture would be preferred among pictures of its prompt.

    The larger the better; the difference of two pictures' scores is the log-odds that the first is
    preferred, and scores of different prompts say little about each other. Thread-safe as its
    encoder is.
    """

    def __init__(self, encoder: Encoder, policy: Policy | None = None) -> None:
        """Score with a trained scorer, or with any encoder; it stays the caller's.

        `policy` limits what images may be read.
        """
        self._encoder = encoder
        self._policy = policy or Policy()

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str | None = None) -> PreferenceScorer:
        """Open a folder that `train-scorer` wrote. Raises `EngineSetupError`."""
        encoder = open_encoder(f"{SCORER}{folder}", device=device)
        if encoder.card.learned is not None:
            encoder.close()
            raise EngineSetupError(
                f"{folder}: is a relevance filter that distill made, and says nothing of "
                "preferences; name a folder that train-scorer wrote"
            )
        return cls(encoder)

    def __call__(self, images: Images, prompts: Prompts | None = None) -> list[float | None]:
        """Return one score per image, in order.

        None for an image that cannot be read or has no prompt, and for a prompt that the text side
        cannot hold: never a number instead. Raises `InputError` for lists of different length.
        """
        sources = split_batch(images) if is_array(images) else list(images)
        texts = [None] * len(sources) if prompts is None else [_text(t) for t in prompts]
        if len(texts) != len(sources):
            raise InputError(
                f"{counted(len(sources), 'image')} but {counted(len(texts), 'prompt')}; give one "
                "each"
            )
        loaded = load_images(sources, self._policy)
        pictures = [
            image.pictures[0] if isinstance(image, ImageInput) else None for image in loaded
        ]
        return self._scores(pictures, texts)

    def close(self) -> None:
        """Close the scorer's model. Calling it twice is fine."""
        self._encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scores(
        self, pictures: Sequence[Picture | None], texts: Sequence[str | None]
    ) -> list[float | None]:
        fits = {text: holds(self._encoder, text) for text in dict.fromkeys(texts) if text}
        requests = [
            Similarity(picture, text) if picture is not None and text and fits[text] else None
            for picture, text in zip(pictures, texts, strict=True)
        ]
        distinct = list(dict.fromkeys(request for request in requests if request is not None))
        similarities = dict(zip(distinct, self._encoder.similarities(distinct), strict=True))
        scores = (math.nan if request is None else similarities[request] for request in requests)
        return [score if math.isfinite(score) else None for score in scores]


def _text(prompt: Prompt | None) -> str | None:
    """Return the caption of an image."""
    caption = caption_of(prompt)
    return caption and caption.strip()
