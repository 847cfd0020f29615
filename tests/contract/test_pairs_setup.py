"""Starting encoders and detectors: every way in which they refuse, and the URIs that open them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import torch
from tiny_pairs import folder_of, plain_resize

from safejudge.engines.open import open_detector, open_encoder
from safejudge.engines.vision import encoder
from safejudge.engines.vision.detector import HFDetector
from safejudge.engines.vision.encoder import HFEncoder
from safejudge.errors import EngineSetupError
from safejudge.sketch import judge as sketch

if TYPE_CHECKING:
    from collections.abc import Callable


def encoding(folder: Path, **options: Any) -> HFEncoder:
    return HFEncoder(str(folder), uri="hf:tiny", **{"device": "cpu", **options})


def detecting(folder: Path, **options: Any) -> HFDetector:
    with plain_resize():
        return HFDetector(str(folder), uri="hf:tiny", **{"device": "cpu", **options})


def test_what_is_no_dual_encoder(tiny_folder: Callable[[str], Path]) -> None:
    for other in (folder_of("grounding_dino"), tiny_folder("llava")):
        with pytest.raises(EngineSetupError, match=r"no dual encoder.*has no get_") as caught:
            encoding(other)
        assert str(other) in str(caught.value)
        assert "hf:openai/clip" in str(caught.value)


def test_what_is_no_detector(tiny_folder: Callable[[str], Path]) -> None:
    for other in (folder_of("clip"), tiny_folder("llava")):
        with pytest.raises(EngineSetupError, match="no zero-shot detector") as caught:
            detecting(other)
        assert str(other) in str(caught.value)
        assert "OWLv2 or Grounding DINO" in str(caught.value)


def test_towers_that_do_not_meet() -> None:
    wide = torch.zeros(1, 7)
    with (
        patch.object(encoder, "_unit", side_effect=[wide, wide[:, :5]]),
        pytest.raises(EngineSetupError, match=r"no dual encoder.*7.*5"),
    ):
        encoding(folder_of("clip"))


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def other_width(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "projection_dim": 48}))


def left_padding(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "padding_side": "left"}))


def small_pictures(path: Path) -> None:
    settings = json.loads(path.read_text())
    settings["image_processor"]["size"] = {"height": 16, "width": 16}
    settings["image_processor"].pop("crop_size", None)
    path.write_text(json.dumps(settings))


@pytest.mark.parametrize("family", ["siglip", "clip", "owlvit"])
@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("config.json", Path.unlink, "not a folder with a model"),
        ("processor_config.json", Path.unlink, "no processor"),
        ("tokenizer*", Path.unlink, "no processor"),
        ("model.safetensors", Path.unlink, "weights could not be loaded"),
        ("model.safetensors", damage, "weights could not be loaded"),
    ],
)
def test_a_folder_that_will_not_do(
    tmp_path: Path, family: str, name: str, spoil: Callable[[Path], None], says: str
) -> None:
    refused(tmp_path, family, name, spoil, says)


@pytest.mark.parametrize(
    ("family", "name", "spoil", "says"),
    [
        ("clip", "config.json", other_width, "weights could not be loaded"),
        ("siglip", "processor_config.json", small_pictures, "did not take a trial"),
        ("owlvit", "processor_config.json", small_pictures, "do not fit"),
        # OWL takes a query that begins with token 0 for padding: nothing would ever be found.
        ("owlvit", "tokenizer_config.json", left_padding, "token 0 first"),
    ],
)
def test_parts_that_do_not_fit(
    tmp_path: Path, family: str, name: str, spoil: Callable[[Path], None], says: str
) -> None:
    refused(tmp_path, family, name, spoil, says)


def refused(
    tmp_path: Path, family: str, name: str, spoil: Callable[[Path], None], says: str
) -> None:
    copy = shutil.copytree(folder_of(family), tmp_path / "copy")
    for path in copy.glob(name):
        spoil(path)
    start = detecting if family == "owlvit" else encoding
    with pytest.raises(EngineSetupError, match=says) as caught:
        start(copy)
    assert str(copy) in str(caught.value)


def test_a_missing_library_is_named() -> None:
    with (
        patch("transformers.AutoProcessor.from_pretrained", side_effect=ImportError("no sound")),
        pytest.raises(EngineSetupError, match=r"not installed.*sentencepiece.*no sound"),
    ):
        encoding(folder_of("siglip"))
    # OWLv2 looks for scipy only when the first picture comes.
    resizing = type(detecting(folder_of("owlv2"))._processor.image_processor)
    with (
        patch.object(resizing, "resize", side_effect=ImportError("requires scipy")),
        pytest.raises(EngineSetupError, match=r"not installed.*requires scipy"),
    ):
        HFDetector(str(folder_of("owlv2")), uri="hf:tiny", device="cpu")


@pytest.mark.parametrize(("start", "family"), [(encoding, "clip"), (detecting, "owlvit")])
def test_options_are_checked(start: Callable[..., Any], family: str) -> None:
    for options, says in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dtype": "int4"}, "dtype 'int4' is not one of"),
        ({"device": "tpu9"}, "device 'tpu9'"),
    ):
        with pytest.raises(EngineSetupError, match=says):
            start(folder_of(family), **options)


@pytest.mark.parametrize(
    ("start", "kind", "family"),
    [(open_encoder, "encoder", "clip"), (open_detector, "detector", "owlvit")],
)
def test_uris(tmp_path: Path, start: Callable[..., Any], kind: str, family: str) -> None:
    uri = f"hf:{folder_of(family)}"
    assert start(uri, device="cpu", batch_size=2).card.uri == uri
    known = {"clip": "CLIP, SigLIP", "owlvit": "OWL-ViT"}[family]
    for wrong in ("", "hf:", "openai/clip-vit-base-patch16", "vllm:openai/clip", "fake:"):
        with pytest.raises(EngineSetupError, match=f"names no {kind}.*{known}"):
            start(wrong)
    with pytest.raises(EngineSetupError, match="not a folder with a model"):
        start(f"hf:{tmp_path}")
    with (
        patch.object(sketch, "MODELS", tmp_path),
        pytest.raises(EngineSetupError, match=f"weights of the sketch {kind} are missing"),
    ):
        start("hf:sketch")
