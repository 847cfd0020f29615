"""HPS v2 and v2.1 as an `Encoder`: a CLIP ViT-H-14 tuned to people's choices (arXiv 2306.09341).

Opens the released file, whose names are those of open_clip; they become those of transformers, and
the rest is `HFEncoder`. The score is the cosine, as the authors' `img_score` has it. Pictures are
scaled by their longer edge and padded with black, as theirs are. Shapes say all sizes; a head of
attention has 80 numbers in the picture's tower and 64 in the text's, as in ViT-H-14. Apache-2.0, by
Xiaoshi Wu and others.
"""

from __future__ import annotations

import re
from math import isqrt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.checkpoint import default_device, placed
from safejudge.engines.local.running import quiet, torch_type
from safejudge.engines.vision.encoder import HFEncoder
from safejudge.engines.vision.released import Release
from safejudge.engines.vision.squares import normalised, padded_square
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from PIL import Image

    from safejudge.types import EngineCard

    Tensor = torch.Tensor

RELEASE = Release(
    title="HPS v2",
    file="HPS_v2.1_compressed.pt",
    repository="xswu/HPSv2",
    tokenizer="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    tokenizer_class="CLIPTokenizer",
)
PICTURE_HEAD, TEXT_HEAD = 80, 64

_TOP = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
}
_NORMS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
_PROJECTIONS = {"text_projection": "text_projection", "visual.proj": "visual_projection"}
"""Matrices that open_clip multiplies from the right."""
_PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")


class HPSEncoder(HFEncoder):
    """One released HPS in this process; options and errors are those of `HFEncoder`."""

    def _checkpoint(self, model: str, uri: str, backend: str | None) -> Any:
        del backend  # there is one way in which pictures are prepared
        return HPSCheckpoint(model, uri)


class HPSCheckpoint:
    """The released file where `HFEncoder` expects a checkpoint of transformers."""

    def __init__(self, name: str, uri: str) -> None:
        self.name = name
        self._uri = uri
        self._file = RELEASE.find(name)
        self._weights = renamed(RELEASE.weights(self._file))
        try:
            self._sizes = _sizes(self._weights)
        except (KeyError, IndexError, ValueError) as error:
            raise RELEASE.foreign(self._file, f"{error} is not in it") from error
        self._tokenizer = RELEASE.read_tokenizer(self._file)

    def config(self) -> Any:
        """The sizes that the shapes say, and the tokenizer's marks."""
        from transformers import CLIPConfig

        marks = ("bos_token_id", "eos_token_id", "pad_token_id")
        text = {mark: getattr(self._tokenizer, mark) for mark in marks}
        with quiet():
            return CLIPConfig(**self._sizes | {"text_config": self._sizes["text_config"] | text})

    def pair_processor(self) -> Any:
        """Tokenizer and image processing."""
        side = self.config().vision_config.image_size

        def prepared(images: Sequence[Image.Image], return_tensors: str) -> dict[str, Tensor]:
            del return_tensors
            return {"pixel_values": normalised([padded_square(image, side) for image in images])}

        return SimpleNamespace(tokenizer=self._tokenizer, image_processor=prepared)

    def load(self, loader: str, device: str | None, dtype: str | None) -> Any:
        """Build the model and fill it; `dtype` None is float32."""
        from transformers import CLIPModel

        del loader
        with quiet():
            model: Any = CLIPModel(self.config())
        RELEASE.fill(model, self._weights, self._file)
        self._weights = {}
        return placed(
            model.to(torch_type(dtype or "float32")), device or default_device(), self.name
        )

    def pair_card(self, loaded: Any, processor: Any) -> EngineCard:
        """The card of the model."""
        return RELEASE.card(self._uri, self._file, processor.tokenizer, str(loaded.dtype))

    def missing_library(self, error: Exception) -> EngineSetupError:
        """Say that a library is missing."""
        return EngineSetupError(f"{self.name}: a library that it needs is missing. ({error})")


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give open_clip's tensors the names, and the orientation, of transformers' CLIP.

    What has no counterpart keeps its name, so that it is told.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if (match := _LAYER.fullmatch(name)) is not None:
            visual, number, part, kind = match.groups()
            tower = "vision_model" if visual else "text_model"
            layer = f"{tower}.encoder.layers.{number}"
            if part == "attn.in_proj":
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    named[f"{layer}.self_attn.{letter}_proj.{kind}"] = third
            else:
                named[f"{layer}.{_PARTS.get(part, part)}.{kind}"] = tensor
        elif name in _PROJECTIONS:
            named[f"{_PROJECTIONS[name]}.weight"] = tensor.T.contiguous()
        else:
            first, _, kind = name.rpartition(".")
            named[_TOP.get(name) or ".".join(filter(None, (_NORMS.get(first, first), kind)))] = (
                tensor
            )
    return named


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Configuration of both towers; open_clip's GELU is the exact one."""
    patches = weights["vision_model.embeddings.patch_embedding.weight"]
    grid = isqrt(int(weights["vision_model.embeddings.position_embedding.weight"].shape[0]) - 1)
    words = weights["text_model.embeddings.token_embedding.weight"]
    vision = _tower(weights, "vision_model", int(patches.shape[0]), PICTURE_HEAD)
    text = _tower(weights, "text_model", int(words.shape[1]), TEXT_HEAD)
    positions = weights["text_model.embeddings.position_embedding.weight"]
    return {
        "vision_config": vision
        | {"image_size": grid * int(patches.shape[-1]), "patch_size": int(patches.shape[-1])},
        "text_config": text
        | {
            "vocab_size": int(words.shape[0]),
            "max_position_embeddings": int(positions.shape[0]),
        },
        "projection_dim": int(weights["visual_projection.weight"].shape[0]),
    }


def _tower(weights: Mapping[str, Tensor], name: str, width: int, head: int) -> dict[str, Any]:
    if width % head:
        raise ValueError(f"a {name} with heads of {head} numbers, being {width} wide,")
    layers = {m[1] for key in weights if (m := re.match(rf"{name}\.encoder\.layers\.(\d+)\.", key))}
    return {
        "hidden_size": width,
        "intermediate_size": int(weights[f"{name}.encoder.layers.0.mlp.fc1.weight"].shape[0]),
        "num_hidden_layers": len(layers),
        "num_attention_heads": width // head,
        "hidden_act": "gelu",
    }
