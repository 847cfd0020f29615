"""Tiny random dual encoders and zero-shot detectors, each saved with its family's processor.

As in `tiny_models`: the architecture, the kind of tokenizer and the image processing are the real
ones, the weights mean nothing. Every letter is a token of its own, so lengths are easy to count.
"""

from __future__ import annotations

import atexit
import string
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
VISION = {**TOWER, "image_size": 32, "patch_size": 8}
CLIP_LIMIT, SIGLIP_LIMIT, OWL_LIMIT, DINO_LIMIT = 77, 64, 16, 24


def clip_tokenizer(limit: int, **marks: str) -> Any:
    """CLIP's tokenizer without merges; as in CLIP, the end token has the highest id."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=limit, **marks)


def gemma_tokenizer(kind: str) -> Any:
    """Gemma's tokenizer as SigLIP 2 checkpoints carry it: no start token, an end token."""
    import transformers as t

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁"]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += string.ascii_letters
    vocab = {token: i for i, token in enumerate(tokens)}
    return getattr(t, kind)(
        vocab=vocab, merges=[], add_bos_token=False, add_eos_token=True, padding_side="right"
    )


def bert_tokenizer() -> Any:
    """BERT's tokenizer: lower case, one letter a token."""
    from transformers import BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?"]
    tokens += string.ascii_lowercase
    tokens += [f"##{letter}" for letter in string.ascii_lowercase]
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)})


def build_clip() -> tuple[Any, Any]:
    """CLIP: shortest edge resized, the middle cut out."""
    import transformers as t

    tokenizer = clip_tokenizer(CLIP_LIMIT)
    config = t.CLIPConfig(
        text_config={
            **TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": CLIP_LIMIT,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config=VISION,
        projection_dim=24,
    )
    images = t.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return config, t.CLIPProcessor(images, tokenizer)


def siglip_text(tokenizer: Any) -> dict[str, Any]:
    """The text side that both SigLIPs share."""
    return {
        **TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": SIGLIP_LIMIT,
        "projection_size": 32,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def build_siglip() -> tuple[Any, Any]:
    """SigLIP, and SigLIP 2 at a fixed size: the same class with Gemma's tokenizer."""
    import transformers as t

    tokenizer = gemma_tokenizer("GemmaTokenizer")
    config = t.SiglipConfig(text_config=siglip_text(tokenizer), vision_config=VISION)
    images = t.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return config, t.SiglipProcessor(images, tokenizer)


def build_siglip2() -> tuple[Any, Any]:
    """SigLIP 2 NaFlex: pictures keep their shape, cut into at most 16 patches."""
    import transformers as t

    tokenizer = gemma_tokenizer("Siglip2Tokenizer")
    config = t.Siglip2Config(
        text_config=siglip_text(tokenizer),
        vision_config={**TOWER, "patch_size": 8, "num_patches": 16},
    )
    images = t.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return config, t.Siglip2Processor(images, tokenizer)


def build_owl(kind: str = "OwlViT") -> tuple[Any, Any]:
    """OWL-ViT or OWLv2: one box per patch, queries of at most 16 tokens."""
    import transformers as t

    tokenizer = clip_tokenizer(OWL_LIMIT, pad_token="!")
    config = getattr(t, f"{kind}Config")(
        text_config={
            **TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": OWL_LIMIT,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**VISION, "image_size": 64},
        projection_dim=TOWER["hidden_size"],  # as in every checkpoint
    )
    images = getattr(t, f"{kind}ImageProcessorPil")(size={"height": 64, "width": 64})
    return config, getattr(t, f"{kind}Processor")(images, tokenizer)


def build_owlv2() -> tuple[Any, Any]:
    """OWLv2: pads to a square first."""
    return build_owl("Owlv2")


def build_grounding_dino() -> tuple[Any, Any]:
    """Grounding DINO: Swin and BERT, deformable attention, pictures of any shape."""
    import transformers as t

    tokenizer = bert_tokenizer()
    config = t.GroundingDinoConfig(
        backbone_config=t.SwinConfig(
            image_size=64,
            patch_size=2,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_indices=[2, 3, 4],
        ),
        text_config={
            **TOWER,
            "model_type": "bert",
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
        },
        d_model=32,
        num_queries=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_text_len=DINO_LIMIT,
        disable_custom_kernels=True,
    )
    images = t.GroundingDinoImageProcessorPil(size={"shortest_edge": 48, "longest_edge": 96})
    return config, t.GroundingDinoProcessor(images, tokenizer)


ENCODERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "clip": build_clip,
    "siglip": build_siglip,
    "siglip2": build_siglip2,
}
DETECTORS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "owlvit": build_owl,
    "owlv2": build_owlv2,
    "grounding_dino": build_grounding_dino,
}


@cache
def folder_of(family: str) -> Path:
    """The folder of one tiny encoder or detector, built on first use and the same on every run.

    Tests that change files work on a copy. It goes when the process ends.
    """
    import torch
    from transformers import AutoModel, AutoModelForZeroShotObjectDetection

    folder = Path(mkdtemp(prefix=f"{family}-"))
    atexit.register(rmtree, folder)
    torch.manual_seed(7)
    auto = AutoModel if family in ENCODERS else AutoModelForZeroShotObjectDetection
    config, processor = {**ENCODERS, **DETECTORS}[family]()
    model = auto.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@contextmanager
def plain_resize() -> Iterator[None]:
    """Let OWLv2 run without scipy: PIL resizes in its place, where pixels go stays the same."""
    if find_spec("scipy") is not None:
        yield
        return
    from transformers import Owlv2ImageProcessorPil
    from transformers.image_processing_backends import PilBackend
    from transformers.image_utils import PILImageResampling

    def resize(self: Any, image: Any, size: Any, *_: Any) -> Any:
        return PilBackend.resize(self, image, size, PILImageResampling.BILINEAR)

    with patch.object(Owlv2ImageProcessorPil, "resize", resize):
        yield
