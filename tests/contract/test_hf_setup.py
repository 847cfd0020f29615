"""Starting the transformers engine: what identifies it, and every way in which it refuses."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from safejudge.engines.local.hf import HFEngine
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_revision_follows_weights_template_and_type(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    def revision(folder: Path, **options: Any) -> str:
        return HFEngine(str(folder), uri="hf:x", device="cpu", **options).card.revision

    first = tiny_folder("llava")
    copy = shutil.copytree(first, tmp_path / "copy")
    assert revision(copy) == revision(first)
    assert revision(first, dtype="bfloat16") != revision(first)
    template = copy / "chat_template.jinja"
    template.write_text("{# another #}" + template.read_text())
    assert revision(copy) != revision(first)


def broken(folder: Path, where: Path, **changes: Any) -> Path:
    """A copy of a model folder with files rewritten, or removed where None."""
    copy = shutil.copytree(folder, where / "broken")
    for name, content in changes.items():
        path = next(copy.glob(f"{name}.*"))
        if content is None:
            path.unlink()
        else:
            path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    return copy


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chat_template": None}, "no chat template"),
        ({"config": {"model_type": "unheard-of"}}, "architecture is not known"),
        ({"config": {"model_type": "llama"}}, "not a model that takes pictures"),
        ({"processor_config": None, "tokenizer_config": None, "tokenizer": None}, "no processor"),
        ({"model": None}, "weights could not be loaded"),
        ({"config": None}, "not a folder with a model"),
    ],
)
def test_a_folder_that_will_not_do(
    tiny_folder: Callable[[str], Path], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    folder = broken(tiny_folder("llava"), tmp_path, **changes)
    with pytest.raises(EngineSetupError, match=says) as caught:
        HFEngine(str(folder), uri="hf:x", device="cpu")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ messages[0].content }} Answer:", "does not render a user turn made of parts"),
        (
            "{% for c in messages[0].content %}{{ c.text }} {% endfor %}Answer:",
            "ignores image parts",
        ),
    ],
)
def test_a_template_that_will_not_do(
    tiny_folder: Callable[[str], Path], tmp_path: Path, template: str, says: str
) -> None:
    folder = shutil.copytree(tiny_folder("llava"), tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(EngineSetupError, match=says):
        HFEngine(str(folder), uri="hf:x", device="cpu")


def test_labels_that_are_no_single_tokens_stop_the_start(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder("llava"), tmp_path / "copy")
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["merges"] = []
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(EngineSetupError, match=r"not single tokens.*' Yes': tokens \[\d+, \d+"):
        HFEngine(str(folder), uri="hf:x", device="cpu")


def test_what_is_not_on_the_hub_or_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for model in ("no-such-org/no-such-model", "/no/such/folder", "not a name!"):
        with pytest.raises(EngineSetupError, match="not to be had from the hub"):
            HFEngine(model, uri=f"hf:{model}")


def test_options_are_checked(tiny_folder: Callable[[str], Path]) -> None:
    folder = str(tiny_folder("llava"))
    with pytest.raises(EngineSetupError, match="batch_size must be at least 1"):
        HFEngine(folder, uri="hf:x", batch_size=0)
    with pytest.raises(EngineSetupError, match="dtype 'int4' is not one of"):
        HFEngine(folder, uri="hf:x", dtype="int4")
    with pytest.raises(EngineSetupError, match="device 'tpu9'"):
        HFEngine(folder, uri="hf:x", device="tpu9")
