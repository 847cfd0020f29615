"""The families that people run late in 2026, as tiny models with random weights.

As in `tiny_models`: architecture, processor, control tokens and the structure of the template are
the real ones. Most of their processors need torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import families_chatml as chatml
import families_others as others
from family_templates import IMAGE_AFTER_TEXT, QWEN_MARK, STRINGS_ONLY
from tiny_models import save_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Family:
    """How one family is built, and what an engine has to make of it."""

    build: Callable[[], tuple[Any, Any]]
    ends: tuple[str, ...] = ()
    """Tokens that end a turn beside the tokenizer's own."""
    opening: str = ""
    """What the model writes of its own before an answer, whatever its template is told."""
    opens: bool = True
    """Whether an engine can be had of it at all."""


def _with_template(build: Callable[[], tuple[Any, Any]], template: str) -> tuple[Any, Any]:
    """The same model under another template."""
    config, processor = build()
    processor.chat_template = processor.tokenizer.chat_template = template
    return config, processor


def _image_after_text() -> tuple[Any, Any]:
    return _with_template(chatml.build_qwen3_vl, IMAGE_AFTER_TEXT.replace("MARK", QWEN_MARK))


_GLM_ENDS = ("<|user|>",)

FAMILIES = {
    "qwen3_vl": Family(chatml.build_qwen3_vl),
    "qwen3_vl_thinking": Family(chatml.build_qwen3_vl_thinking),
    "qwen3_5": Family(chatml.build_qwen3_5),
    "qwen3_8": Family(chatml.build_qwen3_8),
    "gemma4": Family(others.build_gemma4),
    "gemma4_empty_thought": Family(others.build_gemma4_empty_thought),
    "lfm2_vl": Family(chatml.build_lfm2_vl),
    "mistral3": Family(others.build_mistral3),
    "mistral_effort": Family(others.build_mistral_effort),
    "glm4v": Family(others.build_glm4v, _GLM_ENDS, opening="<think></think>"),
    "glm46v": Family(others.build_glm46v, _GLM_ENDS),
    "llava_onevision": Family(chatml.build_llava_onevision),
    "llama4": Family(others.build_llama4),
    "shieldgemma2": Family(others.build_shieldgemma2, opens=False),
    "aya_vision": Family(others.build_aya_vision),
    "ovis2": Family(chatml.build_ovis2),
    "paligemma": Family(others.build_paligemma, opens=False),
    "kimi_k25": Family(others.build_kimi_k25),
    "muse_glimmer": Family(others.build_muse_glimmer, opening=" to=user<|message|>"),
    "minicpmv4_7": Family(chatml.build_minicpmv4_7),
    "strings_only": Family(
        lambda: _with_template(chatml.build_qwen3_vl, STRINGS_ONLY), opens=False
    ),
    "image_after_text": Family(_image_after_text),
}


def build_family(name: str, folder: Path) -> Path:
    """Save one tiny model with its processor; `ImportError` where a library for it is missing."""
    family = FAMILIES[name]
    config, processor = family.build()
    answers = family.opening if family.opens else None
    return save_model(config, processor, folder, ends=family.ends, opening=answers)
