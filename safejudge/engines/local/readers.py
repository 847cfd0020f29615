"""Probes -> next-token logits, in two ways that must give the same numbers.

`PlainReader` asks the model's processor and `generate` for everything: right for every family,
but a picture is prepared and encoded again for each question. `FeatureReader` knows a few families
by name and encodes each picture once. Neither knows labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from safejudge.engines.recent import RecentCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from safejudge.engines.local.chat import Chat
    from safejudge.engines.local.pixels import PixelRange
    from safejudge.engines.tokens import Path
    from safejudge.types import Picture, Probe

    Tensor = torch.Tensor

_CACHED_PICTURES = 64
"""Pictures whose features stay in memory between batches and calls, most recently used first."""


class Reader(Protocol):
    """Reads the distribution of the token that follows a prompt."""

    def prepare(self, probes: Sequence[Probe]) -> Any:
        """Everything about a batch that is the same for every continuation.

        Raises `ValueError` when the model's own image processing refuses a picture.
        """

    def lengths(self, prepared: Any) -> list[int]:
        """Tokens of each prompt of a batch, those of its pictures included."""

    def next_logits(self, prepared: Any, continuation: Path) -> Tensor:
        """Raw logits after each prompt plus `continuation`; float32, B x vocabulary."""


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between the families whose pictures are encoded only once."""

    processor: str
    """Class name of the processor this holds for (LLaVA with Pixtral's vision has another)."""
    pixels: tuple[str, ...]
    """Processor outputs that `get_image_features` takes."""
    grid_positions: bool = False
    """Whether positions are three-dimensional, laid out by `image_grid_thw`."""


FAMILIES = {
    "idefics3": Family("Idefics3Processor", ("pixel_values", "pixel_attention_mask")),
    "smolvlm": Family("SmolVLMProcessor", ("pixel_values", "pixel_attention_mask")),
    "llava": Family("LlavaProcessor", ("pixel_values",)),
    "internvl": Family("InternVLProcessor", ("pixel_values",)),
    "qwen2_5_vl": Family(
        "Qwen2_5_VLProcessor", ("pixel_values", "image_grid_thw"), grid_positions=True
    ),
}
"""By `model_type`. A family not listed here is read by `PlainReader`."""


def open_reader(model: Any, chat: Chat, sizes: PixelRange) -> Reader:
    """Choose the reader for this model by the table above."""
    family = FAMILIES.get(model.config.model_type)
    if family is not None and type(chat.processor).__name__ == family.processor:
        return FeatureReader(model, chat, family, sizes)
    return PlainReader(model, chat, sizes)


class PlainReader:
    """The processor's own batch, one step of `generate`: positions and masks are the model's."""

    def __init__(self, model: Any, chat: Chat, sizes: PixelRange) -> None:
        self._model = model
        self._chat = chat
        self._sizes = sizes

    def prepare(self, probes: Sequence[Probe]) -> dict[str, Tensor]:
        """See `Reader`; gives the model's inputs."""
        texts = [self._chat.probe_text(probe) for probe in probes]
        return self.inputs(texts, [probe.images for probe in probes])

    def lengths(self, prepared: dict[str, Tensor]) -> list[int]:
        """See `Reader`."""
        return [int(length) for length in prepared["attention_mask"].sum(1)]

    def next_logits(self, prepared: dict[str, Tensor], continuation: Path) -> Tensor:
        """See `Reader`."""
        output = self._model.generate(
            **_append(prepared, continuation),
            max_new_tokens=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits: Tensor = output.logits[0].float()
        return logits

    def inputs(
        self, texts: Sequence[str], images: Sequence[Sequence[Picture]]
    ) -> dict[str, Tensor]:
        """Model inputs of rendered texts that all have the same number of pictures."""
        pictures = [[self._sizes.image(picture) for picture in row] for row in images]
        encoded = self._chat.processor(
            text=list(texts),
            **({"images": pictures} if any(pictures) else {}),
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=self._chat.adds_special_tokens(texts[0]),
            verbose=False,  # how long a text may be is looked to elsewhere
        )
        inputs = dict(encoded.to(self._model.device))
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self._model.dtype)
        return inputs


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One picture as its model sees it."""

    ids: Path
    """The tokens that stand for it in the prompt."""
    features: Tensor
    """One embedding per image token; N x hidden."""
    grid: Tensor | None
    """`image_grid_thw`, 1 x 3, where positions need it."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One prompt as token ids, with the pictures that stand in it."""

    ids: Path
    pictures: tuple[_Encoded, ...]


class FeatureReader:
    """Encodes each picture once and scatters its features into the input embeddings."""

    def __init__(self, model: Any, chat: Chat, family: Family, sizes: PixelRange) -> None:
        self._model = model
        self._chat = chat
        self._sizes = sizes
        self._family = family
        self._image_id = int(model.config.image_token_id)
        self._pictures: RecentCache[str, _Encoded] = RecentCache(_CACHED_PICTURES)

    def prepare(self, probes: Sequence[Probe]) -> list[_Row]:
        """See `Reader`; gives token ids and pictures per probe."""
        return [
            self._row(
                self._chat.encode(self._chat.probe_text(probe)),
                [self._encoded(picture) for picture in probe.images],
            )
            for probe in probes
        ]

    def lengths(self, prepared: list[_Row]) -> list[int]:
        """See `Reader`."""
        return [len(row.ids) for row in prepared]

    def next_logits(self, prepared: list[_Row], continuation: Path) -> Tensor:
        """See `Reader`."""
        import torch

        ids, mask = self._left_padded([row.ids + continuation for row in prepared])
        embeddings = self._model.get_input_embeddings()(ids)
        pictures = [picture for row in prepared for picture in row.pictures]
        if pictures:
            slots = (ids == self._image_id).unsqueeze(-1)
            features = torch.cat([picture.features for picture in pictures])
            embeddings = embeddings.masked_scatter(slots, features.to(embeddings.dtype))
        output = self._model(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=self._positions(ids, mask, [picture.grid for picture in pictures]),
            logits_to_keep=1,
            use_cache=False,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _row(self, ids: Sequence[int], pictures: Sequence[_Encoded]) -> _Row:
        """Put each picture's tokens where the template put its placeholder.

        The placeholder is an added token, which tokenizers cut out before anything else, and so
        are the first and last token of what replaces it: no other token can change.
        """
        placeholders = list(ids).count(self._image_id)
        if placeholders != len(pictures):
            raise ValueError(
                f"the rendered prompt shows {placeholders} pictures, not {len(pictures)}"
            )
        remaining = iter(pictures)
        row: list[int] = []
        for token in ids:
            row.extend(next(remaining).ids if token == self._image_id else (token,))
        return _Row(tuple(row), tuple(pictures))

    def _encoded(self, picture: Picture) -> _Encoded:
        return self._pictures.fetch(picture.digest, lambda: self._encode(picture))

    def _encode(self, picture: Picture) -> _Encoded:
        import torch

        placeholder = self._chat.tokenizer.convert_ids_to_tokens(self._image_id)
        inputs = self._chat.processor(
            text=[placeholder],
            images=[[self._sizes.image(picture)]],
            return_tensors="pt",
            add_special_tokens=False,
        ).to(self._model.device)
        pixels = {name: inputs[name] for name in self._family.pixels}
        pixels["pixel_values"] = pixels["pixel_values"].to(self._model.dtype)
        output = self._model.get_image_features(**pixels, return_dict=True).pooler_output
        # Some families give one tensor per picture or tile, others one for all of them.
        features = output if isinstance(output, torch.Tensor) else torch.cat(list(output))
        features = features.reshape(-1, features.shape[-1])
        ids = tuple(inputs["input_ids"][0].tolist())
        if ids.count(self._image_id) != len(features):
            raise ValueError(
                f"{ids.count(self._image_id)} image tokens for {len(features)} image features"
            )
        grid = pixels["image_grid_thw"] if self._family.grid_positions else None
        return _Encoded(ids, features, grid)

    def _left_padded(self, rows: Sequence[Path]) -> tuple[Tensor, Tensor]:
        import torch

        width = max(map(len, rows))
        pad = self._chat.tokenizer.pad_token_id
        ids = [[pad] * (width - len(row)) + list(row) for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        device = self._model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _positions(self, ids: Tensor, mask: Tensor, grids: Sequence[Tensor | None]) -> Tensor:
        """Positions from the first real token on; padding stands at 0."""
        import torch

        line: Tensor = (mask.cumsum(-1) - 1).clamp(min=0)
        if not self._family.grid_positions:
            return line
        if not grids:
            return line.unsqueeze(0).expand(3, -1, -1)
        kinds = (ids == self._image_id).int()
        grid = torch.cat([grid for grid in grids if grid is not None])
        positions: Tensor
        positions, _ = self._model.model.get_rope_index(
            ids, kinds, image_grid_thw=grid, attention_mask=mask
        )
        return positions


def _append(inputs: dict[str, Tensor], continuation: Path) -> dict[str, Tensor]:
    """Let tokens follow every prompt of a left-padded batch: real, unmasked, plain text."""
    import torch

    if not continuation:
        return inputs
    ids = inputs["input_ids"]
    longer = dict(inputs)
    added = torch.tensor([continuation], device=ids.device, dtype=ids.dtype).expand(len(ids), -1)
    for name, value in inputs.items():
        if value.shape != ids.shape:
            continue
        fill = {"input_ids": added, "attention_mask": torch.ones_like(added)}
        extra = fill.get(name, torch.zeros_like(added))
        longer[name] = torch.cat([value, extra.to(value.dtype)], dim=1)
    return longer
