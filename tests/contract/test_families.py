"""`hf:` on the families that people run, against transformers' own call of the same model."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from families import FAMILIES, build_family
from family_reads import MIXED, ODD, RED, Oracle, ask
from given import BATCH
from test_engines import close_to, forced, free, read
from test_hf import encoder_calls

from safejudge import prompts
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.prefix import PrefixReader
from safejudge.engines.trivial import QUESTIONS
from safejudge.errors import EngineSetupError
from safejudge.types import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

QUICK = ("qwen3_vl", "gemma4", "mistral3", "glm46v", "llama4")
"""Enough for every mechanism; the others run with `-m families`."""


def members(names: Iterable[str]) -> list[Any]:
    """Parameters of a test: families, those that take long behind their marker."""
    marks = {name: [pytest.mark.families] * (name not in QUICK) for name in names}
    return [pytest.param(name, marks=marked) for name, marked in marks.items()]


THINKING = ("qwen3_vl_thinking", "kimi_k25", "glm4v", "muse_glimmer")
"""Those that begin with something else than an answer."""
OPENED = members(name for name, family in FAMILIES.items() if family.opens)
REFUSED = members([name for name, family in FAMILIES.items() if not family.opens])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model, built on first use."""

    @cache
    def build(name: str) -> Path:
        try:
            return build_family(name, tmp_path_factory.mktemp(name))
        except ImportError as error:
            pytest.skip(f"its processor cannot be loaded here: {str(error).strip()[:200]}")

    return build


@pytest.fixture(scope="session")
def opened(folder: Callable[[str], Path]) -> Callable[..., HFEngine]:
    """An engine of a family, told what its model writes before an answer."""

    @cache
    def engine(name: str, **options: Any) -> HFEngine:
        if FAMILIES[name].opening:
            options["reply_prefix"] = FAMILIES[name].opening
        where = str(folder(name))
        return HFEngine(where, uri=f"hf:{name}", device="cpu", batch_size=BATCH, **options)

    return engine


@pytest.mark.parametrize("name", OPENED)
def test_it_is_read_where_it_answers(name: str, opened: Callable[..., HFEngine]) -> None:
    engine = opened(name)
    prompt = engine._chat.question_prompt()
    assert prompt.rfind("<think>") <= prompt.rfind("</think>")
    probes = [Probe("", (), question) for question in QUESTIONS]
    assert min(answer.label_mass for answer in read(engine, [*probes, *MIXED[:2]])) > 0.5


@pytest.mark.parametrize("name", members(THINKING))
def test_untold_it_is_read_where_it_answers_or_refused(
    name: str, folder: Callable[[str], Path]
) -> None:
    """Without being told anything: what cannot be known from the template is refused."""
    try:
        engine = HFEngine(str(folder(name)), uri=f"hf:{name}", device="cpu")
    except EngineSetupError as error:
        assert FAMILIES[name].opening, "its template can be told, or its thought closed"
        likeliest = repr(FAMILIES[name].opening[: 7 if name == "glm4v" else 1])
        assert likeliest in str(error)  # noqa: PT017 - either way is right
        return
    prompt = engine._chat.question_prompt()
    assert prompt.rfind("<think>") <= prompt.rfind("</think>")
    assert read(engine, [Probe("", (), QUESTIONS[0])])[0].label_mass > 0.5


@pytest.mark.parametrize("name", OPENED)
def test_numbers_are_those_of_transformers(
    name: str, folder: Callable[[str], Path], opened: Callable[..., HFEngine]
) -> None:
    engine = opened(name)
    oracle = Oracle(folder(name), engine, FAMILIES[name].opening)
    for probe, answer in zip(MIXED, read(engine, MIXED), strict=True):
        assert answer.p_labels == pytest.approx(oracle.probabilities(probe), abs=1e-5)


@pytest.mark.parametrize("name", OPENED)
def test_a_batch_is_its_members_one_by_one(name: str, opened: Callable[..., HFEngine]) -> None:
    engine = opened(name)
    together = read(engine, MIXED)
    assert all(map(close_to, together, [read(engine, [probe])[0] for probe in MIXED]))
    assert not close_to(together[3], together[4])  # the order of two pictures
    assert not close_to(together[0], together[5])


@pytest.mark.parametrize("name", OPENED)
def test_odd_sizes_cost_themselves_at_most(name: str, opened: Callable[..., HFEngine]) -> None:
    engine = opened(name)
    usual, *answers = engine.answer_probs([ask((image,)) for image in (RED, *ODD)])
    assert close_to(usual, read(engine, [ask((RED,))])[0])
    assert all(answer.problem or answer.score is not None for answer in answers)
    replies = engine.reason([free("What?", images=(image,)) for image in (RED, *ODD)])
    assert replies[0] == engine.reason([free("What?")])[0]


@pytest.mark.parametrize("name", OPENED)
def test_a_picture_is_encoded_once(name: str, folder: Callable[[str], Path]) -> None:
    where = str(folder(name))
    prefix = {"reply_prefix": FAMILIES[name].opening} if FAMILIES[name].opening else {}
    engine = HFEngine(where, uri=f"hf:{name}", device="cpu", batch_size=BATCH, **prefix)
    probes = [ask((RED,), f"statement {i}") for i in range(20)]
    with encoder_calls(engine) as calls:
        read(engine, [*probes, *MIXED])
    reader: Any = engine._reader
    features = reader._whole if isinstance(reader, PrefixReader) else reader
    together = 3 if features._apart else 6  # RED, BLUE, WIDE; or each list of pictures
    assert calls.call_count == together
    remembered = read(engine, MIXED)
    with patch.object(engine, "_reader", engine._plain):
        assert all(map(close_to, remembered, read(engine, MIXED)))


@pytest.mark.parametrize("name", OPENED)
def test_it_replies_freely_and_in_a_form(name: str, opened: Callable[..., HFEngine]) -> None:
    engine = opened(name)
    text, later = engine.reason([free("What is it?"), free("What is it?", "A square.", "So?")])
    assert isinstance(text, str)
    assert isinstance(later, str)
    (reply,) = engine.reason([forced(prompts.ReasonedAnswer, "Well?", 300)])
    prompts.ReasonedAnswer.model_validate_json(reply)


@pytest.mark.parametrize("name", OPENED)
def test_half_precision_reads_nearly_the_same(name: str, opened: Callable[..., HFEngine]) -> None:
    whole, half = (read(opened(name, dtype=kind), MIXED[:4]) for kind in ("float32", "bfloat16"))
    for one, other in zip(whole, half, strict=True):
        assert one.score == pytest.approx(other.score, abs=0.1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_asked_is_refused_by_name(name: str, folder: Callable[[str], Path]) -> None:
    where = str(folder(name))
    with pytest.raises(EngineSetupError, match=re.escape(where)):
        HFEngine(where, uri=f"hf:{name}", device="cpu")
