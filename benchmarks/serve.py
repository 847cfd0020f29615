"""vLLM's own server with the sketch judge on 127.0.0.1, for benchmarks and tests.

`with Serve(Path("vllm.log")) as server:` starts it and stops it. It can be killed and started
again in between. Runs where vLLM is (`.venv-vllm`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

from safejudge.sketch.judge import model_folder

PATIENCE = 600
"""Seconds that a server may take to start on a busy machine."""


class Serve:
    """One `vllm serve` of the sketch judge; the port stays when it is started again."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.uri = f"http://{self.address}/v1#sketch"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            # What `vllm serve` runs; that command asks for a package named vllm, and the build
            # for CPUs has another name.
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(model_folder("vlm")),
            "--served-model-name", "sketch", "--host", "127.0.0.1", "--port", str(self.port),
            "--dtype", "float32", "--max-model-len", "1024", "--block-size", "32",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            # A group of its own, so that its workers can be killed with it.
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ},
            )
        begun = time.monotonic()
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended at the start: {self._log.read_text()[-2000:]}")
            if time.monotonic() - begun > PATIENCE:
                raise RuntimeError(f"vLLM did not answer within {PATIENCE} s")
            time.sleep(0.5)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False
