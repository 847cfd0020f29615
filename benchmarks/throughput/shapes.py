"""Models of real shapes with random weights, written to a folder once.

What a question costs depends on a model's shape, not on what its weights say. Shapes are those of
the released checkpoints (SmolVLM-256M without tiling, Qwen2.5-VL-7B, CLIP ViT-B/16, OWLv2 base);
tokenizers are trained on the shipped constitutions, so a statement has about as many tokens as
with a real one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from safejudge.constitution.load import load_constitution
from safejudge.types import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_PAD, _OWL_PAD = "<pad>", "!"
_TEXTS = ("osbench", "default", "unsafebench", "llavaguard", "advertising")
_IDEFICS = (
    "<|im_start|>{% for m in messages %}{{ m.role | capitalize }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == "
    "'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def folder_of(shape: str, root: Path) -> Path:
    """Return the folder of a shape, written on first use; the same weights on every run."""
    folder = root / shape
    if (folder / "done").is_file():
        return folder
    torch.manual_seed(7)
    config, processor, auto = SHAPES[shape]()
    processor.save_pretrained(folder)
    if auto is None:  # too large to write: the engine makes the weights up (load_format="dummy")
        config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
        config.save_pretrained(folder)
    else:
        auto.from_config(config).save_pretrained(folder)
    if hasattr(processor, "chat_template") and processor.chat_template is not None:
        ids = processor.tokenizer
        t.GenerationConfig(
            eos_token_id=ids.eos_token_id, pad_token_id=ids.pad_token_id
        ).save_pretrained(folder)
    (folder / "done").write_text(json.dumps(shape), encoding="utf-8")
    return folder


def _tokenizer(special: Sequence[str], eos: str, template: str) -> Any:
    """Train a byte-level BPE on the statements of the shipped constitutions."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[_PAD, *special],
        show_progress=False,
    )
    rules = [rule for name in _TEXTS for rule in load_constitution(name).rules]
    statements = [leaf.statement for rule in rules for leaf in leaves(rule.condition)]
    answers = ["Yes No yes no YES NO"] * 20
    bpe.train_from_iterator([*statements, *(r.objective for r in rules), *answers], trainer)
    tokenizer = t.PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=_PAD, eos_token=eos)
    tokenizer.chat_template = template
    return tokenizer


def _smolvlm() -> tuple[Any, Any, Any]:
    """SmolVLM-256M: 512 pixels, no tiles, 64 image tokens."""
    rows = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    marks = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>"]
    ids = _tokenizer([*marks, "<image>", *rows], "<end_of_utterance>", _IDEFICS)
    config = t.Idefics3Config(
        text_config={
            "model_type": "llama", "vocab_size": 49280, "hidden_size": 576,
            "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "max_position_embeddings": 8192,
            "pad_token_id": ids.pad_token_id, "eos_token_id": ids.eos_token_id,
        },
        vision_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "image_size": 512, "patch_size": 16,
        },
        image_token_id=ids.convert_tokens_to_ids("<image>"),
        scale_factor=4,
        pad_token_id=ids.pad_token_id,
        tie_word_embeddings=False,
    )  # fmt: skip
    images = t.Idefics3ImageProcessorPil(
        size={"longest_edge": 512}, max_image_size={"longest_edge": 512}, do_image_splitting=False
    )
    processor = t.Idefics3Processor(images, ids, image_seq_len=64, chat_template=_IDEFICS)
    return config, processor, t.AutoModelForImageTextToText


def _qwen() -> tuple[Any, Any, Any]:
    """Qwen2.5-VL-7B."""
    text = {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4,
    }  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip
    config, processor = _qwen_of(152064, [16, 24, 24], text, vision)
    return config, processor, None


def _small_qwen() -> tuple[Any, Any, Any]:
    """The same architecture, small enough for a CPU: for pictures of many tokens."""
    text = {
        "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8,
        "num_attention_heads": 8, "num_key_value_heads": 2,
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 320, "intermediate_size": 960, "num_heads": 4,
        "fullatt_block_indexes": [3],
    }  # fmt: skip
    config, processor = _qwen_of(8192, [8, 12, 12], text, vision)
    return config, processor, t.AutoModelForImageTextToText


def _qwen_of(
    vocabulary: int, sections: Sequence[int], text: dict[str, Any], vision: dict[str, Any]
) -> tuple[Any, Any]:
    """Qwen2.5-VL of these sizes, and its processor."""
    marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    ids = _tokenizer([*marks, "<|video_pad|>"], "<|im_end|>", _CHATML)
    number = ids.convert_tokens_to_ids
    config = t.Qwen2_5_VLConfig(
        text_config={
            **text,
            "vocab_size": vocabulary, "max_position_embeddings": 32768,
            "pad_token_id": ids.pad_token_id, "eos_token_id": ids.eos_token_id,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": list(sections), "rope_theta": 1e6,
            },
        },
        vision_config={
            **vision,
            "out_hidden_size": text["hidden_size"], "patch_size": 14, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "window_size": 112,
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    images = t.Qwen2VLImageProcessor(patch_size=14, merge_size=2)
    video = t.Qwen2VLVideoProcessor()
    return config, t.Qwen2_5_VLProcessor(images, ids, video, chat_template=_CHATML)


def _letters(limit: int, **marks: str) -> Any:
    """Make CLIP's tokenizer without merges: one token a letter."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    return t.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=limit, **marks)


def _text_side(ids: Any, limit: int) -> dict[str, Any]:
    return {
        "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048,
        "num_hidden_layers": 12, "num_attention_heads": 8, "max_position_embeddings": limit,
        "bos_token_id": ids.bos_token_id, "eos_token_id": ids.eos_token_id,
        "pad_token_id": ids.pad_token_id,
    }  # fmt: skip


_VIT_B = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "patch_size": 16,
}  # fmt: skip


def _clip() -> tuple[Any, Any, Any]:
    """CLIP ViT-B/16."""
    ids = _letters(77)
    config = t.CLIPConfig(
        text_config=_text_side(ids, 77),
        vision_config={**_VIT_B, "image_size": 224},
        projection_dim=512,
    )
    return config, t.CLIPProcessor(t.CLIPImageProcessorPil(), ids), t.AutoModel


def _owlv2() -> tuple[Any, Any, Any]:
    """OWLv2 base: 960 pixels."""
    ids = _letters(16, pad_token=_OWL_PAD)
    config = t.Owlv2Config(
        text_config=_text_side(ids, 16),
        vision_config={**_VIT_B, "image_size": 960},
        projection_dim=512,
    )
    images = t.Owlv2ImageProcessorPil(size={"height": 960, "width": 960})
    return config, t.Owlv2Processor(images, ids), t.AutoModelForZeroShotObjectDetection


SHAPES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "smolvlm-256m": _smolvlm,
    "qwen2.5-vl-7b": _qwen,
    "qwen2.5-vl-small": _small_qwen,
    "clip-vit-base-patch16": _clip,
    "owlv2-base-patch16": _owlv2,
}
"""By name: config, processor, and the class that makes weights (None: they are made up on load)."""
