"""Actors of Ray that judge: how many there are, what each is told, and what it does.

Takes places and what a judge is opened from; gives tables of records, in whatever order the actors
end. Each opens one engine and reads its images itself. A window whose actor dies goes to another
one, a few times.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import socket
import traceback
import uuid
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.meter import account
from safejudge.errors import EngineCallError, EngineError, InputError, SafejudgeError
from safejudge.files import records
from safejudge.images.shards import read
from safejudge.judge import chosen_policy, missing
from safejudge.types import Failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    import pyarrow as pa  # type: ignore[import-untyped]

    from safejudge.images.shards import Place
    from safejudge.judge import Judge
    from safejudge.opening import JudgeSpec
    from safejudge.types import JSON, Result

DEATHS = 3
"""How often a window may lose its actor; one that kills every actor must not be tried forever."""

BLOCKS = 4096
"""In so many pieces at most a run goes to Ray, which needs milliseconds for each to begin with."""

ABOUT = "about"
"""The column in which an actor says what it is; null in the rows of records."""


# --- Ray itself -----------------------------------------------------------------------------------


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
    _knock(chosen)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    # Else Ray's C++ part warns on the terminal of what its Python part does with any actor.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        with _hushed():  # it would say what its log level was set to
            ray.init(
                chosen, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(chosen, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise `InputError` where nobody listens: Ray itself would wait there for very long."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--ray-address {address}: no cluster of Ray can be used there ({error}); give the "
        "HOST:PORT that `ray start --head` prints, and set RAY_AUTH_MODE=token where the cluster "
        "wants one"
    )


@contextmanager
def _hushed() -> Iterator[None]:
    """Throw away what anything writes to the standard error, C++ too."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# --- the pool -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pool:
    """How many actors there are, and what each of them takes."""

    actors: int
    gpus: float

    @staticmethod
    def of(options: argparse.Namespace) -> Pool:
        """Fit the options to what Ray has: one actor per GPU, or one, unless they say otherwise."""
        import ray

        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus, all_gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
        gpus = min(1.0, all_gpus) if options.gpus_per_actor is None else options.gpus_per_actor
        actors = options.actors or (max(1, int(all_gpus / gpus + 1e-6)) if gpus else 1)
        if actors * gpus > all_gpus + 1e-6:
            raise InputError(
                f"{actors} actors with {gpus:g} GPUs each, but Ray has {all_gpus:g} GPUs; give "
                "fewer --actors, or a smaller --gpus-per-actor (0.5: two share one; 0: none)"
            )
        if not gpus and actors > cpus:
            raise InputError(
                f"--actors {actors}: each takes one CPU, and Ray has {cpus:g}; give fewer"
            )
        return Pool(actors, gpus)


def judged(places: Sequence[Place], choices: Choices, pool: Pool) -> Iterator[pa.Table]:
    """Yield what the actors find, in whatever order; also where there is nothing to judge.

    Raises `EngineCallError` where Ray gives up.
    """
    import ray
    from ray import data, exceptions

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it says is raised as well
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    blocks = _blocks(places, choices.window)
    attempts = ray.remote(Attempts).options(num_cpus=0).remote()
    found = data.from_arrow(blocks).map_batches(
        Worker,
        fn_constructor_args=(choices, attempts),
        compute=data.ActorPoolStrategy(size=min(pool.actors, len(blocks))),
        batch_size=choices.window,
        batch_format="pyarrow",
        num_gpus=pool.gpus or None,
        num_cpus=None if pool.gpus else 1,
    )
    try:
        yield from found.iter_batches(batch_size=None, batch_format="pyarrow")
    except exceptions.RayError as error:
        *_, problem = ("", *filter(str.strip, str(error).splitlines()))
        raise EngineCallError(
            f"Ray gave up: {type(error).__name__}: {problem.strip()[:300]}. Every machine needs "
            "the same safejudge; where actors died for want of memory, give fewer --actors"
        ) from error


def _blocks(places: Sequence[Place], window: int) -> list[pa.Table]:
    """Pack places for Ray: the windows of a block go to one actor and come back together."""
    import pyarrow as pa

    packed = [pickle.dumps(place) for place in places] or [pickle.dumps(None)]
    windows = pa.array([index // window for index in range(len(packed))])
    table = pa.table({"place": packed, "window": windows})
    size = window * math.ceil(len(packed) / window / BLOCKS)
    return [table.slice(start, size).combine_chunks() for start in range(0, len(packed), size)]


class Attempts:
    """Counts how often a window was begun and not ended; outlives the actors that judge."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, window: int) -> int:
        """Count one more beginning."""
        self._begun[window] += 1
        return self._begun[window]

    def end(self, window: int) -> None:
        """Forget a window that was judged."""
        del self._begun[window]


@dataclass(frozen=True, slots=True)
class Choices:
    """What an actor needs to know."""

    opening: JudgeSpec
    """What its judge is opened from."""
    window: int
    captions: bool
    """Whether captions that lie beside the images count: not beside a prompt file."""
    folder: str
    """Where the command was given; relative paths are meant from there."""


class Worker:
    """What an actor is: a judge that takes tables of places and gives tables of records.

    The first row of each says what judged and what that took so far, or what went wrong: an error
    that is raised here would come wrapped in what Ray thinks of it.
    """

    def __init__(self, choices: Choices, attempts: Any) -> None:
        self._choices, self._attempts = choices, attempts
        self._name = uuid.uuid4().hex
        self._judge: Judge | None = None
        try:
            self._about = self._open()
        except Exception as error:  # noqa: BLE001 - raised, it would be tried again and again
            self._about = _problem(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Judge one window of places."""
        if self._judge is None:
            return _table(self._about, [])
        loaded = (pickle.loads(one) for one in table["place"].to_pylist())  # noqa: S301 - our own
        places = [place for place in loaded if place is not None]
        window = table["window"][0].as_py()
        try:
            self._begin(window, places)
            found = self._records(self._judge, places)
        except Exception as error:  # noqa: BLE001 - raised, Ray would bury what happened
            return _table(_problem(error), [])
        self._attempts.end.remote(window)
        models = self._judge.models
        spent = account(models.meter, models.engine.tokens)
        return _table(self._about | {"actor": self._name, "spent": spent}, found)

    def _begin(self, window: int, places: Sequence[Place]) -> None:
        import ray

        if ray.get(self._attempts.begin.remote(window)) > DEATHS + 1:
            raise EngineCallError(
                f"{DEATHS + 1} actors died over the same {len(places)} images, the first of them "
                f"{places[0].name}; if it was for want of memory, give fewer --actors or a "
                "smaller --window, else judge these without --ray to see why"
            )

    def _open(self) -> JSON:
        choices = self._choices
        try:
            os.chdir(choices.folder)
        except OSError as error:
            raise InputError(
                f"{choices.folder}: is not on every machine of the cluster ({error.strerror}); "
                "work in a folder that all of them share"
            ) from error
        with warnings.catch_warnings(record=True) as warned:
            self._judge = choices.opening.open()
        policy = chosen_policy(choices.opening.policy)
        notes = [f"warning: {warning.message}" for warning in warned]
        notes += [f"note: {note}" for note in missing(policy, self._judge.models)]
        return {"provenance": self._judge.provenance.model_dump(mode="json"), "notes": notes}

    def _records(self, judge: Judge, places: Sequence[Place]) -> list[JSON]:
        most, beside = judge.policy.max_bytes, self._choices.captions
        found = [read(place, most, captions=beside) for place in places]
        asked = [(data, text) for data, text in found if not isinstance(data, Failure)]
        judged = judge.stream(
            [data for data, _ in asked], [text for _, text in asked], window=self._choices.window
        )
        return [
            records.record(
                place.name,
                data if isinstance(data, Failure) else _named(next(judged), place),
            )
            for place, (data, _) in zip(places, found, strict=True)
        ]


def _named(result: Result, place: Place) -> Result:
    """Call a failure by its place, where the judge saw only bytes and counted them."""
    if isinstance(result, Failure) and place.where is not None:
        told = result.message.removeprefix(f"{result.image}: ")
        return result.model_copy(update={"message": f"{place.name}: {told}"})
    return result


def _problem(error: Exception) -> JSON:
    """Say what went wrong; of a bug, with the way there."""
    if isinstance(error, SafejudgeError):
        return {"error": str(error), "engine": isinstance(error, EngineError)}
    way = "".join(traceback.format_exception(error))
    return {"error": f"an actor failed: {error!r}\n{way}", "engine": True}


def _table(about: JSON, found: Sequence[JSON]) -> pa.Table:
    """Make a table of records after one row that says what made them."""
    import pyarrow as pa

    from safejudge.files import parquet as parts

    table = parts.to_table([{"image": ""}, *found])
    said = [json.dumps(about), *[None] * len(found)]
    return table.append_column(ABOUT, pa.array(said, pa.string()))
