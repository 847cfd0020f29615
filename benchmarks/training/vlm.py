"""The sketch judge's model: an Idefics3 (SmolVLM's architecture) of 4.6 million parameters.

96-pixel pictures, 8-pixel patches, 36 image tokens; a Llama of four layers over a byte-level BPE
vocabulary. Everything is an ordinary Hugging Face model folder: config, safetensors, tokenizer,
processor, chat template.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.sketch.world.scene import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import (
        Idefics3ForConditionalGeneration,
        Idefics3Processor,
        PreTrainedTokenizerFast,
    )

PATCH = 8
"""Pixels per patch side."""
GRID = SIZE // PATCH
"""Patches per picture side."""
IMAGE_TOKENS = (GRID // 2) ** 2
"""Tokens per picture after the connector's 2 x 2 pixel shuffle."""
VOCABULARY = 1024


PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<end_of_utterance>"
IMAGE, AROUND, GLOBAL = "<image>", "<fake_token_around_image>", "<global-img>"
SPECIAL = (PAD, USER, ASSISTANT, END, IMAGE, AROUND, GLOBAL)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|user|>' if message['role'] == 'user' else '<|assistant|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<end_of_utterance>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary; digits stay single: `10` is a sequence of two tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        additional_special_tokens=[USER, ASSISTANT, END, IMAGE, AROUND, GLOBAL],
        model_max_length=2048,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Read the vocabulary of a run or model folder."""
    from transformers import PreTrainedTokenizerFast

    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """The ids of the special tokens."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return {token: vocabulary[token] for token in SPECIAL}


def build_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """Make the model with random weights (torch's global seed)."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.llama.configuration_llama import LlamaConfig

    ids = special_ids(tokenizer)
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
        bos_token_id=ids[USER],
        eos_token_id=ids[END],
    )
    vision = Idefics3VisionConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
    )
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=2,
        image_token_id=ids[IMAGE],
        pad_token_id=ids[PAD],
        tie_word_embeddings=True,
    )
    return Idefics3ForConditionalGeneration(config)


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """Make the processor: squares every picture to 96 pixels, no splitting, values in [-1, 1]."""
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    images = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        size={"longest_edge": SIZE},
        max_image_size={"longest_edge": SIZE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return Idefics3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        image_seq_len=IMAGE_TOKENS,
        chat_template=CHAT_TEMPLATE,
    )


def save(
    model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the model folder in bfloat16."""
    model.bfloat16().save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
