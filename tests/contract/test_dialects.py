"""Guard models are asked in the form that they are trained on, and read in its sense."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import BATCH
from guards import GUARDS, PICTURES, Oracle, save_guard

from safejudge import prompts
from safejudge.engines import dialects
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.open import open_engine
from safejudge.errors import EngineSetupError
from safejudge.types import Message, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATEMENT = "A dog is next to a fire."
NAMES = list(GUARDS)
FOLDERS = {
    "shieldgemma2": "shieldgemma-2-4b-it",
    "shieldstral": "Shieldstral-1.0-3B",
    "llavaguard": "LlavaGuard-v1.2-7B-OV-hf",
    "llamaguard": "Llama-Guard-3-11B-Vision",
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def build(name: str) -> Path:
        return save_guard(name, tmp_path_factory.mktemp("guards") / FOLDERS[name])

    return build


@pytest.fixture(scope="session")
def opened(folder: Callable[[str], Path]) -> Callable[..., HFEngine]:
    @cache
    def engine(name: str, **options: Any) -> HFEngine:
        where = str(folder(name))
        options = {"dialect": name} | options
        return HFEngine(where, uri=f"hf:{name}", device="cpu", batch_size=BATCH, **options)

    return engine


def ask(statement: str = STATEMENT, images: Any = PICTURES[:1], caption: str | None = None) -> Probe:
    return Probe(prompts.ASK, images, prompts.statement_question(statement, caption))


@pytest.mark.parametrize("name", NAMES)
def test_yes_is_that_the_policy_is_violated(
    name: str, folder: Callable[[str], Path], opened: Callable[..., HFEngine]
) -> None:
    oracle = Oracle(name, folder(name))
    probes = [ask(), ask("A car is red.", PICTURES[1:2]), ask(images=()), ask("So", PICTURES[2:])]
    if GUARDS[name].captions:
        probes.append(ask(caption="two dogs"))
    answers = opened(name).answer_probs(probes)
    for probe, answer in zip(probes, answers, strict=True):
        statement, caption = prompts.read_question(probe.question) or ("", None)
        assert answer.problem is None
        assert answer.p_labels == pytest.approx(oracle(statement, probe.images, caption), abs=1e-5)
    assert answers[0].label_mass > 0.5
    assert len({round(answer.score or 0, 6) for answer in answers}) == len(answers)


def test_shieldgemma2_is_asked_as_its_own_class_asks(
    folder: Callable[[str], Path], opened: Callable[..., HFEngine]
) -> None:
    """A policy given to its own processor, and the two numbers that its class reads."""
    oracle = Oracle("shieldgemma2", folder("shieldgemma2"))
    policy = dialects.DIALECTS["shieldgemma2"].put(STATEMENT, None).after
    image = PICTURES[0]
    encoded = oracle.made(
        images=[image.pixels.copy()], custom_policies={"ours": policy}, policies=["ours"],
        return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        yes, no = oracle.whole(**encoded).logits[0].tolist()
    engine = opened("shieldgemma2")
    ids = engine._chat.probe_ids(ask())
    text = oracle.made.tokenizer.decode([t for t in encoded["input_ids"][0].tolist()])
    assert policy in text
    shown = engine._reader.prepare([ask()])
    row = getattr(shown, "inputs", shown)["input_ids"]
    assert row.tolist() == encoded["input_ids"].tolist()
    assert len(ids) < row.shape[1]  # its picture comes on top
    logits = engine._reader.next_logits(shown, ())[0]
    first, second = oracle.whole.yes_token_index, oracle.whole.no_token_index
    assert logits[[first, second]].tolist() == pytest.approx([yes, no], abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_by_its_name_and_put_aside_by_none(
    name: str, folder: Callable[[str], Path], opened: Callable[..., HFEngine]
) -> None:
    found = opened(name, dialect=None)
    assert found.card.dialect == name
    assert found.card.revision == opened(name).card.revision
    if name == "shieldgemma2":
        with pytest.raises(EngineSetupError, match="scores labels of its own"):
            opened(name, dialect="none")
        return
    plain = opened(name, dialect="none", least_mass=0)
    assert plain.card.dialect == ""
    assert plain.card.notes == ()
    assert plain.card.revision != opened(name).card.revision
