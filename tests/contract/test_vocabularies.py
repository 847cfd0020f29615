"""Labels and forced replies over a vocabulary of a real size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from test_engines import Report
from vocabularies import qwen_tokenizer

from safejudge import prompts
from safejudge.engines.guide import SchemaGuides
from safejudge.engines.tokens import resolve
from safejudge.types import YES_NO

if TYPE_CHECKING:
    from pydantic import BaseModel

ENDINGS = [
    "<|im_start|>assistant\n",
    "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|im_start|>assistant\n<think>\n",
    "USER: Is it so? ASSISTANT:",
    "[INST]Is it so?[/INST]",
    "User: Is it so?\nAssistant:",
]
"""How templates end: the answer has to be found after each."""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return qwen_tokenizer()


def test_the_vocabulary_is_whole(tokenizer: Any) -> None:
    assert len(tokenizer.get_vocab()) == 151_643 + 5
    for text in (
        "Sch\u00f6ne Gr\u00fc\u00dfe \U0001f600",
        "  a\n\n b",
        "internationalisation 2026",
    ):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(" international")["input_ids"]) == 1


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_are_proved_after_every_ending(tokenizer: Any, ending: str) -> None:
    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text)["input_ids"]
        return ids

    answers = resolve(encode, ending, YES_NO)
    assert all(len(path) == 1 for paths in answers.paths for path in paths)
    for label, spelled in zip(YES_NO, answers.spellings, strict=True):
        cases = {label, label.capitalize(), label.upper()}
        spaced = {f" {case}" for case in cases}
        # After a colon a word without a space is one token with it, and so changes the prompt.
        assert spaced <= set(spelled) <= spaced | cases
        assert ending.endswith(":") or set(spelled) == spaced | cases
    for labels in (tuple("12345"), ("A", "B"), ("First", "Second")):
        assert resolve(encode, ending, labels).continuations() == ((),)
    assert len(resolve(encode, ending, prompts.RATING_WORDS).continuations()) <= 7


@pytest.mark.parametrize("schema", [prompts.ReasonedAnswer, Report])
def test_whatever_a_model_prefers_the_reply_is_compact_json(
    tokenizer: Any, schema: type[BaseModel]
) -> None:
    """Not even control tokens, or bytes of half a character, where those are liked best."""
    guides = SchemaGuides(tokenizer, [tokenizer.eos_token_id], "qwen")
    for seed in range(3):
        reply = written(tokenizer, guides.processor(schema), seed)
        schema.model_validate_json(reply)
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", reply)
        assert not re.search(r"\s", outside)
        assert not any(mark in reply for mark in tokenizer.all_special_tokens)


def written(tokenizer: Any, guide: Any, seed: int) -> str:
    """What a model with random likings writes, for as long as the guide lets it."""
    torch.manual_seed(seed)
    ids = tokenizer("<|im_start|>assistant\n", return_tensors="pt")["input_ids"]
    begins = ids.shape[1]
    liked = torch.randn(1, len(tokenizer))
    liked[:, tokenizer.all_special_ids] = 100.0
    while ids.shape[1] < begins + 1000:
        scores = guide(ids, liked + torch.randn_like(liked))
        ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], 1)
        if guide.ended(ids, scores).all():
            text = tokenizer.decode(ids[0, begins:], skip_special_tokens=True)
            return str(text + guide.endings[0])
    pytest.fail("the reply has no end")
