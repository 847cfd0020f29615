"""`server:` against a real `vllm serve` on loopback, started, killed and started again here."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from safejudge import prompts
from safejudge.engines import open_engine
from safejudge.engines.http import Retry
from safejudge.engines.server import ServerEngine
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.prompts import ReasonedAnswer
from safejudge.sketch.draw import draw
from safejudge.sketch.judge import model_folder
from safejudge.sketch.sample import even_scene
from safejudge.sketch.statements import grammar
from safejudge.types import Message, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.vllm

RNG = random.Random("serve")
SCENES = [Picture.of(draw(even_scene(RNG)).pixels) for _ in range(5)]
STATEMENTS = RNG.sample(sorted(grammar()), 8)
PROBES = [
    Probe(prompts.ASK, (scene,), prompts.statement_question(statement))
    for scene in SCENES
    for statement in STATEMENTS
] + [Probe(prompts.ASK, (), prompts.statement_question(statement)) for statement in STATEMENTS]
CLOSE = 1e-3
PATIENCE = 300
"""Seconds that a server may take to start on a busy machine."""


class Serve:
    """One `vllm serve` of the sketch judge; the port stays when it is started again."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}/v1#sketch"
        self._log = log.open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            # What `vllm serve` runs; that command asks for a package named vllm, and the build
            # for CPUs has another name.
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(model_folder("vlm")),
            "--served-model-name", "sketch", "--host", "127.0.0.1", "--port", str(self.port),
            "--dtype", "float32", "--max-model-len", "1024", "--block-size", "32",
            # Otherwise a weak model writes spaces between two parts until its reply is cut.
            "--structured-outputs-config",
            '{"backend": "xgrammar", "disable_any_whitespace": true}',
        ]  # fmt: skip
        # A group of its own, so that its workers can be killed with it.
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, start_new_session=True
        )
        begun = time.monotonic()
        while not self._answers():
            assert self._process.poll() is None, Path(self._log.name).read_text()[-2000:]
            assert time.monotonic() - begun < PATIENCE, "vllm serve did not start"
            time.sleep(0.5)

    def kill(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def close(self) -> None:
        self.kill()
        self._log.close()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    server = Serve(tmp_path_factory.mktemp("serve") / "vllm.log")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def engine(serve: Serve) -> Iterator[ServerEngine]:
    opened = ServerEngine(serve.uri, uri="server:sketch", retry=Retry(tries=2))
    yield opened
    opened.close()


def test_reads_are_exact_and_those_of_transformers(engine: ServerEngine) -> None:
    assert engine.card.versions["vllm"]
    found = engine.answer_probs(PROBES)
    expected = open_engine("hf:sketch").answer_probs(PROBES)
    for one, other in zip(found, expected, strict=True):
        if other.problem is None:  # the door to what is no drawn scene is not the server's
            assert one.problem is None
            assert one.exact
            assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)
            assert one.score == pytest.approx(other.score, abs=CLOSE)


def test_reasoning_fits_the_schema(engine: ServerEngine) -> None:
    turns = (Message("user", prompts.statement_question(STATEMENTS[0])),)
    requests = [
        Reasoning(prompts.REASON, (scene,), turns, ReasonedAnswer, 300) for scene in SCENES[:3]
    ]
    for reply in engine.reason(requests):
        ReasonedAnswer.model_validate_json(reply)


def test_a_wrong_model_name_is_told_with_the_right_one(serve: Serve) -> None:
    with pytest.raises(EngineSetupError, match="sketch"):
        open_engine(f"server:http://127.0.0.1:{serve.port}/v1#skethc")


def ask_for_ever(engine: ServerEngine) -> None:
    while True:
        engine.answer_probs(PROBES)


def test_killed_while_it_works_and_started_again(serve: Serve, engine: ServerEngine) -> None:
    before = engine.answer_probs(PROBES[:8])
    killer = threading.Timer(0.5, serve.kill)
    killer.start()
    with pytest.raises(EngineCallError, match="no longer answers"):
        ask_for_ever(engine)
    killer.join()
    with pytest.raises(EngineCallError, match="no longer answers"):
        engine.answer_probs(PROBES[:1])
    serve.start()
    after = engine.answer_probs(PROBES[:8])
    for one, other in zip(before, after, strict=True):
        assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)
