"""The two small models beside the sketch judge: a SigLIP for relevance, an OWL-ViT for regions.

Both see 96-pixel pictures in 8-pixel patches and read words, not characters: the vocabulary is
that of the grammar, in lower case. Everything is an ordinary Hugging Face model folder.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.training.vlm import PATCH
from safejudge.sketch.drawing.objects import WORDS
from safejudge.sketch.world.scene import (
    SIZE,
)
from safejudge.sketch.world.statements import grammar

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import (
        OwlViTForObjectDetection,
        OwlViTProcessor,
        PreTrainedTokenizerFast,
        SiglipModel,
        SiglipProcessor,
    )


TEXT_TOKENS = 48
"""Words and signs of a rule that the encoder holds."""
QUERY_TOKENS = 6
"""Words of an object's name, with the marks around it."""

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<start>", "<end>"
_JOINING = "either or and unless with in the dressed as wearing , . ;"


# --- words and where they are -------------------------------------------------------------------


# --- models -------------------------------------------------------------------------------------


@cache
def vocabulary() -> tuple[str, ...]:
    """All words of the grammar and of the detector, and the marks; the end mark is last.

    OWL-ViT reads a text at its highest token.
    """
    texts = [*grammar(), *WORDS, _JOINING]
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    return (PAD, UNKNOWN, START, *sorted(words), END)


def build_tokenizer(longest: int) -> PreTrainedTokenizerFast:
    """Make the word tokenizer: lower case, one token per word or sign, marks around the text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: index for index, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(mark, ids[mark]) for mark in (START, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, bos_token=START,
        eos_token=END, padding_side="right", model_max_length=longest,
    )  # fmt: skip


_PICTURE = {"image_size": SIZE, "patch_size": PATCH, "num_attention_heads": 4}
_WIDTH = 192
"""Features of a patch in the judge's vision tower, which the encoder begins with."""


def build_encoder() -> SiglipModel:
    """Make the SigLIP with random weights (torch's global seed)."""
    from transformers import SiglipConfig, SiglipModel

    marks = {word: index for index, word in enumerate(vocabulary())}
    vision = {
        **_PICTURE, "hidden_size": _WIDTH, "intermediate_size": 512, "num_hidden_layers": 4,
    }  # fmt: skip
    text = {
        "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 256, "projection_size": _WIDTH,
        "vocab_size": len(marks), "max_position_embeddings": TEXT_TOKENS,
        "pad_token_id": marks[PAD], "bos_token_id": marks[START], "eos_token_id": marks[END],
    }  # fmt: skip
    return SiglipModel(SiglipConfig(text_config=text, vision_config=vision))


def take_tower(encoder: SiglipModel, judge: Path) -> None:
    """Begin with the lower layers of a judge's vision tower (a model folder); shapes are alike."""
    from safetensors.torch import load_file

    weights, mark = load_file(judge / "model.safetensors"), "model.vision_model."
    tower = encoder.vision_model.state_dict()
    shared = {
        name: weights[mark + name].to(weight.dtype)
        for name, weight in tower.items()
        if mark + name in weights
    }
    encoder.vision_model.load_state_dict(tower | shared)


def build_encoder_processor() -> SiglipProcessor:
    """Make the encoder's processor; values in [-1, 1]."""
    from transformers import SiglipImageProcessorPil, SiglipProcessor

    images = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    return SiglipProcessor(images, build_tokenizer(TEXT_TOKENS))


def build_detector() -> OwlViTForObjectDetection:
    """Make the OWL-ViT with random weights (torch's global seed)."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection

    marks = {word: index for index, word in enumerate(vocabulary())}
    text = {
        "hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4,
        "intermediate_size": 128, "vocab_size": len(marks),
        "max_position_embeddings": QUERY_TOKENS,
        "pad_token_id": marks[PAD], "bos_token_id": marks[START], "eos_token_id": marks[END],
    }  # fmt: skip
    vision = {
        **_PICTURE, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4,
    }  # fmt: skip
    config = OwlViTConfig(text_config=text, vision_config=vision, projection_dim=128)
    return OwlViTForObjectDetection(config)


def build_detector_processor() -> OwlViTProcessor:
    """Make the detector's processor; values in [-1, 1]."""
    from transformers import OwlViTImageProcessorPil, OwlViTProcessor

    images = OwlViTImageProcessorPil(
        size={"height": SIZE, "width": SIZE}, do_center_crop=False,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    return OwlViTProcessor(images, build_tokenizer(QUERY_TOKENS))


def save(
    model: SiglipModel | OwlViTForObjectDetection,
    processor: SiglipProcessor | OwlViTProcessor,
    folder: Path,
) -> None:
    """Write the model folder in bfloat16."""
    model.bfloat16().save_pretrained(folder)
    processor.save_pretrained(folder)
