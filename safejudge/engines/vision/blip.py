"""BLIP's cross encoder as an `Encoder`: one number for a picture and a text read together.

Takes a model's two towers and a head on what the first token of the text became after it looked at
the picture; gives the head's number. It is no cosine, so no threshold for the relevance filter is
stated for it. `blip-itm:` is the probability that picture and text match (arXiv 2201.12086);
`image_reward` builds another score on the same towers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.engines.local.running import LocalModel, check_options, running
from safejudge.engines.requests import as_image
from safejudge.engines.vision.encoder import refuse_long
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.text import storable
from safejudge.types import Picture, Similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from PIL import Image

    from safejudge.types import EngineCard

    Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Towers:
    """A BLIP that is loaded: pictures -> states, texts and states -> a number."""

    pictures: Any
    """`BlipVisionModel`."""
    texts: Any
    """`BlipTextModel`, with cross attention."""
    head: Callable[[Tensor], Tensor]
    """States of first tokens, a row each -> a number each."""
    tokenizer: Any
    limit: int
    """Tokens that a text may have, marks included."""
    prepare: Callable[[Sequence[Image.Image]], Tensor]
    """Pictures -> what the first tower takes; `ValueError` for one that it refuses."""


class BlipScorer(LocalModel):
    """Numbers of pairs in place of cosines; see `Encoder`.

    Calls may come from several threads; they run one after the other.
    """

    def __init__(self, towers: Towers, card: EngineCard, batch_size: int) -> None:
        super().__init__(towers, card, batch_size)
        self._prove()

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a text that is longer than the model was taught to read."""
        with self._lock:
            self._refuse_long(texts)

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return each number, in order; NaN for a picture that the image processing refuses."""
        # Sorted, so that neither order nor repetition in the caller's list can move a number.
        texts: defaultdict[Picture, list[str]] = defaultdict(list)
        for request in sorted(set(requests), key=lambda r: (r.picture.digest, r.text)):
            texts[request.picture].append(request.text)
        pictures = list(texts)
        numbers: dict[Similarity, float] = {}
        with self._running():
            self._refuse_long([request.text for request in requests])
            for start in range(0, len(pictures), self._batch_size):
                batch = pictures[start : start + self._batch_size]
                read = zip(batch, self._states(batch), strict=True)
                states = {picture: of_it for picture, of_it in read if of_it is not None}
                pairs = [Similarity(picture, text) for picture in states for text in texts[picture]]
                numbers.update(zip(pairs, self._numbers(states, pairs), strict=True))
        return [numbers.get(request, math.nan) for request in requests]

    def _refuse_long(self, texts: Sequence[str]) -> None:
        if self._model is not None:
            refuse_long(texts, self._length, self._card.uri, self._model.limit)

    def _length(self, text: str) -> int:
        return len(self._tokens([text], padding=False)["input_ids"][0])

    def _tokens(self, texts: Sequence[str], *, padding: bool) -> dict[str, Any]:
        # Truncation is switched off by name: it may be stored with a tokenizer.
        tokens = self._model.tokenizer(
            list(map(storable, texts)),
            padding=padding,
            truncation=False,
            return_tensors="pt" if padding else None,
            return_token_type_ids=False,
            verbose=False,
        )
        return dict(tokens)

    def _states(self, pictures: Sequence[Picture]) -> list[Tensor | None]:
        """What the first tower makes of each picture; None for one that is refused."""
        images = [as_image(picture) for picture in pictures]
        try:
            pixels = self._model.prepare(images)
        except ValueError:
            if len(pictures) == 1:
                return [None]
            return [states for picture in pictures for states in self._states([picture])]
        tower = self._model.pictures
        return list(tower(pixels.to(tower.device, tower.dtype)).last_hidden_state)

    def _numbers(
        self, states: Mapping[Picture, Tensor], pairs: Sequence[Similarity]
    ) -> list[float]:
        """Numbers of pairs, in order; a batch of them may be of several pictures."""
        import torch

        numbers: list[float] = []
        for start in range(0, len(pairs), self._batch_size):
            batch = pairs[start : start + self._batch_size]
            seen = torch.stack([states[pair.picture] for pair in batch])
            tokens = self._tokens([pair.text for pair in batch], padding=True)
            inputs = {name: value.to(seen.device) for name, value in tokens.items()}
            read = self._model.texts(**inputs, encoder_hidden_states=seen, is_decoder=False)
            numbers += self._model.head(read.last_hidden_state[:, 0]).cpu().tolist()
        return numbers

    def _prove(self) -> None:
        """Refuse to start unless a picture of the right size and a text become a number."""
        grey = Picture.of(np.full((32, 32, 3), 128, dtype=np.uint8))
        try:
            with running(self._card.uri, self._batch_size):
                (states,) = self._states([grey])
                # Fewer patches than it has positions for are taken without a word.
                positions = self._model.pictures.embeddings.num_positions
                if states is None or len(states) != positions:
                    raise ValueError("its processor prepares pictures of another size")
                (_,) = self._numbers({grey: states}, [Similarity(grey, "a")])
        except (AttributeError, TypeError, KeyError, EngineCallError) as error:
            raise EngineSetupError(
                f"{self._card.uri}: its parts do not fit: a trial failed. Use a complete "
                f"checkpoint. ({error})"
            ) from error


def open_blip_itm(
    model: str,
    *,
    uri: str,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 16,
) -> BlipScorer:
    """Open a BLIP with a matching head, from a folder or the hub. Raises `EngineSetupError`.

    `device`, `dtype` and `batch_size` are those of `HFEncoder`.
    """
    check_options(batch_size, dtype)
    checkpoint = Checkpoint(model, uri)
    config = checkpoint.config()
    if config.model_type != "blip":
        raise EngineSetupError(
            f"{model}: a {config.model_type}, no BLIP with a head for matching. Use one such as "
            "blip-itm:Salesforce/blip-itm-base-coco, or hf: for a dual encoder"
        )
    processor = checkpoint.pair_processor()
    loaded = checkpoint.load("BlipForImageTextRetrieval", device, dtype)
    tokenizer = processor.tokenizer

    def prepare(images: Sequence[Image.Image]) -> Tensor:
        pixels: Tensor = processor.image_processor(list(images), return_tensors="pt").pixel_values
        return pixels

    towers = Towers(
        pictures=loaded.vision_model,
        texts=loaded.text_encoder,
        head=lambda states: matching(loaded.itm_head(states)),
        tokenizer=tokenizer,
        limit=min(config.text_config.max_position_embeddings, int(tokenizer.model_max_length)),
        prepare=prepare,
    )
    return BlipScorer(towers, checkpoint.pair_card(loaded, processor), batch_size)


def matching(logits: Tensor) -> Tensor:
    """P(match), of logits of no match and match; in double, for near 1 single has few numbers."""
    return logits.double().softmax(-1)[:, 1]
