"""Tiny models whose turns are written in ChatML; see `families`."""

from __future__ import annotations

from typing import Any

from family_parts import GRID_SIZE, TURNS, image_processor, video_processor
from family_templates import (
    LFM2_VL,
    MINICPM,
    ONEVISION,
    OVIS2,
    QWEN3_5,
    QWEN3_8,
    QWEN3_VL,
    QWEN3_VL_THINKING,
)
from tiny_models import VISION, build_tokenizer, text_config

_QWEN_MARKS = [*TURNS, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def _qwen_parts(
    template: str, thoughts: list[str] | None = None
) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """Tokenizer, processor, token ids and vision settings of Qwen3-VL and what follows it."""
    import transformers as t

    tokenizer = build_tokenizer(
        [*_QWEN_MARKS, *(thoughts or [])], eos="<|im_end|>", template=template
    )
    ids = tokenizer.convert_tokens_to_ids
    named = {
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
    }
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4,
        "out_hidden_size": 64, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "num_position_embeddings": 64, "initializer_range": 0.3,
    }  # fmt: skip
    images = image_processor(
        "Qwen2VLImageProcessor", patch_size=8, merge_size=2, size=dict(GRID_SIZE)
    )
    video = video_processor("Qwen3VLVideoProcessor", patch_size=8, merge_size=2)
    processor = t.Qwen3VLProcessor(images, tokenizer, video, chat_template=template)
    return tokenizer, processor, named, vision


def build_qwen3_vl(template: str = QWEN3_VL) -> tuple[Any, Any]:
    """Qwen3-VL: interleaved three-dimensional positions, deep vision features."""
    import transformers as t

    tokenizer, processor, named, vision = _qwen_parts(template, ["<think>", "</think>"])
    rope = {
        "rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True,
        "rope_theta": 10000.0,
    }  # fmt: skip
    config = t.Qwen3VLConfig(
        text_config=text_config(tokenizer, head_dim=32, rope_parameters=rope),
        vision_config={**vision, "deepstack_visual_indexes": [0]},
        tie_word_embeddings=False,
        **named,
    )
    return config, processor


def build_qwen3_vl_thinking() -> tuple[Any, Any]:
    """Qwen3-VL-Thinking: the same, with an opened thought."""
    return build_qwen3_vl(QWEN3_VL_THINKING)


def build_qwen3_5(template: str = QWEN3_5) -> tuple[Any, Any]:
    """Qwen3.5, natively multimodal: three layers of linear attention to one of full."""
    import transformers as t

    tokenizer, processor, named, vision = _qwen_parts(template, ["<think>", "</think>"])
    rope = {
        "rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True,
        "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
    }  # fmt: skip
    text = text_config(
        tokenizer,
        num_hidden_layers=4,
        head_dim=32,
        rope_parameters=rope,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    config = t.Qwen3_5Config(
        text_config=text, vision_config=vision, tie_word_embeddings=False, **named
    )
    return config, processor


def build_qwen3_8() -> tuple[Any, Any]:
    """Qwen3.8's template on the same architecture."""
    return build_qwen3_5(QWEN3_8)


def build_lfm2_vl() -> tuple[Any, Any]:
    """LFM2-VL: SigLIP 2 with patches of any number, short convolutions between attention."""
    import transformers as t

    marks = ["<|startoftext|>", *TURNS, "<image>", "<|image_start|>", "<|image_end|>"]
    marks += ["<|img_thumbnail|>"]
    tiles = [f"<|img_row_{i}_col_{j}|>" for i in range(1, 5) for j in range(1, 5)]
    tokenizer = build_tokenizer(
        [*marks, *tiles], bos="<|startoftext|>", eos="<|im_end|>", template=LFM2_VL
    )
    config = t.Lfm2VlConfig(
        text_config={
            "model_type": "lfm2",
            **text_config(
                tokenizer, layer_types=["conv", "full_attention"], block_ff_dim=96,
                conv_dim=64, conv_dim_out=64,  # vLLM reads these
            ),
        },
        vision_config={
            "model_type": "siglip2_vision_model", "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8, "num_patches": 16,
            "vision_use_head": False,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    images = t.Lfm2VlImageProcessor(
        encoder_patch_size=8, tile_size=32, min_image_tokens=4, max_image_tokens=16,
        max_num_patches=64, max_tiles=4, size={"height": 32, "width": 32},
    )  # fmt: skip
    return config, t.Lfm2VlProcessor(images, tokenizer, chat_template=LFM2_VL)


def build_llava_onevision() -> tuple[Any, Any]:
    """LLaVA-OneVision: a grid of tiles for one picture, one tile each for several."""
    import transformers as t

    tokenizer = build_tokenizer(
        [*TURNS, "<image>", "<video>"], eos="<|im_end|>", template=ONEVISION
    )
    ids = tokenizer.convert_tokens_to_ids
    grid = [[32, 32], [32, 64], [64, 32], [64, 64]]
    config = t.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False},
        image_token_index=ids("<image>"), video_token_index=ids("<video>"),
        image_grid_pinpoints=grid, tie_word_embeddings=False,
    )  # fmt: skip
    images = image_processor(
        "LlavaOnevisionImageProcessor", size={"height": 32, "width": 32}, image_grid_pinpoints=grid
    )
    processor = t.LlavaOnevisionProcessor(
        images, tokenizer, video_processor("LlavaOnevisionVideoProcessor"), num_image_tokens=16,
        vision_feature_select_strategy="full", chat_template=ONEVISION,
    )  # fmt: skip
    return config, processor


def build_ovis2() -> tuple[Any, Any]:
    """Ovis2: a picture becomes words of a visual vocabulary, in a grid with its own marks."""
    import transformers as t

    marks = ["<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = build_tokenizer([*TURNS, "<image>", *marks], eos="<|im_end|>", template=OVIS2)
    ids = tokenizer.convert_tokens_to_ids
    config = t.Ovis2Config(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 32, "patch_size": 8, "vocab_size": 64,
            "hidden_stride": 2,
        },
        image_token_id=ids("<IMG_ATOM>"), visual_indicator_token_ids=[ids(m) for m in marks[1:]],
        vocab_size=len(tokenizer), hidden_size=64, tie_word_embeddings=False,
    )  # fmt: skip
    images = image_processor(
        "Ovis2ImageProcessor", size={"height": 32, "width": 32}, crop_to_patches=True,
        min_patches=1, max_patches=4,
    )  # fmt: skip
    return config, t.Ovis2Processor(images, tokenizer, chat_template=OVIS2, image_seq_length=4)


def build_minicpmv4_7() -> tuple[Any, Any]:
    """MiniCPM-V 4.7: slices of a picture, numbered pictures, Qwen3.5 below."""
    import transformers as t

    named = {
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>",
        "image_start_token": "<image>", "image_end_token": "</image>",
        "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    }  # fmt: skip
    tokenizer = build_tokenizer(
        [*TURNS, *named.values(), "<think>", "</think>"],
        eos="<|im_end|>",
        template=MINICPM,
        **named,
    )
    ids = tokenizer.convert_tokens_to_ids
    for name, token in named.items():
        setattr(tokenizer, f"{name}_id", ids(token))
    rope = {
        "rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True,
        "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
    }  # fmt: skip
    text = text_config(
        tokenizer, num_hidden_layers=4, head_dim=32, rope_parameters=rope, linear_key_head_dim=128,
        linear_value_head_dim=128, linear_num_key_heads=2, linear_num_value_heads=4,
    )  # fmt: skip
    config = t.MiniCPMV4_7Config(
        text_config={"model_type": "qwen3_5_text", **text},
        vision_config={**VISION, "image_size": 64, "num_hidden_layers": 3},
        insert_layer_id=1, image_size=64,
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        image_start_id=ids("<image>"), image_end_id=ids("</image>"),
        slice_start_id=ids("<slice>"), slice_end_id=ids("</slice>"),
        newline_id=tokenizer("\n")["input_ids"][0], tie_word_embeddings=False,
    )  # fmt: skip
    images = image_processor(
        "MiniCPMV4_6ImageProcessor", patch_size=8, scale_resolution=64, max_slice_nums=4
    )
    video = video_processor("MiniCPMV4_6VideoProcessor", patch_size=8, scale_resolution=64)
    return config, t.MiniCPMV4_7Processor(images, video, tokenizer, chat_template=MINICPM)
