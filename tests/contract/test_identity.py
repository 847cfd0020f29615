"""What tells one model from another: weights, wherever they lie in a file, and options."""

from __future__ import annotations

import os
import random
import shutil
import struct
import sys
import types
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from safejudge import PriorCache, prompts
from safejudge.cli import app as cli
from safejudge.engines.guide import json_regex
from safejudge.engines.local import identity
from safejudge.engines.local import vllm as module
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.identity import weights_identity
from safejudge.engines.priors import answer_probes
from safejudge.engines.tokens import LabelBook
from safejudge.types import Probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRIORS = [Probe(prompts.ASK, (), prompts.statement_question(f"statement {i}")) for i in range(3)]
RULES = """\
name: test
rules:
  - id: dog
    category: animals
    severity: low
    text: No dogs.
    objective: A dog is visible.
    condition: a dog is visible
"""


@pytest.fixture
def nothing_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this size are read as if they had many gigabytes."""
    monkeypatch.setattr(identity, "_WHOLE", 64)


def merge_adapter(folder: Path, rank: int = 2) -> None:
    """Add low-rank updates to the attention of the text model, as merging a LoRA does."""
    file, torch_rng = folder / "model.safetensors", torch.Generator().manual_seed(3)
    weights = load_file(file)
    for name, weight in weights.items():
        if "language_model" in name and ("q_proj" in name or "v_proj" in name):
            rows, columns = weight.shape
            up = torch.randn(rows, rank, generator=torch_rng)
            weights[name] = weight + 0.5 * up @ torch.randn(rank, columns, generator=torch_rng)
    save_file(weights, file, metadata={"format": "pt"})


def numbers(folder: Path, cache: PriorCache | None) -> tuple[str, list[float | None]]:
    engine = HFEngine(str(folder), uri="hf:x", device="cpu")
    answers = answer_probes(engine, cache, PRIORS)
    engine.close()
    return engine.card.revision, [answer.score for answer in answers]


@pytest.mark.usefixtures("nothing_whole")
def test_a_merged_adapter_is_another_model_with_priors_of_its_own(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    base = tiny_folder("llava")
    tuned = shutil.copytree(base, tmp_path / "tuned")
    merge_adapter(tuned)
    assert (tuned / "model.safetensors").stat().st_size == (
        base / "model.safetensors"
    ).stat().st_size
    cache = PriorCache(tmp_path / "priors")
    one, other = numbers(base, cache), numbers(tuned, cache)
    assert one[0] != other[0]
    assert one[1] != other[1]
    assert other == numbers(tuned, None)
    assert weights_identity(str(shutil.copytree(base, tmp_path / "copy"))) == weights_identity(
        str(base)
    )


@pytest.mark.usefixtures("nothing_whole")
def test_a_run_does_not_go_on_with_another_model(
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = shutil.copytree(tiny_folder("llava"), tmp_path / "model")
    (tmp_path / "rules.yaml").write_text(RULES)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32), "red").save(name)
    engine = ["--constitution", "rules.yaml", "--engine", f"hf:{model}", "--no-cascade"]
    command = ["judge", "a.png", "b.png", *engine, "--out", "r.jsonl"]
    assert cli.main([*command, "--limit", "1"]) in {0, 1, 4}
    merge_adapter(model)
    capsys.readouterr()
    assert cli.main([*command, "--resume"]) == 2
    assert "revision" in capsys.readouterr().err
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2


# --- files ----------------------------------------------------------------------------------------


def write(folder: Path, tensors: int = 7, rows: int = 300) -> Path:
    """A file of tensors, small ones among them, with noise in it."""
    torch_rng = torch.Generator().manual_seed(1)
    weights = {
        f"layer.{i}": torch.randn(rows if i % 2 else 1, 96, generator=torch_rng)
        for i in range(tensors)
    }
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.usefixtures("nothing_whole")
@pytest.mark.parametrize("tensor", range(7))
def test_every_tensor_counts_wherever_it_lies(tmp_path: Path, tensor: int) -> None:
    before = weights_identity(str(write(tmp_path / "m")))
    file = tmp_path / "m" / "model.safetensors"
    weights = load_file(file)
    weights[f"layer.{tensor}"] += 0.01
    save_file(weights, file)
    assert weights_identity(str(tmp_path / "m")) != before


@pytest.mark.usefixtures("nothing_whole")
def test_names_and_places_of_tensors_count(tmp_path: Path) -> None:
    before = weights_identity(str(write(tmp_path / "m")))
    file = tmp_path / "m" / "model.safetensors"
    weights = load_file(file)
    weights["other"] = weights.pop("layer.3")
    save_file(weights, file)
    assert weights_identity(str(tmp_path / "m")) != before


HEADERS = {
    "none": b"",
    "too long": struct.pack("<Q", 2**40),
    "no JSON": struct.pack("<Q", 5) + b"abcde",
    "no dict": struct.pack("<Q", 2) + b"[]",
    "outside": struct.pack("<Q", 34) + b'{"a":{"data_offsets":[0,99999999]}}',
    "deep": struct.pack("<Q", 4000) + b"[" * 4000,
    "words": struct.pack("<Q", 32) + b'{"a":{"data_offsets":["x","y"]}}',
}


@pytest.mark.usefixtures("nothing_whole")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_file_without_a_header_is_read_at_places_of_its_own(
    tmp_path: Path, header: bytes, suffix: str
) -> None:
    noise = random.Random(5).randbytes(3 * 2**20)
    file = tmp_path / f"model{suffix}"
    file.write_bytes(header + noise)
    before = weights_identity(str(tmp_path))
    assert weights_identity(str(tmp_path)) == before
    for third in range(3):
        spoiled = bytearray(header + noise)
        start = len(header) + third * 2**20
        spoiled[start : start + 2**19] = bytes(2**19)
        file.write_bytes(spoiled)
        assert weights_identity(str(tmp_path)) != before


def test_places_are_spread_from_end_to_end() -> None:
    places = list(identity._places(1000, 10**9, 64))
    assert len(places) == 64
    assert places[0] == (1000, 1024)
    assert sum(places[-1]) == 10**9
    steps = [after - before for (before, _), (after, _) in pairwise(places)]
    assert max(steps) - min(steps) <= 1
    assert list(identity._places(5, 105, 64)) == [(5, 100)]


def test_folders_below_count_and_caches_do_not(tmp_path: Path) -> None:
    write(tmp_path / "m")
    before = weights_identity(str(tmp_path / "m"))
    hidden = tmp_path / "m" / ".cache" / "huggingface"
    hidden.mkdir(parents=True)
    (hidden / "download.json").write_text("{}")
    (tmp_path / "m" / "notes.md").write_text("nothing of the model")
    assert weights_identity(str(tmp_path / "m")) == before
    below = tmp_path / "m" / "additional_chat_templates"
    below.mkdir()
    (below / "tool.jinja").write_text("a")
    one = weights_identity(str(tmp_path / "m"))
    assert one != before
    (below / "tool.jinja").rename(below / "other.jinja")
    assert weights_identity(str(tmp_path / "m")) not in {before, one}


def test_neither_the_place_nor_the_time_of_a_folder_counts(tmp_path: Path) -> None:
    write(tmp_path / "m")
    before = weights_identity(str(tmp_path / "m"))
    os.utime(tmp_path / "m" / "model.safetensors", (1, 1))
    moved = shutil.move(tmp_path / "m", tmp_path / "elsewhere")
    assert weights_identity(str(moved)) == before


# --- options --------------------------------------------------------------------------------------


@pytest.fixture
def vllm_revision(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """The revision of an engine on a vLLM that runs nothing."""
    fake: Any = types.ModuleType("vllm")
    fake.__version__ = "0"
    monkeypatch.setitem(sys.modules, "vllm", fake)
    running = types.SimpleNamespace(model_config=types.SimpleNamespace(dtype="torch.bfloat16"))
    monkeypatch.setattr(module, "import_vllm", lambda _uri: (None, None, (ValueError,)))
    monkeypatch.setattr(module, "start_vllm", lambda *_: running)
    monkeypatch.setattr(module, "regex_for", lambda _llm: json_regex)
    monkeypatch.setattr(module, "check_pictures", lambda _llm, _uri: None)
    monkeypatch.setattr(
        module,
        "prove_place",
        lambda _read, chat, model, **_: LabelBook(chat.encode, chat.question_prompt(), model),
    )
    folder = str(tiny_folder("llava"))
    return lambda **options: module.VLLMEngine(folder, uri="vllm:x", **options).card.revision


CHANGING: list[dict[str, Any]] = [
    {"quantization": "fp8"},
    {"kv_cache_dtype": "fp8"},
    {"hf_overrides": {"text_config": {"num_hidden_layers": 1}}},
    {"load_format": "dummy"},
    {"mm_processor_kwargs": {"max_pixels": 10_000}},
    {"mm_processor_kwargs": {"max_pixels": 20_000}},
    {"revision": "abc"},
    {"max_model_len": 512},
    {"an_option_of_tomorrow": 1},
]


def test_options_that_can_move_a_number_are_part_of_the_revision(
    vllm_revision: Callable[..., str],
) -> None:
    revisions = [vllm_revision(), *(vllm_revision(**options) for options in CHANGING)]
    assert len(set(revisions)) == len(revisions)
    assert revisions == [vllm_revision(), *(vllm_revision(**options) for options in CHANGING)]


def test_options_of_place_and_size_are_not(vllm_revision: Callable[..., str]) -> None:
    options = {"gpu_memory_utilization": 0.5, "tensor_parallel_size": 2, "dtype": "auto"}
    assert {vllm_revision(**{name: value}) for name, value in options.items()} == {vllm_revision()}
    assert all(name.isidentifier() for name in module.HARMLESS)


def test_what_prepares_pictures_is_part_of_it(tiny_folder: Callable[[str], Path]) -> None:
    """Two ways to scale a picture are two sets of numbers; which is taken hangs on torchvision."""
    pytest.importorskip("torchvision")
    folder = str(tiny_folder("llava"))
    by_default, by_pillow = (
        HFEngine(folder, uri="hf:x", device="cpu", backend=backend).card.revision
        for backend in (None, "pil")
    )
    assert by_default != by_pillow


def test_device_and_batches_are_no_part_of_it(tiny_folder: Callable[[str], Path]) -> None:
    folder = str(tiny_folder("llava"))

    def revision(**options: Any) -> str:
        return HFEngine(folder, uri="hf:x", **options).card.revision

    assert revision(device="cpu", batch_size=3) == revision()
