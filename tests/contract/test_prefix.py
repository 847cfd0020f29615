"""The beginning that prompts about a picture share is read once, and changes no number."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import torch
from given import BATCH, picture
from test_engines import BLUE, MIXED, RED, WIDE, ask, close_to

from safejudge.engines.local import caches, prefix, readers
from safejudge.engines.local.prefix import PrefixReader
from safejudge.engines.local.readers import FeatureReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.engines.local.hf import HFEngine

FAMILY = "qwen2_5_vl"
"""Positions of its pictures have rows and columns."""


@contextmanager
def counted_tokens(engine: HFEngine) -> Iterator[list[int]]:
    """Tokens that the language model reads, by call; padding counts."""
    sizes: list[int] = []

    def seen(_: Any, args: Any, kwargs: Any) -> None:
        given = kwargs.get("inputs_embeds", kwargs.get("input_ids"))
        sizes.append(int(given.shape[0] * given.shape[1]))

    handle = engine._model.get_decoder().register_forward_pre_hook(seen, with_kwargs=True)
    try:
        yield sizes
    finally:
        handle.remove()


def test_a_picture_is_read_once_for_all_its_statements(
    open_tiny: Callable[[str], HFEngine],
) -> None:
    engine = open_tiny(FAMILY)
    assert isinstance(engine._reader, PrefixReader)
    pictures = [picture(seed, 112, 112) for seed in (30, 31)]
    probes = [ask((one,), f"statement {i}") for one in pictures for i in range(6)]
    engine.answer_probs([ask((picture(32, 112, 112),))])  # positions of this size are known now
    with counted_tokens(engine) as sizes:
        engine.answer_probs(probes)
    (prompt,) = engine._reader.prompts(probes[:1])
    endings = sum(len(p.ids) - p.start for p in engine._reader.prompts(probes))
    padding = sum(sizes) - 2 * prompt.start - endings
    assert 0 <= padding <= len(probes) * 2
    with counted_tokens(engine) as sizes:
        engine.answer_probs([ask((pictures[0],), "a statement that comes in a later call")])
    assert sum(sizes) < prompt.start


@pytest.mark.parametrize("name", ["_HELD_BYTES", "_COPIED_BYTES"])
def test_little_memory_changes_no_number(
    name: str, open_tiny: Callable[[str], HFEngine], shared: Callable[[str], HFEngine]
) -> None:
    usual = shared(FAMILY).answer_probs(MIXED)
    with patch.object(prefix, name, 1):
        engine = open_tiny(FAMILY)
        assert isinstance(engine._reader, PrefixReader)
        assert all(map(close_to, engine.answer_probs(MIXED), usual))
        assert all(map(close_to, engine.answer_probs(MIXED[::-1]), usual[::-1]))
    if name == "_HELD_BYTES":
        assert not engine._reader._beginnings.keys()


def test_what_is_held_is_bounded(open_tiny: Callable[[str], HFEngine]) -> None:
    engine = open_tiny(FAMILY)
    assert isinstance(engine._reader, PrefixReader)
    held = engine._reader._beginnings
    engine.answer_probs([ask((RED,)), ask((BLUE,))])
    sizes = [value.size() for value in held._values.values()]
    assert held._total == sum(sizes)
    (one, *_) = held._values.values()
    # Of a batch that was read in one call, a row keeps no memory of the others.
    for layer in one.cache.layers:
        assert layer.keys.untyped_storage().nbytes() == layer.keys.nbytes


def _later(reader: PrefixReader, prompt: Any) -> Any:
    first = TRUE_NUMBERED(reader, prompt)
    return first + 1 if isinstance(first, torch.Tensor) else first


TRUE_NUMBERED = PrefixReader._numbered
TRUE_ROW = prefix.row_of
FAULTS = {
    "positions that are off by one": patch.object(PrefixReader, "_numbered", _later),
    "another order of a beginning": patch.object(
        prefix, "row_of", lambda cache, row, rows: TRUE_ROW(_reversed(cache), row, rows)
    ),
    "another picture's beginning": patch.object(
        prefix, "row_of", lambda cache, row, rows: TRUE_ROW(cache, rows - 1 - row, rows)
    ),
    "a state of another token": patch.object(
        PrefixReader, "_only", lambda self, last: TRUE_ONLY(self, (last - 1).clamp(0))
    ),
}
TRUE_ONLY = PrefixReader._only


def _reversed(cache: Any) -> Any:
    """A cache whose tokens stand in another order."""

    def turned(layer: Any) -> dict[str, Any]:
        return {"keys": layer.keys.flip(-2), "values": layer.values}

    return caches.mapped(cache, turned)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_whose_numbers_would_differ_reads_prompts_whole_and_says_so(
    fault: str, open_tiny: Callable[[str], HFEngine], shared: Callable[[str], HFEngine]
) -> None:
    with FAULTS[fault]:
        engine = open_tiny(FAMILY)
    assert isinstance(engine._reader, FeatureReader)
    assert any("reads it again" in note for note in engine.card.notes)
    usual = shared(FAMILY)
    assert not usual.card.notes
    assert engine.card.revision == usual.card.revision
    probes = MIXED[:BATCH]
    assert all(map(close_to, engine.answer_probs(probes), usual.answer_probs(probes)))


def test_a_number_that_stands_for_never_hides_no_fault(
    open_tiny: Callable[[str], HFEngine],
) -> None:
    """Some models give tokens that they never write the least number of their type."""
    engine = open_tiny(FAMILY)
    reader = engine._reader
    assert isinstance(reader, PrefixReader)
    model = engine._model

    def never(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, torch.tensor([3]), torch.finfo(logits.dtype).min)

    handle = model.get_output_embeddings().register_forward_hook(never)
    token = engine._chat.encode("A")[-1]
    try:
        assert PrefixReader(model, reader._whole).proved(engine._plain, token)
        with FAULTS["positions that are off by one"]:
            assert not PrefixReader(model, reader._whole).proved(engine._plain, token)
    finally:
        handle.remove()


def test_a_patch_for_every_token_is_still_no_token(shared: Callable[[str], HFEngine]) -> None:
    """An input of pictures may have the shape of the tokens by chance."""
    ids = torch.tensor([[5, 6, 7]])
    row = {"input_ids": ids, "attention_mask": ids * 0 + 1, "pixel_attention_mask": ids * 0 + 1}
    longer = readers._append(row, (8, 9))
    assert longer["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert longer["attention_mask"].shape == (1, 5)
    assert longer["pixel_attention_mask"].shape == (1, 3)
    wider = {name: torch.cat([value, value], 1) for name, value in row.items()}
    padded = readers._left_padded([row, wider], 0)
    assert padded["input_ids"].shape == (2, 6)


def test_prompts_that_begin_otherwise_are_kept_apart(shared: Callable[[str], HFEngine]) -> None:
    engine = shared(FAMILY)
    reader = engine._reader
    assert isinstance(reader, PrefixReader)
    probes = [ask((RED,)), ask((BLUE,)), ask((RED, BLUE)), ask((BLUE, RED)), ask((WIDE,))]
    assert len({prompt.key for prompt in reader.prompts(probes)}) == len(probes)
    one, other = reader.prompts([ask((RED,), "a dog is visible"), ask((RED,), "it rains")])
    assert one.key == other.key
