"""ImageReward as an `Encoder`: how much people like a picture for a prompt (arXiv 2304.05977).

Opens the released file: a BLIP with a ViT-L and a head of five linear layers. Its names become
those of transformers, and every tensor is used but two projections that its score never used.
Shapes say all sizes; a head of attention has 64 numbers in both towers. The score is the head's
number less the mean over the authors' own pictures, divided by their deviation: about -2 to 2.
Apache-2.0, by THUDM.
"""

from __future__ import annotations

import re
from math import isqrt
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.checkpoint import default_device, placed
from safejudge.engines.local.running import check_options, quiet, torch_type
from safejudge.engines.vision.blip import BlipScorer, Towers
from safejudge.engines.vision.released import Release, stacked
from safejudge.engines.vision.squares import middle_square, normalised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch
    from PIL import Image

    Tensor = torch.Tensor

RELEASE = Release(
    title="ImageReward",
    file="ImageReward.pt",
    repository="THUDM/ImageReward",
    tokenizer="google-bert/bert-base-uncased",
    tokenizer_class="BertTokenizer",
)
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072
LIMIT = 35
"""Tokens of the texts that it was trained on; its authors cut longer ones."""
HEAD_WIDTH = 64

_NAMES = (
    (r"blip\.visual_encoder\.blocks\.(\d+)\.norm([12])\.", r"LAYERS.\1.layer_norm\2."),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.attn\.qkv\.", r"LAYERS.\1.self_attn.qkv."),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.attn\.proj\.", r"LAYERS.\1.self_attn.projection."),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.mlp\.", r"LAYERS.\1.mlp."),
    (r"blip\.visual_encoder\.cls_token", "pictures.embeddings.class_embedding"),
    (r"blip\.visual_encoder\.pos_embed", "pictures.embeddings.position_embedding"),
    (r"blip\.visual_encoder\.patch_embed\.proj\.", "pictures.embeddings.patch_embedding."),
    (r"blip\.visual_encoder\.norm\.", "pictures.post_layernorm."),
    (r"blip\.text_encoder\.", "texts."),
    (r"mlp\.layers\.", "head."),
)
"""Beginnings of the file's names, and of those of transformers."""
_LAYERS = "pictures.encoder.layers"
_UNUSED = re.compile(
    r"blip\.(vision_proj|text_proj)\.|blip\.text_encoder\.embeddings\.position_ids"
)


def open_image_reward(
    path: str,
    *,
    uri: str,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 16,
) -> BlipScorer:
    """Open the released file: by its path, its folder, or a repository of the hub.

    The vocabulary is read from the file's folder, else from the hub. `dtype` None is float32; the
    head always is. Raises `EngineSetupError`.
    """
    check_options(batch_size, dtype)
    file = RELEASE.find(path)
    model = _built(file)
    dtype = dtype or "float32"
    placed(model, device or default_device(), str(file))
    for tower in (model["pictures"], model["texts"]):
        tower.to(torch_type(dtype))
    tokenizer = RELEASE.read_tokenizer(file)
    side = int(model["pictures"].config.image_size)

    def prepare(images: Sequence[Image.Image]) -> Tensor:
        return normalised([middle_square(image, side) for image in images])

    def head(states: Tensor) -> Tensor:
        scores: Tensor = (model["head"](states.float()).squeeze(-1) - MEAN) / DEVIATION
        return scores

    towers = Towers(model["pictures"], model["texts"], head, tokenizer, LIMIT, prepare)
    return BlipScorer(towers, RELEASE.card(uri, file, tokenizer, dtype), batch_size)


def _built(file: Path) -> Any:
    """Build the towers and the head in the sizes that the file's shapes say, and fill them."""
    from torch import nn
    from transformers import BlipTextModel, BlipVisionModel

    weights = {
        _renamed(name): tensor
        for name, tensor in RELEASE.weights(file).items()
        if not _UNUSED.match(name)
    }
    try:
        vision, text = _configs(weights)
        head = stacked(weights, "head.")
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise RELEASE.foreign(file, f"{error} is not in it") from error
    with quiet():
        model = nn.ModuleDict(
            {
                "pictures": BlipVisionModel(vision),
                "texts": BlipTextModel(text, add_pooling_layer=False),
                "head": head,
            }
        )
    RELEASE.fill(model, weights, file)
    return model


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        if (match := re.match(theirs, name)) is not None:
            return match.expand(ours).replace("LAYERS", _LAYERS) + name[match.end() :]
    return name


def _configs(weights: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """Read both towers' sizes."""
    from transformers import BlipTextConfig, BlipVisionConfig

    patches = weights["pictures.embeddings.patch_embedding.weight"]
    width, patch = int(patches.shape[0]), int(patches.shape[-1])
    grid = isqrt(int(weights["pictures.embeddings.position_embedding"].shape[1]) - 1)
    vision = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=int(weights["pictures.encoder.layers.0.mlp.fc1.weight"].shape[0]),
        num_hidden_layers=_depth(weights, r"pictures\.encoder\.layers\.(\d+)\."),
        num_attention_heads=width // HEAD_WIDTH,
        image_size=grid * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    words = weights["texts.embeddings.word_embeddings.weight"]
    text = BlipTextConfig(
        vocab_size=int(words.shape[0]),
        hidden_size=int(words.shape[1]),
        encoder_hidden_size=width,
        intermediate_size=int(weights["texts.encoder.layer.0.intermediate.dense.weight"].shape[0]),
        num_hidden_layers=_depth(weights, r"texts\.encoder\.layer\.(\d+)\."),
        num_attention_heads=int(words.shape[1]) // HEAD_WIDTH,
        max_position_embeddings=int(
            weights["texts.embeddings.position_embeddings.weight"].shape[0]
        ),
        layer_norm_eps=1e-12,
    )
    return vision, text


def _depth(weights: Mapping[str, Tensor], pattern: str) -> int:
    """Count the layers whose names fit."""
    return len({match[1] for name in weights if (match := re.match(pattern, name))})
