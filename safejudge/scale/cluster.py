"""Ray itself: a cluster to work on, and how many actors fit on it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from safejudge.errors import InputError
from safejudge.text import cut, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT = 60
"""Seconds in which a cluster has to answer."""
_ROUNDING = 1e-6
"""Shares of a GPU are floating-point numbers, and their sums are not exact."""


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Use the Ray of this process, of `address` or $RAY_ADDRESS, or one for this run alone."""
    import ray

    if ray.is_initialized():
        if address is not None:
            raise InputError(
                f"--ray-address {address}: this process uses a Ray already; call ray.shutdown() "
                "first, or leave it out"
            )
        yield
        return
    # Not Ray's own default, the last cluster that was started here, which may be long dead.
    chosen = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    # Else Ray's C++ part warns on the terminal of what its Python part does with any actor.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if chosen != "local":
        check_reachable(chosen)
        check_answers(chosen)
    try:
        with _stderr_discarded():  # it would say what its log level was set to
            ray.init(
                chosen, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(chosen, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_reachable(address: str) -> None:
    """Raise `InputError` where nobody listens: Ray itself would wait there for very long."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


_LOOK = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, include_dashboard=False)"


def check_answers(address: str, seconds: float = CONNECT) -> None:
    """Raise `InputError` where a cluster does not answer in time, or not as one does.

    Ray waits without an end for what listens and is silent, such as the port of something else, or
    a cluster whose head is gone (`auto`). So another process connects first, which can be ended.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK, address],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        problem = f"it did not answer within {seconds:g} seconds"
        raise _no_cluster(address, TimeoutError(problem)) from None
    if done.returncode:
        *_, problem = ("it ended", *filter(str.strip, done.stderr.splitlines()))
        raise _no_cluster(address, ConnectionError(cut(one_line(problem))))


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--ray-address {address}: no cluster of Ray can be used there ({error}); give the "
        "HOST:PORT that `ray start --head` prints, and set RAY_AUTH_MODE=token where the cluster "
        "wants one"
    )


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Throw away what anything writes to the standard error, C++ too."""
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@dataclass(frozen=True, slots=True)
class Pool:
    """How many actors there are, and what each of them takes."""

    actors: int
    gpus: float
    """For each of them; 0: a CPU instead."""

    @property
    def takes(self) -> dict[str, float]:
        """What Ray is told of each."""
        return {"num_gpus": self.gpus} if self.gpus else {"num_cpus": 1}

    @classmethod
    def fitted(cls, actors: int | None, gpus_per_actor: float | None) -> Self:
        """Fit a request to what Ray has: one actor per GPU, or one, where it leaves that open.

        Raises `InputError` for more than there is.
        """
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus, all_gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        gpus = min(1.0, all_gpus) if gpus_per_actor is None else gpus_per_actor
        actors = actors or (max(1, int(all_gpus / gpus + _ROUNDING)) if gpus else 1)
        if actors * gpus > all_gpus + _ROUNDING:
            raise InputError(
                f"{actors} actors with {gpus:g} GPUs each, but Ray has {all_gpus:g} GPUs; give "
                "fewer --actors, or a smaller --gpus-per-actor (0.5: two share one; 0: none)"
            )
        if not gpus and actors > cpus:
            raise InputError(
                f"--actors {actors}: each takes one CPU, and Ray has {cpus:g}; give fewer"
            )
        return cls(actors, gpus)
