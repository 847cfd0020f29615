"""What the dual encoder promises, on tiny models of each family."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tiny_pairs
import torch
from given import picture
from tiny_pairs import CLIP_LIMIT, SIGLIP_LIMIT

from safejudge.engines.vision import encoder as module
from safejudge.engines.vision.encoder import HFEncoder
from safejudge.errors import EngineCallError, StatementError
from safejudge.types import Picture, Similarity

FAMILIES = tuple(tiny_pairs.ENCODERS)
LIMITS = {"clip": CLIP_LIMIT, "siglip": SIGLIP_LIMIT, "siglip2": SIGLIP_LIMIT}
PICTURES = [picture(1), picture(2, 80, 40), picture(3, 16, 96), picture(4)]
TEXTS = ["a", "A red Square", "a person with a knife, on the floor", "a dog"]
PAIRS = [Similarity(image, text) for image in PICTURES for text in TEXTS]
CLOSE = 1e-5


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str) -> Path:
    return tiny_pairs.folder_of(family)


@pytest.fixture
def encoder(folder: Path) -> HFEncoder:
    return opened(folder)


def opened(folder: Path, batch_size: int = 3, **options: Any) -> HFEncoder:
    return HFEncoder(str(folder), uri="hf:tiny", device="cpu", batch_size=batch_size, **options)


def by_hand(folder: Path, pair: Similarity) -> float:
    """One picture, one text, the whole model: no batch, no engine."""
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    text = pair.text
    if model.config.model_type != "clip":
        text = text.lower()
    ids = processor.tokenizer(text)["input_ids"]
    if model.config.model_type != "clip":
        ids += [processor.tokenizer.pad_token_id] * (SIGLIP_LIMIT - len(ids))
    pixels = processor.image_processor(Image.fromarray(pair.picture.pixels), return_tensors="pt")
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([ids]), **pixels)
    return float((output.text_embeds * output.image_embeds).sum())


def test_cosines_are_those_of_the_model(folder: Path, encoder: HFEncoder) -> None:
    expected = [by_hand(folder, pair) for pair in PAIRS]
    found = encoder.similarities(PAIRS)
    assert found == pytest.approx(expected, abs=CLOSE)
    assert all(-1.0 <= cosine <= 1.0 for cosine in found)
    assert len({round(cosine, 4) for cosine in found}) == len(PAIRS)  # the tiny model can tell


def test_neither_batch_nor_order_nor_repetition_matters(folder: Path) -> None:
    expected = opened(folder, 16).similarities(PAIRS)
    for size in (1, 3):
        assert opened(folder, size).similarities(PAIRS) == pytest.approx(expected, abs=CLOSE)
    encoder = opened(folder)
    given = PAIRS[::-1] + PAIRS[:5] * 2
    found = dict(zip(given, encoder.similarities(given), strict=True))
    assert [found[pair] for pair in PAIRS] == pytest.approx(expected, abs=CLOSE)
    (alone,) = encoder.similarities(PAIRS[7:8])
    assert alone == pytest.approx(expected[7], abs=CLOSE)


def test_everything_is_encoded_once(encoder: HFEncoder) -> None:
    rows: Counter[str] = Counter()

    def counting(name: str) -> Any:
        whole = getattr(encoder._model, name)

        def count(**inputs: torch.Tensor) -> Any:
            rows[name] += len(next(iter(inputs.values())))
            return whole(**inputs)

        return patch.object(encoder._model, name, count)

    with counting("get_text_features"), counting("get_image_features"):
        encoder.similarities(PAIRS + PAIRS)
        assert rows == {"get_text_features": 4, "get_image_features": 4}
        encoder.similarities(PAIRS)
        encoder.similarities([Similarity(PICTURES[0], "a new text"), PAIRS[0]])
    assert rows == {"get_text_features": 5, "get_image_features": 9}


def test_texts_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = opened(tiny_pairs.folder_of("clip")).similarities(PAIRS)
    monkeypatch.setattr(module, "_CACHED_TEXTS", 2)
    encoder = opened(tiny_pairs.folder_of("clip"))
    for _ in range(3):
        assert encoder.similarities(PAIRS) == pytest.approx(expected, abs=CLOSE)
        assert len(encoder._vectors.keys()) == 2


def longest(encoder: HFEncoder, limit: int) -> str:
    """As long as the limit allows: a letter is a token, the marks are tokens too."""
    marks = len(encoder._processor.tokenizer("")["input_ids"])
    return "ab" * ((limit - marks) // 2) + "c" * ((limit - marks) % 2)


def test_a_text_is_held_whole_or_refused(family: str, encoder: HFEncoder) -> None:
    limit = LIMITS[family]
    fits = longest(encoder, limit)
    encoder.check_texts([fits, "a"])
    changed = fits[:-1] + "z"
    both = encoder.similarities([Similarity(PICTURES[0], text) for text in (fits, changed)])
    assert abs(both[0] - both[1]) > CLOSE  # the last letter was read
    for ask in (
        lambda text: encoder.check_texts(["a", text]),
        lambda text: encoder.similarities([Similarity(PICTURES[0], text), *PAIRS]),
    ):
        with pytest.raises(StatementError, match="relevance:") as caught:
            ask(fits + "d")
        assert fits + "d" in str(caught.value)
        assert f"{limit + 1} tokens" in str(caught.value)
        assert f"hf:tiny holds {limit}" in str(caught.value)
    assert not math.isnan(encoder.similarities(PAIRS[:1])[0])


def test_truncation_stored_with_a_tokenizer_is_not_used(
    family: str, folder: Path, encoder: HFEncoder, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "tokenizer.json"
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": cut}))
    found = opened(copy)
    assert found.similarities(PAIRS) == pytest.approx(encoder.similarities(PAIRS), abs=CLOSE)
    with pytest.raises(StatementError):
        found.check_texts([longest(encoder, LIMITS[family]) + "d"])


def test_siglip_reads_lower_case() -> None:
    for name in ("siglip", "siglip2"):
        encoder = opened(tiny_pairs.folder_of(name))
        pairs = [Similarity(PICTURES[0], text) for text in ("A Red Dog", "a red dog")]
        upper, lower = encoder.similarities(pairs)
        assert upper == pytest.approx(lower, abs=CLOSE)


def test_half_a_sign_is_read_as_a_mark_of_its_place(encoder: HFEncoder) -> None:
    encoder.check_texts(["a \ud83d"])
    both = [Similarity(PICTURES[0], text) for text in ("a \ud83d", "a ?")]
    first, second = encoder.similarities(both)
    assert first == pytest.approx(second, abs=CLOSE)


def test_nothing_asked_nothing_answered(encoder: HFEncoder) -> None:
    assert encoder.similarities([]) == []
    encoder.check_texts([])


def test_pictures_of_any_shape(encoder: HFEncoder) -> None:
    shapes = [(1, 1), (3, 3), (1, 40), (3, 64), (50, 1), (40, 3)]
    images = [Picture.of(np.full((*shape, 3), 90, dtype=np.uint8)) for shape in shapes]
    found = encoder.similarities([Similarity(image, "a") for image in images])
    assert all(map(math.isfinite, found))


def test_broken_weights_give_nan(folder: Path, encoder: HFEncoder) -> None:
    for value in (math.nan, math.inf):
        with torch.no_grad():
            for parameter in encoder._model.parameters():
                parameter.fill_(value)
        encoder._vectors.clear()
        assert all(map(math.isnan, encoder.similarities(PAIRS)))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 0.0])
@pytest.mark.parametrize("side", ["get_text_features", "get_image_features"])
def test_one_bad_vector_is_nan_alone(encoder: HFEncoder, side: str, poison: float) -> None:
    expected = encoder.similarities(PAIRS)
    encoder._vectors.clear()
    whole = getattr(encoder._model, side)
    calls = []

    def spoil(**inputs: torch.Tensor) -> Any:
        output = whole(**inputs)
        if not calls:
            # One number is enough for NaN and infinity; a direction is lost only with all.
            output.pooler_output[1, slice(None) if poison == 0.0 else slice(1)] = poison
        calls.append(output)
        return output

    with patch.object(encoder._model, side, spoil):
        found = encoder.similarities(PAIRS)
    bad = [pair for pair, cosine in zip(PAIRS, found, strict=True) if math.isnan(cosine)]
    assert len(bad) == 4
    kinds = {pair.text for pair in bad} if "text" in side else {pair.picture for pair in bad}
    assert len(kinds) == 1
    fine = [pair for pair in zip(expected, found, strict=True) if not math.isnan(pair[1])]
    assert [b for _, b in fine] == pytest.approx([a for a, _ in fine], abs=CLOSE)


def test_a_picture_that_is_refused_is_nan_alone(encoder: HFEncoder) -> None:
    expected = encoder.similarities(PAIRS)
    whole = encoder._processor.image_processor

    def refuse(images: list[Any], **options: Any) -> Any:
        if any(image.size == (96, 16) for image in images):
            raise ValueError("aspect ratio")
        return whole(images, **options)

    with patch.object(encoder._processor, "image_processor", refuse):
        found = encoder.similarities(PAIRS)
    for pair, before, after in zip(PAIRS, expected, found, strict=True):
        if pair.picture == PICTURES[2]:
            assert math.isnan(after)
        else:
            assert after == pytest.approx(before, abs=CLOSE)


def test_half_precision_is_near(folder: Path, encoder: HFEncoder) -> None:
    half = opened(folder, dtype="bfloat16")
    assert half.similarities(PAIRS) == pytest.approx(encoder.similarities(PAIRS), abs=0.1)
    assert half.card.revision != encoder.card.revision


def test_the_card_follows_the_weights(tmp_path: Path) -> None:
    folder = tiny_pairs.folder_of("clip")
    card = opened(folder).card
    assert (card.uri, card.model, card.label_tokens) == ("hf:tiny", str(folder), {})
    assert set(card.versions) == {"torch", "transformers"}
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert opened(copy).card.revision == card.revision
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert opened(copy).card.revision != card.revision


def test_closing_twice_is_fine_and_final() -> None:
    encoder = opened(tiny_pairs.folder_of("clip"))
    encoder.close()
    encoder.close()
    for requests in (PAIRS, []):
        with pytest.raises(EngineCallError, match="closed"):
            encoder.similarities(requests)


def test_no_memory_says_what_to_change() -> None:
    encoder = opened(tiny_pairs.folder_of("clip"))
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
    with (
        patch.object(encoder._model, "get_image_features", side_effect=full),
        pytest.raises(EngineCallError, match="smaller batch_size than 3"),
    ):
        encoder.similarities(PAIRS)
    assert math.isfinite(encoder.similarities(PAIRS[:1])[0])
