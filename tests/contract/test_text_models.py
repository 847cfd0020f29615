"""Models that take text alone: valid engines for requests without pictures, and for no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from given import picture

from safejudge import Judge, prompts
from safejudge.compile.run import compile_constitution
from safejudge.engines.open import open_engine
from safejudge.errors import EngineSetupError
from safejudge.types import Message, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from safejudge.engines.base import Engine

OPTIONS: dict[str, dict[str, Any]] = {
    "hf": {"device": "cpu", "batch_size": 4},
    "vllm": {"dtype": "float32", "max_model_len": 16384},
}
QUESTIONS = [
    Probe(prompts.ASK, (), prompts.statement_question(f"statement {number}")) for number in range(6)
]
SEEN = Probe(prompts.ASK, (picture(1),), prompts.statement_question("a dog is visible"))


def told(text: str, **more: Any) -> Reasoning:
    return Reasoning("Answer.", (), (Message("user", text),), **{"max_tokens": 8, **more})


@pytest.fixture(scope="module", params=["hf", pytest.param("vllm", marks=pytest.mark.vllm)])
def reader(request: pytest.FixtureRequest, text_folder: Path) -> Iterator[Engine]:
    opened = open_engine(f"{request.param}:{text_folder}", **OPTIONS[request.param])
    yield opened
    opened.close()


def test_text_is_answered_and_pictures_are_not(reader: Engine) -> None:
    assert not reader.card.pictures
    *answers, refused = reader.answer_probs([*QUESTIONS, SEEN])
    assert all(answer.score is not None for answer in answers)
    assert len({answer.score for answer in answers}) > 1
    assert refused.score is None
    assert "takes text alone" in str(refused.problem)


def test_replies_free_and_under_a_schema(reader: Engine) -> None:
    turns = (Message("user", "What?"), Message("assistant", "So."), Message("user", "And?"))
    talk = Reasoning("Answer.", (), turns, max_tokens=8)
    shown = Reasoning("Answer.", (picture(1),), turns, max_tokens=8)
    forced = told("Well?", schema=prompts.ReasonedAnswer, max_tokens=300)
    replies = reader.reason([told("What?"), talk, shown, forced, told("What?")])
    assert replies[0]
    assert replies[0] == replies[4]
    assert replies[1] != replies[0]
    assert replies[2] == ""
    prompts.ReasonedAnswer.model_validate_json(replies[3])


def test_it_cannot_judge(reader: Engine) -> None:
    with pytest.raises(EngineSetupError, match=r"takes text alone.*vision-language"):
        Judge.load("default", reader)


@pytest.mark.vllm
def test_vllm_and_transformers_agree(text_folder: Path, reader: Engine) -> None:
    with_transformers = open_engine(f"hf:{text_folder}", **OPTIONS["hf"])
    pairs = zip(
        with_transformers.answer_probs(QUESTIONS), reader.answer_probs(QUESTIONS), strict=True
    )
    assert all(one.p_labels == pytest.approx(other.p_labels, abs=1e-4) for one, other in pairs)


RULES = """\
name: test
rules:
  - {id: dogs, category: test, severity: low, text: "No scary dogs near kids, except on a lead."}
  - {id: crowd, category: test, severity: low, text: Not too many people on a boat.}
"""


def test_compiling_with_random_weights_fits_every_form_and_passes_no_check(
    reader: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(RULES)
    forced: list[tuple[type[BaseModel], str]] = []
    reason = reader.reason

    def noted(requests: Sequence[Reasoning]) -> list[str]:
        replies = reason(requests)
        forced.extend(
            (request.schema, reply)
            for request, reply in zip(requests, replies, strict=True)
            if request.schema is not None
        )
        return replies

    monkeypatch.setattr(reader, "reason", noted)
    with pytest.raises(EngineSetupError, match="too small to compile"):
        compile_constitution(file, reader)
    forced.clear()
    results = compile_constitution(file, reader, rounds=2, self_test=False)
    assert len(forced) > 8
    for schema, reply in forced:
        schema.model_validate_json(reply)
    assert not any(result.clean for result in results)
