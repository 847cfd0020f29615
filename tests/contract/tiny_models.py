"""Tiny random-weight models of real families, built from nothing and saved to a folder.

Each has the family's own architecture, processor, control tokens and a chat template in its
style. Their answers mean nothing, but they give them where they are asked (`answering.py`); their
plumbing is the real one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CORPUS = [
    "Statement: the picture shows a red square. Answer yes or no, Yes or No. YES NO",
    "Compare the picture with one statement and say what it shows. User: Assistant: ",
    '{"rationale":"a b c","rating":"Yes"} very good bad A B C 1 2 3 4 5 6 7 8 9 0',
    "A thought.\n\n",  # so that an empty line is one token, as in most vocabularies
]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}IMAGE{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
IDEFICS = (
    "<|im_start|>{% for m in messages %}{{ m.role | capitalize }}"
    "{% if m.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}"
    "{% elif c.type == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
LLAVA = (
    "{% for m in messages %}{{ m.role.upper() + ': ' }}"
    "{% for c in m.content | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for c in m.content | selectattr('type', 'equalto', 'text') %}{{ c.text + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<start_of_image>{% else %}{{ c.text | trim }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def build_tokenizer(
    special: list[str], *, eos: str, template: str, bos: str | None = None, **named: str
) -> Any:
    """Train a byte-level BPE on a few sentences; digits and bytes stay single tokens.

    With `bos` the tokenizer puts that token first, as those of LLaVA and Gemma do.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r"[\r\n]+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", *special],
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS * 4, trainer)
    if bos is not None:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token=bos,
        eos_token=eos,
        extra_special_tokens=named or None,
    )
    tokenizer.chat_template = template
    return tokenizer


def text_config(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings that every tiny language model here shares.

    Heads of 32, the smallest that vLLM's attention on CPUs has.
    """
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "initializer_range": 0.3,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
        **more,
    }


VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}


def build_idefics3(kind: str = "idefics3") -> tuple[Any, Any]:
    """Idefics3 or its twin SmolVLM: pictures cut into tiles of 32 pixels, plus a global one."""
    import transformers as t

    rows = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    special = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>"]
    tokenizer = build_tokenizer(
        [*special, "<image>", *rows], eos="<end_of_utterance>", template=IDEFICS
    )
    names = {"idefics3": "Idefics3", "smolvlm": "SmolVLM"}
    config = getattr(t, f"{names[kind]}Config")(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    images = getattr(t, f"{names[kind]}ImageProcessorPil")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    extra = [] if kind == "idefics3" else [video_part()]
    processor = getattr(t, f"{names[kind]}Processor")(
        images, tokenizer, *extra, image_seq_len=4, chat_template=IDEFICS
    )
    return config, processor


def build_smolvlm() -> tuple[Any, Any]:
    """SmolVLM2."""
    return build_idefics3("smolvlm")


def build_llava() -> tuple[Any, Any]:
    """LLaVA 1.5: CLIP vision, roles in plain words."""
    import transformers as t

    tokenizer = build_tokenizer(["<s>", "</s>", "<image>"], bos="<s>", eos="</s>", template=LLAVA)
    config = t.LlavaConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={"model_type": "clip_vision_model", **VISION},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        tie_word_embeddings=False,
    )
    images = t.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = t.LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA,
    )
    return config, processor


def build_qwen2_5_vl() -> tuple[Any, Any]:
    """Qwen2.5-VL: pictures of any size, three-dimensional positions, a thinking switch."""
    import transformers as t

    pads = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    template = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    tokenizer = build_tokenizer(
        ["<|im_start|>", "<|im_end|>", *pads], eos="<|im_end|>", template=template
    )
    ids = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    config = t.Qwen2_5_VLConfig(
        text_config=text_config(tokenizer, rope_parameters=rope),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 64,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 32,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.3,
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    images = t.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    )
    return config, t.Qwen2_5_VLProcessor(images, tokenizer, video_part(), chat_template=template)


def build_internvl() -> tuple[Any, Any]:
    """InternVL: tiles of 32 pixels, a Qwen2 language model."""
    import transformers as t

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    template = CHATML.replace("IMAGE", "<IMG_CONTEXT>\n")
    tokenizer = build_tokenizer(
        ["<|im_start|>", "<|im_end|>", *named.values()],
        eos="<|im_end|>",
        template=template,
        **named,
    )
    config = t.InternVLConfig(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    images = t.GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    processor = t.InternVLProcessor(
        images, tokenizer, video_part(), image_seq_length=4, chat_template=template
    )
    return config, processor


def build_gemma3() -> tuple[Any, Any]:
    """Gemma 3: a family that the engine has no table row for; the template writes `<bos>`."""
    import transformers as t

    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = build_tokenizer(
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", *named.values()],
        bos="<bos>",
        eos="<end_of_turn>",
        template=GEMMA,
        **named,
    )
    for name, token in named.items():
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    config = t.Gemma3Config(
        text_config=text_config(tokenizer, head_dim=32, sliding_window=64),
        vision_config={"model_type": "siglip_vision_model", **VISION},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        tie_word_embeddings=False,
    )
    images = t.Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    processor = t.Gemma3Processor(images, tokenizer, chat_template=GEMMA, image_seq_length=4)
    return config, processor


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "idefics3": build_idefics3,
    "smolvlm": build_smolvlm,
    "llava": build_llava,
    "qwen2_5_vl": build_qwen2_5_vl,
    "internvl": build_internvl,
    "gemma3": build_gemma3,
}


@contextmanager
def pictures_only() -> Iterator[None]:
    """Let processors be built and loaded whose video part needs torchvision or num2words.

    There is no torchvision for a CPU build of torch on the ordinary index, and nothing here shows
    a video; so an inert object stands where the video processor would.
    """
    from transformers import processing_utils
    from transformers.models.smolvlm import processing_smolvlm

    kinds = processing_utils.MODALITY_TO_BASE_CLASS_MAPPING
    loaders = processing_utils.MODALITY_TO_AUTOPROCESSOR_MAPPING._MAPPING_NAMES
    with (
        patch.dict(kinds, video_processor="ImageProcessingMixin"),
        patch.dict(loaders, video_processor=(__name__, "NoVideoLoader")),
        patch.object(processing_smolvlm, "num2words", str),
    ):
        yield


def video_part() -> Any:
    """Stand in for a video processor."""
    from transformers import ImageProcessingMixin

    class NoVideo(ImageProcessingMixin):
        merge_size = 2

        def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
            pass

    return NoVideo()


class NoVideoLoader:
    """Takes the place of `AutoVideoProcessor`."""

    @staticmethod
    def from_pretrained(*args: Any, **kwargs: Any) -> Any:
        return video_part()


def build_model(family: str, folder: Path) -> Path:
    """Save one tiny model with its processor; the same weights on every run."""
    save_model(*BUILDERS[family](), folder)
    if family == "llava":
        name_like_the_hub(folder / "model.safetensors")
    return folder


def save_model(
    config: Any,
    processor: Any,
    folder: Path,
    *,
    ends: Sequence[str] = (),
    opening: str | None = "",
) -> Path:
    """Save random weights, always the same, that answer where they are asked.

    `ends` are tokens that end a turn beside the tokenizer's own, `opening` is what the model writes
    before an answer; with None its weights are left as they fell.
    """
    import torch
    from answering import answer_where_asked
    from transformers import AutoModelForImageTextToText, GenerationConfig

    torch.manual_seed(7)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
    if opening is not None:
        answer_where_asked(model, processor, opening)
    tokenizer = processor.tokenizer
    # What a checkpoint may bring along; a judge must not be moved by any of it.
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.7,
        repetition_penalty=3.0,
        eos_token_id=[tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(list(ends))],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_text_model(folder: Path) -> Path:
    """Save a tiny Qwen2 that takes text alone, with a template that takes plain strings alone."""
    import torch
    from answering import answer_where_asked
    from transformers import Qwen2Config, Qwen2ForCausalLM

    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer = build_tokenizer(["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=template)
    torch.manual_seed(7)
    config = Qwen2Config(**text_config(tokenizer, max_position_embeddings=32768))
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
    answer_where_asked(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def name_like_the_hub(file: Path) -> None:
    """Name LLaVA's vision weights as released checkpoints do; transformers reads both."""
    from safetensors.torch import load_file, save_file

    old, new = "vision_tower.", "vision_tower.vision_model."
    weights = {
        name if new in name else name.replace(old, new): weight
        for name, weight in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})
