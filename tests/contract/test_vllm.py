"""Beyond the contract: `vllm:` gives the numbers of `hf:`, sends pictures once, names errors."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from given import picture

from safejudge import Judge, Judgment, Policy, prompts
from safejudge.constitution.load import load_constitution
from safejudge.engines.guide import json_regex
from safejudge.engines.local import vllm_start
from safejudge.engines.local import vllm_steps as steps
from safejudge.engines.local.worker_log import last_error
from safejudge.engines.models import Models
from safejudge.engines.open import open_engine
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.sketch.world.statements import grammar
from safejudge.types import Message, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from safejudge.engines.base import Engine
    from safejudge.engines.local.vllm import VLLMEngine

RNG = random.Random("vllm")
SCENES = [Picture.of(draw(even_scene(RNG)).pixels) for _ in range(6)]
STATEMENTS = RNG.sample(sorted(grammar()), 10)
CLOSE = 1e-3
"""In float32 the two may differ by the order of their sums, and by nothing else."""


def ask(*pictures: Picture, statement: str = STATEMENTS[0], **more: Any) -> Probe:
    return Probe(prompts.ASK, pictures, prompts.statement_question(statement), **more)


@pytest.fixture(scope="module")
def sketch(open_vllm: Callable[[str], Engine]) -> Iterator[Engine]:
    engine = open_vllm("sketch")
    yield engine
    engine.close()


@pytest.fixture
def inside(sketch: Engine) -> VLLMEngine:
    """The engine behind the door that refuses what is no drawn scene."""
    return sketch.engine  # type: ignore[attr-defined, no-any-return]


@pytest.mark.vllm
def test_reads_are_those_of_transformers(sketch: Engine) -> None:
    probes = [ask(scene, statement=s) for scene in SCENES for s in STATEMENTS]
    probes += [ask(statement=s) for s in STATEMENTS]
    probes += [ask(SCENES[0], SCENES[1]), ask(SCENES[0], labels=("A", "B"))]
    probes += [ask(SCENES[0], labels=tuple(str(n) for n in range(1, 11)))]
    probes += [ask(SCENES[1], labels=("very bad", "bad", "good", "very good"))]
    reference = open_engine("hf:sketch")
    for one, other in zip(sketch.answer_probs(probes), reference.answer_probs(probes), strict=True):
        assert one.problem == other.problem
        assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)
        if one.score is not None and other.score is not None:
            assert one.score == pytest.approx(other.score, abs=CLOSE)


@pytest.mark.vllm
def test_a_picture_is_sent_once_and_again_when_it_was_forgotten(
    inside: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = [Picture.of(draw(even_scene(random.Random(seed))).pixels) for seed in (91, 92)]
    sent: list[str] = []
    real = steps.as_image
    monkeypatch.setattr(steps, "as_image", lambda p: sent.append(p.digest) or real(p))
    first = inside.answer_probs([ask(p, statement=s) for p in fresh for s in STATEMENTS[:3]])
    assert sorted(sent) == sorted(p.digest for p in fresh)
    again = [ask(p, statement=s) for p in fresh for s in STATEMENTS[3:5]]
    inside.answer_probs(again)
    assert len(sent) == 2
    inside._llm.reset_mm_cache()
    inside._llm.reset_prefix_cache()
    later = inside.answer_probs([ask(p, statement=s) for p in fresh for s in STATEMENTS[:3]])
    assert [a.problem for a in later] == [None] * 6
    for one, other in zip(first, later, strict=True):
        assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)


@pytest.mark.vllm
def test_tokens_are_counted_and_a_question_again_is_cached(sketch: Engine) -> None:
    counted = sketch.tokens
    assert counted is not None
    picture = Picture.of(draw(even_scene(random.Random(93))).pixels)
    before = counted.prompt
    sketch.answer_probs([ask(picture, statement=STATEMENTS[0])])
    once, cached = counted.prompt - before, counted.cached
    assert once > 0
    assert cached is not None
    sketch.answer_probs([ask(picture, statement=STATEMENTS[0])])
    assert counted.prompt == before + 2 * once
    assert cached < counted.cached < cached + once


@pytest.mark.vllm
def test_what_is_too_long_costs_itself_alone(inside: VLLMEngine) -> None:
    long = ask(SCENES[0], statement="a dog is visible " * 900)
    one, two, three = inside.answer_probs([ask(SCENES[0]), long, ask(SCENES[1])])
    assert one.problem is three.problem is None
    assert two.problem is not None
    assert "context length" in two.problem
    assert two.score is None
    turns = (Message("user", "why " * 2000),)
    said = Message("user", "What does it show?")
    replies = inside.reason(
        [Reasoning(prompts.REASON, (SCENES[0],), t, max_tokens=8) for t in (turns, (said,))]
    )
    assert replies[0] == ""
    assert replies[1]


@pytest.mark.vllm
def test_what_is_too_long_with_its_picture_costs_itself_alone(inside: VLLMEngine) -> None:
    room = inside._llm.model_config.max_model_len
    for seed, words in ((94, "a "), (95, "zebra ")):  # before and after the others in a batch
        fresh, statement = Picture.of(draw(even_scene(random.Random(seed))).pixels), words
        while len(inside._chat.probe_ids(ask(fresh, statement=statement + words))) < room:
            statement += words
        probes = [ask(fresh, statement=s) for s in (statement, *STATEMENTS[:2])]
        long, *others = inside.answer_probs(probes)
        assert long.problem is not None
        assert long.score is None
        assert [other.problem for other in others] == [None, None]


@pytest.mark.vllm
def test_a_new_picture_may_stand_twice_in_a_request(inside: VLLMEngine) -> None:
    fresh = Picture.of(draw(even_scene(random.Random(96))).pixels)
    twice = inside.answer_probs([ask(fresh, fresh)])
    assert [answer.problem for answer in twice] == [None]
    again = inside.answer_probs([ask(fresh, fresh)])
    assert again[0].p_labels == pytest.approx(twice[0].p_labels, abs=CLOSE)


@pytest.mark.vllm
def test_a_closed_engine_says_so(open_vllm: Callable[[str], Engine]) -> None:
    engine = open_vllm("llava")
    assert engine.answer_probs([ask(picture(1))])[0].problem is None
    engine.close()
    engine.close()
    with pytest.raises(EngineCallError, match="is closed; open it again"):
        engine.answer_probs([ask(picture(1))])


@pytest.mark.vllm
def test_wrong_options_and_unknown_models_are_named(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(EngineSetupError, match=r"no option colour.*--engine-arg"):
        open_engine("vllm:sketch", colour="red")
    folder = shutil.copytree(tiny_folder("llava"), tmp_path / "strange")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["NoSuchModelForAnything"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineSetupError, match="NoSuchModel"):
        open_engine(f"vllm:{folder}")
    with pytest.raises(EngineSetupError, match=r"vLLM did not start"):
        open_engine("vllm:sketch", max_model_len=10**9)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_what_to_install(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(EngineSetupError, match=r"pip install 'safejudge\[vllm\]'.*server:.*hf:"):
        open_engine(f"vllm:{tiny_folder('llava')}")


def test_what_runs_out_is_told_with_a_way_out() -> None:
    for text in ("CUDA out of memory. Tried", "No available memory for the cache blocks: KV cache"):
        assert "gpu_memory_utilization=0.95" in vllm_start.failed(RuntimeError(text))
    taken = "ValueError: Free memory on device (3/24 GiB) on startup is less than desired"
    for told in (vllm_start.failed(RuntimeError(taken)), vllm_start.failed(DEAD, "x", taken)):
        assert "gpu_memory_utilization=0.5 " in told
        assert not told.endswith("x")
    with patch.dict("sys.modules", {"vllm": None}), pytest.raises(EngineSetupError, match="vllm:x"):
        vllm_start.import_vllm("vllm:x")


COMMAND = (sys.executable, "-m", "safejudge")
DEAD = RuntimeError("Engine core initialization failed. See root cause above.")
LOG = """\
ERROR 2026-01-01 [vllm.v1.engine.core] EngineCore encountered a fatal error.
Traceback (most recent call last):
  File "core.py", line 1, in run
RuntimeError: CPU GDN attention requires BF16
ERROR 2026-01-01 [vllm.v1.engine.async_llm] AsyncLLM output_handler failed.
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.
Exception: WorkerProc initialization failed in the background. See stack trace for root cause.
"""


def test_the_cause_of_a_death_is_found_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "errors.log"
    assert last_error(None) == last_error(log) == ""
    log.write_text(LOG)
    assert last_error(log) == "RuntimeError: CPU GDN attention requires BF16"
    log.write_bytes(b"\xff" * 100_000 + b"\n" + LOG.encode())
    assert last_error(log) == "RuntimeError: CPU GDN attention requires BF16"


@pytest.mark.vllm
def test_its_processes_end_with_the_one_that_is_ended(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    scenes = [str(tmp_path / "scenes"), "--count", "400"]
    subprocess.run([*COMMAND, "sketch", "scenes", "--out", *scenes], check=True)
    out = tmp_path / "r.jsonl"
    words = ["--constitution", "sketch", "--engine", "vllm:sketch", "--out", str(out)]
    process = subprocess.Popen([*COMMAND, "judge", scenes[0], *words])
    while not (out.exists() and out.read_bytes().count(b"\n") > 1):
        assert process.poll() is None
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("VLLM" in child.name() for child in children)
    process.terminate()
    assert process.wait() == 143
    _, alive = psutil.wait_procs(children, timeout=300)
    assert not alive


def break_down(model: Any) -> None:
    """Let a model in vLLM's own process fail from now on."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("this kernel requires BF16")

    model.forward = fail


@pytest.mark.vllm
def test_a_process_that_died_tells_of_what(
    open_vllm: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
    engine: Any = open_vllm("llava")
    engine._llm.apply_model(break_down)
    for _ in range(2):
        with pytest.raises(EngineCallError, match=r"It met: .*this kernel requires BF16"):
            engine.answer_probs([ask(picture(1))])
    engine.close()


@pytest.mark.vllm
def test_what_comes_before_an_answer_is_read_alike(tiny_folder: Callable[[str], Path]) -> None:
    options: dict[str, Any] = {"reply_prefix": " It is so: no, I mean the following"}
    folder = tiny_folder("llava")
    vllm_options = {"dtype": "float32", "max_model_len": 1024, "least_mass": 0.0}
    theirs: Any = open_engine(f"vllm:{folder}", **vllm_options, **options)
    ours = open_engine(f"hf:{folder}", least_mass=0.0, device="cpu", **options)
    probes = [ask(picture(1)), ask()]
    for a, b in zip(theirs.answer_probs(probes), ours.answer_probs(probes), strict=True):
        assert a.p_labels == pytest.approx(b.p_labels, abs=CLOSE)
    assert theirs._regex is json_regex
    theirs.close()


@pytest.mark.vllm
def test_a_judge_is_answered_one_by_one_and_judges_the_same(sketch: Engine) -> None:
    """While some images are asked about, others begin; who stops listening leaves nothing."""
    shown = [draw(even_scene(random.Random(f"stream {n}"))).pixels for n in range(12)]
    rules, policy = load_constitution("sketch"), Policy(relevance=False, crop=False)
    models = Models(sketch)
    assert models.stream() is not None
    judge = Judge(rules, models, policy)
    ours = judge(shown)
    theirs = Judge(rules, Models(open_engine("hf:sketch")), policy)(shown)
    assert [one.label for one in ours] == [one.label for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, Judgment)
        assert isinstance(other, Judgment)
        assert {r: v.outcome for r, v in one.rules.items()} == {
            r: v.outcome for r, v in other.rules.items()
        }
    stopped = judge.stream(shown)
    next(stopped)
    stopped.close()
    (again,) = judge(shown[:1])
    assert again.label == ours[0].label
