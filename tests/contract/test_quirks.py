"""What single kinds of model do that would mislead: corrected, or told with the next step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
import torch
import transformers as t

from safejudge.engines.local import quirks
from safejudge.engines.local.hf import HFEngine
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# --- a library that is missing --------------------------------------------------------------------


WITHOUT_TORCHVISION = """
import sys
sys.modules["torchvision"] = None  # as if it were not installed, wherever it is
from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.errors import EngineSetupError
for folder in sys.argv[1:]:
    try:
        Checkpoint(folder, "hf:x").chat()
    except EngineSetupError as error:
        print(str(error).replace(chr(10), " "))
"""


def test_the_library_that_is_missing_is_named(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Whether transformers says so by an ImportError or in the last words of a ValueError."""
    folders = []
    for kind, name in (("llama4", "Llama4"), ("lfm2_vl", "Lfm2Vl"), ("mistral3", "Pixtral")):
        folder = tmp_path / ("long" * 40) / kind  # the reason stands behind many letters
        shutil.copytree(tiny_folder("idefics3"), folder)
        (folder / "processor_config.json").unlink()
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        parts = {"image_processor_type": f"{name}ImageProcessor"}
        parts["processor_class"] = f"{name}Processor"
        (folder / "preprocessor_config.json").write_text(json.dumps(parts))
        folders.append(str(folder))
    command = [sys.executable, "-c", WITHOUT_TORCHVISION, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert len(told) == len(folders)
    for folder, line in zip(folders, told, strict=True):
        assert line.startswith(f"{folder}: it needs a library that is not installed: torchvision.")
        assert "pip install 'safejudge[hf]'" in line
        assert "complete checkpoint" not in line


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "None could be imported. Missing optional dependencies: torchvision. Please",
            "torchvision",
        ),
        ("X requires the SentencePiece library but it was not found in your", "sentencepiece"),
        ("No module named 'num2words'", "num2words"),
        ("there is no tokenizer.json", None),
    ],
)
def test_a_missing_library_is_found_in_text_and_cause(text: str, name: str | None) -> None:
    assert quirks.missing_dependency(OSError(text)) == name
    outer = OSError("Can't load the processor")
    outer.__cause__ = ValueError("x" * 500 + text)
    assert quirks.missing_dependency(outer) == name
    assert quirks.is_about_a_library(outer) == (name is not None)
    outer.__cause__ = ImportError("of something")
    assert quirks.is_about_a_library(outer)


UNFIT = """
import sys
from safejudge.engines.open import open_detector, open_encoder, open_engine
from safejudge.errors import EngineSetupError
for opener in (open_engine, open_encoder, open_detector):
    try:
        opener("hf:sketch")
    except EngineSetupError as error:
        print(error)
"""


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_a_torchvision_of_another_torch_is_told_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    broken = 'raise RuntimeError("operator torchvision::nms does not exist")'
    (tmp_path / "torchvision" / "__init__.py").write_text(broken)
    (tmp_path / "torchvision_stub.py").write_text("")  # which would let the real one load
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", UNFIT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    told = done.stdout.splitlines()
    assert len(told) == 3
    for line in told:
        assert "torchvision does not load beside the installed torch" in line
        assert "operator torchvision::nms does not exist" in line


def test_errors_that_caused_each_other_end() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert not quirks.is_about_a_library(first)


# --- models that answer no questions --------------------------------------------------------------


def test_a_classifier_is_told_for_what_it_is(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """As ShieldGemma 2: weights of Gemma 3 under other names, and a class of its own."""
    folder = shutil.copytree(tiny_folder("gemma3"), tmp_path / "shield")
    settings = json.loads((folder / "config.json").read_text())
    name = "ShieldGemma2ForImageClassification"
    changed = {**settings, "architectures": [name], "model_type": "shieldgemma2"}
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(EngineSetupError, match=f"a {name} scores labels of its own.*Use a vision"):
        HFEngine(str(folder), uri="hf:x", device="cpu", dialect="none")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, None),
        ({"architectures": None}, None),
        ({"architectures": ["LlavaForConditionalGeneration"]}, None),
        ({"architectures": ["AForTokenClassification"]}, "AForTokenClassification"),
        ({"architectures": ["AForCausalLM", "AForSequenceClassification"]}, None),
    ],
)
def test_classifiers_are_known_by_their_class(settings: dict[str, Any], name: str | None) -> None:
    assert quirks.classifier(settings) == name


def test_without_a_template_there_is_no_conversation(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder("llava"), tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(
        EngineSetupError, match=r"no chat template .*if there is one, or another model"
    ):
        HFEngine(str(folder), uri="hf:x", device="cpu")


# --- logits that are not scaled -------------------------------------------------------------------

SCALE = 0.0625
TEXT = {
    "model_type": "cohere2",
    "vocab_size": 60,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "sliding_window": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": True,
    "initializer_range": 0.3,
}
VISION = {"model_type": "siglip_vision_model", "vision_use_head": False, **tiny_models.VISION}
TOKENS = torch.tensor([[5, 9, 33, 17]])


def vision_model(kind: str, scale: float) -> Any:
    torch.manual_seed(3)
    config = getattr(t, f"{kind}Config")(
        text_config={**TEXT, "logit_scale": scale},
        vision_config=VISION,
        image_token_id=59,
        tie_word_embeddings=True,
    )
    return t.AutoModelForImageTextToText.from_config(config).eval()


def text_model(model: Any) -> Any:
    """The language model inside, as transformers' own class for it runs it."""
    text = t.Cohere2ForCausalLM(model.config.get_text_config()).eval()
    text.model.load_state_dict(model.model.language_model.state_dict())
    text.lm_head.load_state_dict(model.lm_head.state_dict())
    return text


@pytest.mark.parametrize("kind", ["AyaVision", "Cohere2Vision"])
def test_logits_are_what_the_text_model_says(kind: str) -> None:
    model = vision_model(kind, SCALE)
    with torch.no_grad():
        truth = text_model(model)(input_ids=TOKENS).logits
        assert not torch.allclose(model(input_ids=TOKENS).logits, truth)  # what is corrected here
        assert quirks.scale_logits(model) == {"logit_scale": SCALE}
        assert torch.equal(model(input_ids=TOKENS).logits, truth)
        assert quirks.scale_logits(model) == {}  # it scales them now
        assert torch.equal(model(input_ids=TOKENS).logits, truth)
        last, truth = (
            each(input_ids=TOKENS, logits_to_keep=1).logits for each in (model, text_model(model))
        )
    assert torch.equal(last, truth)


def test_models_that_scale_or_need_not_are_left_alone() -> None:
    for model in (text_model(vision_model("AyaVision", SCALE)), vision_model("AyaVision", 1.0)):
        with torch.no_grad():
            before = model(input_ids=TOKENS).logits
            assert quirks.scale_logits(model) == {}
            assert torch.equal(model(input_ids=TOKENS).logits, before)


@pytest.mark.parametrize("family", ["gemma3", "qwen2_5_vl"])
def test_other_families_have_no_such_scale(family: str) -> None:
    with tiny_models.pictures_only():
        config, _ = tiny_models.BUILDERS[family]()
    assert quirks.scale_logits(t.AutoModelForImageTextToText.from_config(config)) == {}


# --- pictures that are read in one direction ------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prefix", "told"),
    [
        ({}, False, False),
        ({}, True, True),  # Gemma 3, by vLLM's own list
        ({"use_bidirectional_attention": "vision"}, False, True),  # Gemma 4
        ({"use_bidirectional_attention": None}, False, False),
    ],
)
def test_one_way_pictures(text: dict[str, Any], prefix: bool, told: bool) -> None:
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**text))
    reason = quirks.one_way_pictures(SimpleNamespace(hf_config=config, is_mm_prefix_lm=prefix))
    assert (reason is not None) == told
    assert reason is None or "Use hf:" in reason
