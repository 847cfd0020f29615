"""A model is read where it answers, or not opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
import torch

from safejudge.engines import trivial
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.place import prove_place
from safejudge.errors import EngineSetupError
from safejudge.types import AnswerProbs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from safejudge.engines.local.chat import Chat
    from safejudge.engines.tokens import LabelBook

SURE = AnswerProbs((0.6, 0.3), top="Yes")
ELSEWHERE = AnswerProbs((0.005, 0.003), top="<think>")


@pytest.fixture
def chat(open_tiny: Callable[[str], HFEngine]) -> Chat:
    return open_tiny("qwen2_5_vl")._chat


def answering(*rounds: AnswerProbs) -> Callable[[LabelBook], Sequence[AnswerProbs]]:
    """Gives each round of questions its answer."""
    left = list(rounds)
    return lambda _labels: [left.pop(0)] * len(trivial.PROBES)


def test_a_thought_of_the_model_s_own_is_closed(chat: Chat) -> None:
    labels = prove_place(answering(ELSEWHERE, SURE), chat, "ORG/MODEL")
    assert chat.opening == "<think>\n\n</think>\n\n"
    assert chat.question_prompt().endswith(chat.opening)
    assert labels.yes_no.labels == ("yes", "no")
    assert chat.identity["reply_prefix"] == chat.opening


def test_a_thought_is_closed_by_its_own_mark(chat: Chat) -> None:
    wants = AnswerProbs((0.005, 0.003), top=" [THINK]")
    prove_place(answering(wants, SURE), chat, "ORG/MODEL")
    assert chat.opening == "[THINK]\n\n[/THINK]\n\n"


STRAYING = [
    (answering(ELSEWHERE, ELSEWHERE), "0.008 and 0.008 .* it wants to say '<think>'"),
    (answering(AnswerProbs((0.1, 0.2), top="Sorry")), "0.3 and 0.3 .* it wants to say 'Sorry'"),
    (answering(AnswerProbs((0.0, 0.0), problem="NaN")), "answers not even .*NaN"),
]


@pytest.mark.parametrize(("read", "message"), STRAYING)
def test_one_that_answers_elsewhere_is_refused(
    chat: Chat, read: Callable[[LabelBook], Sequence[AnswerProbs]], message: str
) -> None:
    before = chat.question_prompt()
    with pytest.raises(EngineSetupError, match=message) as caught:
        prove_place(read, chat, "ORG/MODEL")
    assert "ORG/MODEL" in str(caught.value)
    assert chat.question_prompt() == before


def test_one_question_that_is_answered_is_enough(chat: Chat) -> None:
    prove_place(lambda _: [ELSEWHERE, SURE], chat, "ORG/MODEL")
    assert chat.opening == ""


@pytest.fixture(scope="module")
def mute_folder(
    tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model that says neither yes nor no, wherever one reads."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = tmp_path_factory.mktemp("mute")
    with tiny_models.pictures_only():
        AutoProcessor.from_pretrained(tiny_folder("llava")).save_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(tiny_folder("llava"))
    torch.manual_seed(3)
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, 0.01)
    model.save_pretrained(folder)
    return folder


def opened(folder: Path, **options: Any) -> HFEngine:
    with tiny_models.pictures_only():
        return HFEngine(str(folder), uri="hf:x", device="cpu", **options)


def test_a_mute_model_is_refused_and_opens_where_a_person_wants_it(mute_folder: Path) -> None:
    with pytest.raises(EngineSetupError, match=r"Its prompts end in .*ASSISTANT:.*least_mass=0"):
        opened(mute_folder)
    (answer,) = opened(mute_folder, least_mass=0).answer_probs([trivial.PROBES[0]])
    assert 0 < answer.label_mass < 0.5


def test_what_prompts_end_with_is_part_of_the_revision(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llava")
    revisions = {
        opened(folder, least_mass=0, **options).card.revision
        for options in ({}, {"reply_prefix": " So:"}, {"reply_prefix": " Thus:"})
    }
    assert len(revisions) == 3
    assert opened(folder, reply_prefix="").card.revision in revisions
