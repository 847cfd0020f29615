"""Forced replies: whatever a model wants to write, the form and its bounds hold."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from tiny_models import build_tokenizer

from safejudge import prompts
from safejudge.compile import prompts as compiling
from safejudge.engines.guide import SchemaGuides, json_regex, served_regex
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENIZER = build_tokenizer(["<eos>", "<|im_end|>", "<image>"], eos="<eos>", template="")
ENDS = [TOKENIZER.eos_token_id, TOKENIZER.convert_tokens_to_ids("<|im_end|>")]
SPECIAL = set(TOKENIZER.added_tokens_decoder) | {TOKENIZER.pad_token_id}
GUIDES = SchemaGuides(TOKENIZER, ENDS, "tiny")
BEYOND = 40
"""Columns of a last layer that stand for no token."""


class Item(BaseModel):
    name: str = Field(min_length=1, max_length=5)
    count: Literal[0, 7, 12]


class Listed(BaseModel):
    items: list[Item] = Field(min_length=0, max_length=2)
    kind: Literal["a", 'b"c']
    sure: bool
    note: str | None = Field(default=None, max_length=4)


FORMS: list[type[BaseModel]] = [
    prompts.ReasonedAnswer,
    compiling.Score,
    compiling.Wording,
    compiling.Statement,
    compiling.Logic,
    compiling.Comparison,
    Listed,
]


def written(
    schema: type[BaseModel], rows: int, seed: int, *, early: bool = True
) -> list[tuple[list[int], str]]:
    """Greedy replies of a model that wants anything, as `generate` writes and pads them.

    With what completes them; `early` False: they are written to the end.
    """
    process = GUIDES.processor(schema)
    if not early:
        process._ending = lambda _: None  # type: ignore[method-assign]
    wishes = np.random.default_rng(seed)
    ids = torch.zeros((rows, 3), dtype=torch.long)
    replies: list[list[int]] = [[] for _ in range(rows)]
    going = set(range(rows))
    for _ in range(3000):
        wanted = wishes.standard_normal((rows, len(TOKENIZER) + BEYOND)).astype(np.float32)
        wanted[:, list(SPECIAL)] += 5.0
        scores = process(ids, torch.from_numpy(wanted))
        tokens = scores.argmax(-1)
        for row in range(rows):
            if row not in going:
                tokens[row] = TOKENIZER.pad_token_id
                continue
            assert torch.isfinite(scores[row, tokens[row]])
            if int(tokens[row]) not in ENDS:
                replies[row].append(int(tokens[row]))
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        going -= set(process.ended(ids, scores).nonzero().flatten().tolist())
        if not going:
            return [(reply, process.endings[row]) for row, reply in enumerate(replies)]
    raise AssertionError("a reply has no end")


@pytest.mark.parametrize("schema", FORMS)
@pytest.mark.parametrize("rows", [1, 3])
def test_every_reply_is_whole_compact_and_bounded(schema: type[BaseModel], rows: int) -> None:
    form = re.compile(json_regex(schema))
    for seed in range(3):
        for reply, ending in written(schema, rows, seed):
            assert not SPECIAL & set(reply)
            assert max(reply) < len(TOKENIZER)
            text = TOKENIZER.decode(reply) + ending
            assert form.fullmatch(text)
            schema.model_validate_json(text)


@pytest.mark.parametrize("schema", FORMS)
def test_a_reply_ends_when_its_answer_stands_and_says_the_same(schema: type[BaseModel]) -> None:
    spared = 0
    for seed in range(5):
        (early,), (whole,) = (written(schema, 1, seed, early=early) for early in (True, False))
        text, ending = TOKENIZER.decode(early[0]), early[1]
        assert text + ending == TOKENIZER.decode(whole[0])
        assert whole[1] == ""
        spared += len(whole[0]) + 1 - len(early[0])  # one more, for the end is a token too
    assert spared >= 5


def test_a_row_that_has_ended_leaves_the_others_alone() -> None:
    lengths = {len(reply) for reply, _ in written(Listed, 6, seed=5)}
    assert len(lengths) > 1


def test_what_the_vocabulary_cannot_write_is_an_error_of_that_reply() -> None:
    process = GUIDES.processor(Listed)
    scores = torch.zeros((1, len(TOKENIZER)))
    process(torch.zeros((1, 1), dtype=torch.long), scores)
    stray = torch.full((1, 2), TOKENIZER.convert_tokens_to_ids("7"))  # a form begins with {
    assert not process.ended(stray, scores).any()
    with pytest.raises(ValueError, match="cannot be forced into its form"):
        process(stray, scores)


def test_a_tokenizer_that_does_not_show_its_tokens_is_refused() -> None:
    class Slow:
        eos_token_id = 1

    with pytest.raises(EngineSetupError, match=r"ORG/MODEL: its tokenizer \(Slow\)"):
        SchemaGuides(Slow(), [1], "ORG/MODEL")


# --- what servers are sent ------------------------------------------------------------------------


@pytest.mark.parametrize("schema", FORMS)
def test_a_server_s_form_is_part_of_ours(schema: type[BaseModel]) -> None:
    """And repeats nothing but classes of characters in strings: xgrammar is slow at the rest."""
    served = served_regex(schema)
    assert served.count(r"\uD800-\uDFFF") == json_regex(schema).count(r"\x7F-\x9F") > 0
    assert not re.search(r"bfnrt\]\)\{", served)
    assert re.search(r"bfnrt\]\)\{", json_regex(schema))


def values() -> Iterator[Any]:
    plain = st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='"\\')
    yield st.text(plain, min_size=1, max_size=200)
    yield st.sampled_from(["Yes", "No", "Unsure"])


@given(*values())
@settings(max_examples=50, deadline=None)
def test_plain_text_fits_both(rationale: str, rating: str) -> None:
    text = json.dumps(
        {"rationale": rationale, "rating": rating}, ensure_ascii=False, separators=(",", ":")
    )
    for regex in (json_regex, served_regex):
        assert re.fullmatch(regex(prompts.ReasonedAnswer), text)
    assert not re.fullmatch(
        served_regex(prompts.ReasonedAnswer), text.replace('","rating', '", "rating')
    )
