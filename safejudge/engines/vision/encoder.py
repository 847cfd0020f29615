"""Any dual encoder of transformers (CLIP, SigLIP, SigLIP 2 and alike), as an `Encoder`.

Takes a model id or folder; gives the cosine of picture and text. It knows nothing of rules, and
not which cosine is high for this model: thresholds are the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.engines.local.running import LocalModel, check_options, quiet, running
from safejudge.engines.recent import RecentCache
from safejudge.engines.requests import as_image
from safejudge.errors import EngineCallError, EngineSetupError, StatementError
from safejudge.text import storable
from safejudge.types import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from safejudge.types import Similarity

    Tensor = torch.Tensor

_FULL_LENGTH = frozenset({"siglip", "siglip2"})
"""Model types trained on texts padded to the full length, padding attended to like any token."""

_CACHED_TEXTS = 4096
"""Texts whose embeddings stay in memory between calls, most recently used first."""


class HFEncoder(LocalModel):
    """One dual encoder in this process.

    `model` is a folder or a hub id, `uri` what the card calls it. `device` None takes CUDA where
    there is one; `dtype` (`float32`, `bfloat16`, `float16`) None is float32 on a CPU and the
    checkpoint's own type elsewhere. At most `batch_size` pictures, or texts, run at once. Raises
    `EngineSetupError`. Calls may come from several threads; they run one after the other.
    """

    def __init__(  # noqa: PLR0913 - one argument for each option of a user's
        self,
        model: str,
        *,
        uri: str,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 16,
        backend: str | None = None,
    ) -> None:
        check_options(batch_size, dtype)
        checkpoint = self._checkpoint(model, uri, backend)
        config = checkpoint.config()
        _refuse_others(model, config)
        self._processor = checkpoint.pair_processor()
        self._full_length = config.model_type in _FULL_LENGTH
        tokenizer = self._processor.tokenizer
        # SigLIP 2 learned lower-case text. Its own tokenizer class sees to that; most of its
        # checkpoints name Gemma's, which does not.
        self._lower = self._full_length and type(tokenizer).__name__ == "GemmaTokenizer"
        self._limit = _text_limit(model, config, tokenizer)
        self._vectors: RecentCache[str, Tensor] = RecentCache(_CACHED_TEXTS)
        loaded = checkpoint.load("AutoModel", device, dtype)
        super().__init__(loaded, checkpoint.pair_card(loaded, self._processor), batch_size)
        self._width = self._proved_width(checkpoint)

    def _checkpoint(self, model: str, uri: str, backend: str | None) -> Any:
        return Checkpoint(model, uri, backend=backend)

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a text that the text side cannot hold whole."""
        with self._lock:
            self._refuse_long(texts)

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return each cosine; see `Encoder.similarities`.

        A picture that the model's image processing refuses has none: NaN.
        """
        # Sorted, so that neither order nor repetition in the caller's list can move a number.
        texts = sorted({request.text for request in requests})
        pictures = sorted({r.picture for r in requests}, key=lambda picture: picture.digest)
        rows_by_picture: dict[Picture, Tensor] = {}
        with self._running():
            if not requests:
                return []
            columns = self._text_columns(texts)
            for start in range(0, len(pictures), self._batch_size):
                batch = pictures[start : start + self._batch_size]
                rows = (self.embed_pictures(batch) @ columns).clamp(-1.0, 1.0)
                rows_by_picture.update(zip(batch, rows, strict=True))
        column = {text: i for i, text in enumerate(texts)}
        return [float(rows_by_picture[r.picture][column[r.text]]) for r in requests]

    def close(self) -> None:
        """Let go of the model; calls after this raise `EngineCallError`."""
        with self._lock:
            self._model = None
            self._vectors.clear()

    def _refuse_long(self, texts: Sequence[str]) -> None:
        refuse_long(texts, self._length, self._card.uri, self._limit)

    def _length(self, text: str) -> int:
        return len(self._tokens([text], padding=False)["input_ids"][0])

    def _tokens(self, texts: Sequence[str], padding: str | bool) -> dict[str, Any]:
        texts = [storable(text.lower() if self._lower else text) for text in texts]
        # Truncation is switched off by name: it may be stored with a tokenizer or processor.
        return dict(
            self._processor.tokenizer(
                list(texts),
                padding=padding,
                max_length=self._limit if padding == "max_length" else None,
                truncation=False,
                return_tensors="pt" if padding else None,
                verbose=False,
            )
        )

    def _text_columns(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of texts, as columns: remembered where possible, new ones in batches."""
        import torch

        vectors = self._vectors.fetch_all(texts, self._embed_new)
        return torch.stack([vectors[text] for text in texts], 1)

    def _embed_new(self, texts: Sequence[str]) -> Iterator[Tensor]:
        self._refuse_long(texts)
        for start in range(0, len(texts), self._batch_size):
            yield from self.embed_texts(texts[start : start + self._batch_size])

    def vectors(self, requests: Sequence[Similarity]) -> tuple[Tensor, Tensor]:
        """Return the unit vectors of each request's picture and of its text, as rows, in order.

        A picture or text of several requests is encoded once. NaN, and errors, as for
        `similarities`.
        """
        import torch

        texts = sorted({request.text for request in requests})
        pictures = sorted({r.picture for r in requests}, key=lambda picture: picture.digest)
        vectors: dict[Picture, Tensor] = {}
        with self._running():
            if not requests:
                return torch.empty(0, self.width), torch.empty(0, self.width)
            columns = self._text_columns(texts)
            for start in range(0, len(pictures), self._batch_size):
                batch = pictures[start : start + self._batch_size]
                vectors.update(zip(batch, self.embed_pictures(batch), strict=True))
        column = {text: i for i, text in enumerate(texts)}
        return (
            torch.stack([vectors[request.picture] for request in requests]),
            columns.T[[column[request.text] for request in requests]],
        )

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self._width

    @property
    def model(self) -> Any:
        """The model of transformers, for training; whoever changes it opens the encoder anew."""
        return self._model

    def save(self, folder: Path) -> None:
        """Write the model as it is, and its processor, as a folder of transformers."""
        with quiet():
            self._model.save_pretrained(folder)
            self._processor.save_pretrained(folder)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of at most a batch of texts, as rows; gradients are the caller's affair."""
        if self._full_length:
            inputs = {"input_ids": self._tokens(texts, padding="max_length")["input_ids"]}
        else:
            inputs = self._tokens(texts, padding=True)
        placed = {name: value.to(self._model.device) for name, value in inputs.items()}
        return _unit(self._model.get_text_features(**placed).pooler_output)

    def embed_pictures(self, pictures: Sequence[Picture]) -> Tensor:
        """Unit vectors of pictures, as rows; NaN for one that the image processing refuses.

        At most a batch; gradients are the caller's affair.
        """
        import torch

        # As PIL: transformers would fetch an address or open a path, and guess where channels are.
        images = [as_image(picture) for picture in pictures]
        try:
            inputs = self._processor.image_processor(images, return_tensors="pt")
        except ValueError:
            if len(pictures) > 1:
                return torch.cat([self.embed_pictures([picture]) for picture in pictures])
            return torch.full((1, self._width), torch.nan, dtype=torch.float64)
        placed = {
            name: value.to(self._model.device, self._model.dtype)
            if value.is_floating_point()
            else value.to(self._model.device)
            for name, value in inputs.items()
        }
        return _unit(self._model.get_image_features(**placed).pooler_output)

    def _proved_width(self, checkpoint: Checkpoint) -> int:
        """Refuse to start unless a text and a picture become vectors of one length."""
        grey = Picture.of(np.full((32, 32, 3), 128, dtype=np.uint8))
        self._width = 0
        try:
            with running(self._card.uri, self._batch_size):
                shapes = [self.embed_texts(["a"]).shape, self.embed_pictures([grey]).shape]
        except ImportError as error:
            raise checkpoint.missing_library(error) from error
        except (AttributeError, TypeError, ValueError, KeyError, EngineCallError) as error:
            problem = f"its towers did not take a trial: {error}"
            raise _no_dual_encoder(checkpoint.name, problem) from error
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or 0 in shapes[0]:
            problem = f"its towers gave {shapes[0]} and {shapes[1]}"
            raise _no_dual_encoder(checkpoint.name, problem)
        return int(shapes[0][1])


def refuse_long(
    texts: Sequence[str], length_of: Callable[[str], int], uri: str, limit: int
) -> None:
    """Raise `StatementError` for a text of more tokens than a model holds."""
    for text in dict.fromkeys(texts):
        if (length := length_of(text)) > limit:
            raise StatementError(
                f"{text!r} is {length} tokens long and {uri} holds {limit}: "
                "give the rule a shorter `relevance:` text"
            )


def _refuse_others(model: str, config: Any) -> None:
    """Refuse what is no dual encoder before its weights are read."""
    from transformers import MODEL_MAPPING

    model_class = MODEL_MAPPING.get(type(config), None)
    name = model_class.__name__ if isinstance(model_class, type) else config.model_type
    for tower in ("get_text_features", "get_image_features"):
        if not callable(getattr(model_class, tower, None)):
            raise _no_dual_encoder(model, f"{name} has no {tower}")


def _no_dual_encoder(model: str, why: str) -> EngineSetupError:
    return EngineSetupError(
        f"{model}: no dual encoder of pictures and texts ({why}). Use one of the CLIP or SigLIP "
        "families, such as hf:openai/clip-vit-base-patch16"
    )


def _text_limit(model: str, config: Any, tokenizer: Any) -> int:
    """Tokens that the text side holds, start and end marks included."""
    try:
        positions = int(config.get_text_config().max_position_embeddings)
    except AttributeError as error:
        why = "its text side does not say how long a text may be (max_position_embeddings)"
        raise _no_dual_encoder(model, why) from error
    return min(positions, int(tokenizer.model_max_length))


def _unit(features: Tensor) -> Tensor:
    """Divide rows by their lengths, on the CPU, in double.

    A row without a direction (all zero, or with an infinity or NaN in it) becomes NaN, and so does
    every cosine with it.
    """
    rows = features.cpu().double()
    unit: Tensor = rows / rows.norm(dim=-1, keepdim=True)
    return unit
