"""Tiny models whose turns have marks of their own; see `families`."""

from __future__ import annotations

from typing import Any

from family_parts import GRID_SIZE, image_processor, video_processor
from family_templates import (
    AYA,
    GEMMA4,
    GEMMA4_EMPTY_THOUGHT,
    GLM4V,
    GLM46V,
    KIMI,
    LLAMA4,
    MISTRAL3,
    MISTRAL_EFFORT,
    MUSE,
    SHIELDGEMMA2,
)
from tiny_models import VISION, build_tokenizer, text_config


def build_gemma4(template: str = GEMMA4) -> tuple[Any, Any]:
    """Gemma 4: vision tokens see each other, shared keys, embeddings per layer."""
    import transformers as t

    named = {
        "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>",
        "audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>",
    }  # fmt: skip
    marks = ["<bos>", "<eos>", "<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>"]
    tokenizer = build_tokenizer(
        [*marks, *named.values(), "<|video|>"], bos="<bos>", eos="<turn|>", template=template,
        **named,
    )  # fmt: skip
    for name, token in named.items():
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    images = image_processor("Gemma4ImageProcessor", patch_size=8, pooling_kernel_size=2,
                             max_soft_tokens=70)  # fmt: skip
    processor = t.Gemma4Processor(
        t.Gemma4AudioFeatureExtractor(), images, tokenizer,
        video_processor("Gemma4VideoProcessor", patch_size=8, pooling_kernel_size=2),
        chat_template=template, image_seq_length=70,
    )  # fmt: skip
    ids = tokenizer.convert_tokens_to_ids
    text = text_config(
        tokenizer, head_dim=32, global_head_dim=32, sliding_window=64,
        vocab_size_per_layer_input=len(tokenizer), hidden_size_per_layer_input=8,
        layer_types=["sliding_attention", "full_attention"], bos_token_id=ids("<bos>"),
        use_bidirectional_attention="vision",
    )  # fmt: skip
    config = t.Gemma4Config(
        text_config=text,
        vision_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "patch_size": 8,
            "pooling_kernel_size": 2, "position_embedding_size": 512, "initializer_range": 0.3,
            "default_output_length": 70,
        },
        audio_config=None,
        image_token_id=ids("<|image|>"), boi_token_id=ids("<|image>"), eoi_token_id=ids("<image|>"),
        video_token_id=ids("<|video|>"), audio_token_id=ids("<|audio|>"),
        boa_token_id=ids("<|audio>"), eoa_token_index=ids("<audio|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    return config, processor


def build_gemma4_empty_thought() -> tuple[Any, Any]:
    """Gemma 4 as its larger sizes are prompted."""
    return build_gemma4(GEMMA4_EMPTY_THOUGHT)


def build_mistral3(template: str = MISTRAL3) -> tuple[Any, Any]:
    """Mistral 3 with Pixtral's vision: rows of tokens with a break after each."""
    import transformers as t

    marks = ["<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]"]
    marks += ["[IMG_BREAK]", "[IMG_END]", "[MODEL_SETTINGS]", "[/MODEL_SETTINGS]"]
    tokenizer = build_tokenizer(marks, bos="<s>", eos="</s>", template=template)
    config = t.Mistral3Config(
        text_config={"model_type": "mistral", **text_config(tokenizer, head_dim=32)},
        vision_config={"model_type": "pixtral", **VISION, "image_size": 64},
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        tie_word_embeddings=False,
    )
    images = image_processor(
        "PixtralImageProcessor", size={"longest_edge": 64}, patch_size={"height": 16, "width": 16}
    )
    processor = t.PixtralProcessor(
        images, tokenizer, patch_size=8, spatial_merge_size=2, chat_template=template
    )
    return config, processor


def build_mistral_effort() -> tuple[Any, Any]:
    """Mistral's later template on the same architecture."""
    return build_mistral3(MISTRAL_EFFORT)


def build_glm4v(kind: str = "Glm4v", template: str = GLM4V) -> tuple[Any, Any]:
    """GLM-4.1V: a turn is ended by the role token of the next."""
    import transformers as t

    marks = ["[gMASK]", "<sop>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>"]
    marks += ["<|begin_of_image|>", "<|image|>", "<|end_of_image|>", "<think>", "</think>"]
    marks += ["<|begin_of_video|>", "<|video|>", "<|end_of_video|>", "/nothink"]
    tokenizer = build_tokenizer(marks, eos="<|endoftext|>", template=template)
    ids = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5}  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "image_size": 32,
        "out_hidden_size": 64, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    config = getattr(t, f"{kind}Config")(
        text_config=text_config(tokenizer, rope_parameters=rope),
        vision_config=vision,
        image_token_id=ids("<|image|>"), video_token_id=ids("<|video|>"),
        image_start_token_id=ids("<|begin_of_image|>"), image_end_token_id=ids("<|end_of_image|>"),
        video_start_token_id=ids("<|begin_of_video|>"), video_end_token_id=ids("<|end_of_video|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    images = image_processor(
        f"{kind}ImageProcessor", patch_size=8, merge_size=2, size=dict(GRID_SIZE)
    )
    video = video_processor(f"{kind}VideoProcessor", patch_size=8, merge_size=2)
    processor = getattr(t, f"{kind}Processor")(images, tokenizer, video, chat_template=template)
    return config, processor


def build_glm46v() -> tuple[Any, Any]:
    """GLM-4.6V: a thinking switch that also writes into the user's turn."""
    return build_glm4v("Glm46V", GLM46V)


def build_llama4() -> tuple[Any, Any]:
    """Llama 4: mixture of experts, chunked attention, tiles with separators."""
    import transformers as t

    marks = ["<|begin_of_text|>", "<|eot|>", "<|header_start|>", "<|header_end|>", "<|image|>"]
    marks += ["<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>"]
    marks += ["<|tile_y_separator|>"]
    tokenizer = build_tokenizer(marks, bos="<|begin_of_text|>", eos="<|eot|>", template=LLAMA4)
    ids = tokenizer.convert_tokens_to_ids
    config = t.Llama4Config(
        text_config=text_config(
            tokenizer, head_dim=32, intermediate_size_mlp=96, num_local_experts=2,
            attention_chunk_size=128, no_rope_layers=[1, 0],
        ),
        vision_config={
            "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 32, "patch_size": 8, "vision_output_dim": 32,
            "projector_input_dim": 32, "projector_output_dim": 32,
        },
        boi_token_index=ids("<|image_start|>"), eoi_token_index=ids("<|image_end|>"),
        image_token_index=ids("<|patch|>"), tie_word_embeddings=False,
    )  # fmt: skip
    images = t.Llama4ImageProcessor(size={"height": 32, "width": 32}, max_patches=4)
    processor = t.Llama4Processor(images, tokenizer, patch_size=8, chat_template=LLAMA4)
    return config, processor


def build_shieldgemma2() -> tuple[Any, Any]:
    """ShieldGemma 2: a processor that writes its own three questions."""
    import transformers as t

    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = build_tokenizer(
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", *named.values()],
        bos="<bos>", eos="<end_of_turn>", template=SHIELDGEMMA2, **named,
    )  # fmt: skip
    ids = tokenizer.convert_tokens_to_ids
    for name, token in named.items():
        setattr(tokenizer, f"{name}_id", ids(token))
    config = t.ShieldGemma2Config(
        text_config=text_config(tokenizer, head_dim=32, sliding_window=64),
        vision_config={"model_type": "siglip_vision_model", **VISION},
        mm_tokens_per_image=4,
        boi_token_index=ids("<start_of_image>"), eoi_token_index=ids("<end_of_image>"),
        image_token_index=ids("<image_soft_token>"), tie_word_embeddings=False,
    )  # fmt: skip
    images = image_processor("Gemma3ImageProcessor", size={"height": 32, "width": 32})
    processor = t.ShieldGemma2Processor(
        images, tokenizer, chat_template=SHIELDGEMMA2, image_seq_length=4
    )
    return config, processor


def build_aya_vision() -> tuple[Any, Any]:
    """Aya Vision: tiles with names in plain words between them."""
    import transformers as t

    marks = ["<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"]
    marks += ["<|CHATBOT_TOKEN|>", "<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>"]
    marks += ["<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL", "TILE"]
    tokenizer = build_tokenizer(marks, bos="<BOS_TOKEN>", eos="<|END_OF_TURN_TOKEN|>", template=AYA)
    config = t.AyaVisionConfig(
        text_config={
            "model_type": "cohere2",
            **text_config(tokenizer, sliding_window=64, head_dim=32, tie_word_embeddings=True),
            "logit_scale": 1.0,  # what it does otherwise is tested by itself
        },
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        tie_word_embeddings=True,  # vLLM ties them whatever this says
    )  # fmt: skip
    images = image_processor(
        "GotOcr2ImageProcessor", size={"height": 32, "width": 32}, crop_to_patches=True,
        min_patches=1, max_patches=4,
    )  # fmt: skip
    processor = t.AyaVisionProcessor(
        images, tokenizer, patch_size=8, img_size=32, downsample_factor=2, chat_template=AYA
    )
    return config, processor


def build_paligemma() -> tuple[Any, Any]:
    """PaliGemma: no conversation at all, the picture always first."""
    import transformers as t

    tokenizer = build_tokenizer(
        ["<bos>", "<eos>", "<image>"], bos="<bos>", eos="<eos>", template="x",
        image_token="<image>",
    )  # fmt: skip
    tokenizer.chat_template = None
    images = image_processor("SiglipImageProcessor", size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = t.PaliGemmaProcessor(images, tokenizer)
    config = t.PaliGemmaConfig(
        text_config={"model_type": "gemma", **text_config(tokenizer, head_dim=32)},
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False,
                       "projection_dim": 64},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), vocab_size=len(tokenizer),
        projection_dim=64, hidden_size=64, tie_word_embeddings=False,
    )  # fmt: skip
    return config, processor


def build_kimi_k25() -> tuple[Any, Any]:
    """Kimi K2.5: latent attention, experts, a switch of another name."""
    import transformers as t

    marks = ["[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>"]
    marks += ["<|media_begin|>", "<|media_content|>", "<|media_pad|>", "<|media_end|>"]
    marks += ["<think>", "</think>", "<|kimi_k25_video_placeholder|>"]
    tokenizer = build_tokenizer(marks, eos="<|im_end|>", template=KIMI)
    ids = tokenizer.convert_tokens_to_ids
    text = text_config(
        tokenizer, moe_intermediate_size=32, n_routed_experts=4, n_shared_experts=1,
        num_experts_per_tok=2, n_group=1, topk_group=1, first_k_dense_replace=1, kv_lora_rank=16,
        q_lora_rank=16, qk_rope_head_dim=16, qk_nope_head_dim=16, v_head_dim=32,
        num_key_value_heads=2,
    )  # fmt: skip
    config = t.Kimi_K25Config(
        text_config={"model_type": "deepseek_v3", **text},
        vision_config={
            "patch_size": 8, "pos_emb_height": 8, "pos_emb_width": 8, "num_attention_heads": 4,
            "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48,
        },
        projection_hidden_size=32,
        image_token_id=ids("<|media_pad|>"), video_token_id=ids("<|kimi_k25_video_placeholder|>"),
        vision_start_token_id=ids("<|media_begin|>"), vision_end_token_id=ids("<|media_end|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    images = t.Kimi_K25ImageProcessor(patch_size=8, merge_size=2)
    video = video_processor("Kimi_K25VideoProcessor", patch_size=8, merge_size=2)
    return config, t.Kimi_K25Processor(images, tokenizer, video, chat_template=KIMI)


def build_muse_glimmer() -> tuple[Any, Any]:
    """Muse Glimmer: what follows the generation prompt is a recipient, not an answer."""
    import transformers as t

    marks = ["<|begin_of_text|>", "<|start|>", "<|message|>", "<|eot|>", "<|eom|>", "<|patch|>"]
    marks += ["<|image_start|>", "<|image_end|>", "<|video|>", "<|vid_start|>", "<|vid_end|>"]
    marks += ["<|vid_frame_separator|>"]
    tokenizer = build_tokenizer(marks, bos="<|begin_of_text|>", eos="<|eot|>", template=MUSE)
    ids = tokenizer.convert_tokens_to_ids
    config = t.MuseGlimmerConfig(
        text_config=text_config(tokenizer, head_dim=32, sliding_window=64),
        vision_config={
            "patch_size": 8, "pos_emb_height": 8, "pos_emb_width": 8, "num_attention_heads": 4,
            "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48,
            "max_position_embeddings": 64,
        },
        out_hidden_size=128, projector_hidden_size=64,
        image_token_id=ids("<|patch|>"), video_token_id=ids("<|video|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    images = t.MuseGlimmerImageProcessor(patch_size=8, merge_size=2)
    video = video_processor("MuseGlimmerVideoProcessor", patch_size=8, merge_size=2)
    return config, t.MuseGlimmerProcessor(images, video, tokenizer, chat_template=MUSE)
