"""`safejudge judge --ray`: many images on many machines; Ray moves them, each actor has a judge.

Takes the options of the command; lists the images, hands their places window by window to a pool
of actors, and writes the records that come back as Parquet. An actor opens the engine, reads the
images itself, and judges as `Judge` does, so files have to lie where every machine sees them. A
window whose actor dies goes to another; a record that came twice would count once, and one that
did not come is an error. Knows nothing of rules.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import socket
import sys
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from safejudge import records, show
from safejudge.batch import INTERRUPTED
from safejudge.captions import captions_for
from safejudge.choices import policy_of
from safejudge.constitution import load_constitution
from safejudge.errors import EngineCallError, EngineError, InputError, OutputError, SafejudgeError
from safejudge.judge import Judge, missing
from safejudge.sources import PARQUET, Place, find_places, read
from safejudge.types import Failure, Provenance

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    import pyarrow as pa  # type: ignore[import-untyped]
    from rich.progress import TaskID

    from safejudge.parts import Parts
    from safejudge.policy import Policy
    from safejudge.types import JSON, Constitution, Result

DEATHS = 3
"""How often a window may lose its actor; one that kills every actor must not be tried forever."""

BLOCKS = 4096
"""In so many pieces at most a run goes to Ray, which needs milliseconds for each to begin with."""

_ABOUT = "about"
"""The column in which an actor says what it is; null in the rows of records."""


def wanted(options: argparse.Namespace) -> bool:
    """Whether Ray is to judge. Raises `InputError` where only the options for it are given."""
    given = {
        "--actors": options.actors,
        "--gpus-per-actor": options.gpus_per_actor,
        "--ray-address": options.ray_address,
    }
    stray = [name for name, value in given.items() if value is not None]
    if stray and not options.ray:
        raise InputError(
            f"{', '.join(stray)}: means nothing without --ray; add it, or leave it out"
        )
    return bool(options.ray)


def judge(options: argparse.Namespace) -> int:
    """Judge with Ray and write `--out`; return the exit code, which counts earlier runs too."""
    if options.report is not None:
        raise InputError(
            "--report makes a page for people, --ray judges more than a page holds; leave one out, "
            "or judge the images you want to see without --ray"
        )
    if options.out is None:
        raise InputError("--ray writes Parquet files into a folder; name it with --out DIR")
    _need_ray()
    from safejudge.parts import Parts

    choices = _Choices.of(options)
    places = find_places(options.paths)
    prompts, captions = captions_for(options.prompts, [place.name for place in places])
    places = [
        place._replace(caption=prompt) for place, prompt in zip(places, prompts, strict=True)
    ][: options.limit]
    out = Path(options.out)
    _check_apart(out, places)
    with Parts(out, resume=options.resume, overwrite=options.overwrite) as parts:
        return _Run(places, captions, parts).go(choices, options)


def _need_ray() -> None:
    try:
        import pyarrow as pa  # noqa: F401
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError(f"--ray needs Ray ({error}): pip install 'safejudge[ray]'") from error


def _check_apart(out: Path, places: Sequence[Place]) -> None:
    """Refuse to judge what this command writes."""
    shards = {p.path for p in places if p.where is not None and Path(p.path).suffix == PARQUET}
    inside = [path for path in shards if out.resolve() in Path(path).resolve().parents]
    if inside:
        raise InputError(f"{out}: --out lies among the images ({inside[0]}); name a folder apart")


# --- the run --------------------------------------------------------------------------------------


class _Run:
    """One run: what comes back from the actors is counted, kept and shown."""

    def __init__(self, places: Sequence[Place], captions: str | None, parts: Parts) -> None:
        self._parts, self._captions = parts, captions
        self._all = len(places)
        lacking = records.missing([place.name for place in places], parts.recorded)
        self._places = [places[index] for index in lacking]
        self._left = Counter(place.name for place in self._places)
        self._earlier = parts.tally.labels.total()
        self._head: JSON | None = None
        self._begun = time.monotonic()
        self._bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())

    def go(self, choices: _Choices, options: argparse.Namespace) -> int:
        """Judge what has no record; return the exit code."""
        try:
            # Ray prints what happened to its actors.
            with redirect_stdout(sys.stderr), _cluster(options.ray_address), self._bar:
                pool = _Pool.of(options)
                done = self._all - len(self._places)
                task = self._bar.add_task("", total=self._all, completed=done, rate="", counts="")
                for table in _judged(self._places, choices, pool):
                    self._take(table)
                    self._advance(task)
            if left := +self._left:
                first = f"{left.total()} images (the first: {next(iter(left))})"
                raise EngineCallError(f"{first} came back without a record")
        except OutputError:
            raise
        except (KeyboardInterrupt, SafejudgeError) as error:
            self._parts.flush()
            stopped = isinstance(error, KeyboardInterrupt)
            if stopped or self._head is not None:
                self._say_where_it_stopped()
            if stopped:
                return INTERRUPTED
            raise
        self._parts.flush()
        seconds = time.monotonic() - self._begun
        show.say(show.summary(self._parts.tally, self._earlier, seconds))
        return self._parts.tally.exit_code

    def _take(self, table: pa.Table) -> None:
        import pyarrow as pa

        told = [json.loads(text) for text in table[_ABOUT].drop_null().unique().to_pylist()]
        for about in told:
            if "provenance" in about:
                self._know(about)
        found = table.filter(table[_ABOUT].is_null()).drop_columns([_ABOUT])
        new = pa.array([self._is_new(name) for name in found["image"].to_pylist()], pa.bool_())
        self._parts.add(found.filter(new))
        for about in told:
            if "error" in about:
                raise (EngineError if about["engine"] else InputError)(about["error"])

    def _is_new(self, name: str) -> bool:
        lacking = self._left[name] > 0
        self._left[name] -= lacking
        return lacking

    def _know(self, about: JSON) -> None:
        """Learn what an actor judges with, which must be the same for all."""
        provenance = Provenance.model_validate(about["provenance"])
        head = records.header(metadata.version("safejudge"), provenance, self._captions)
        if self._head is not None:
            records.compare(self._parts.folder, self._head, head)
            return
        self._head = head
        for note in about["notes"]:
            show.say(note)
        self._parts.begin(head)

    def _advance(self, task: TaskID) -> None:
        done = self._parts.tally.labels.total() - self._earlier
        self._bar.update(
            task,
            completed=self._all - len(self._places) + done,
            rate=f"{show.rate(done, time.monotonic() - self._begun)}/s",
            counts=show.counts(self._parts.tally),
        )

    def _say_where_it_stopped(self) -> None:
        done = self._parts.tally.labels.total()
        show.say(
            f"stopped: {done} records are in {self._parts.folder}; "
            "the same command with --resume judges the rest"
        )


# --- Ray ------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
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


@dataclass(frozen=True, slots=True)
class _Pool:
    """How many actors there are, and what each of them takes."""

    actors: int
    gpus: float

    @staticmethod
    def of(options: argparse.Namespace) -> _Pool:
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
        return _Pool(actors, gpus)


def _judged(places: Sequence[Place], choices: _Choices, pool: _Pool) -> Iterator[pa.Table]:
    """Yield what the actors find, in whatever order; also where there is nothing to judge.

    Raises `EngineCallError` where Ray gives up.
    """
    import ray
    from ray import data, exceptions

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it says is raised as well
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    blocks = _blocks(places, choices.window)
    attempts = ray.remote(_Attempts).options(num_cpus=0).remote()
    found = data.from_arrow(blocks).map_batches(
        _Worker,
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


class _Attempts:
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
class _Choices:
    """What an actor needs to know."""

    constitution: Constitution
    policy: Policy
    engine: str
    encoder: str
    detector: str
    engine_args: dict[str, Any]
    window: int
    captions: bool
    """Whether captions that lie beside the images count: not beside a prompt file."""
    folder: str
    """Where the command was given; relative paths are meant from there."""

    @staticmethod
    def of(options: argparse.Namespace) -> _Choices:
        return _Choices(
            constitution=load_constitution(options.constitution),
            policy=policy_of(options),
            engine=options.engine,
            encoder=options.encoder,
            detector=options.detector,
            engine_args=dict(options.engine_arg),
            window=options.window,
            captions=options.prompts is None,
            folder=str(Path.cwd()),
        )


class _Worker:
    """What an actor is: a judge that takes tables of places and gives tables of records.

    The first row of each says what judged, or what went wrong: an error that is raised here would
    come wrapped in what Ray thinks of it.
    """

    def __init__(self, choices: _Choices, attempts: Any) -> None:
        self._choices, self._attempts = choices, attempts
        self._judge: Judge | None = None
        try:
            self._about = self._open()
        except Exception as error:  # noqa: BLE001 - raised, it would be tried again and again
            self._about = _problem(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        if self._judge is None:
            return _told(self._about, [])
        loaded = (pickle.loads(one) for one in table["place"].to_pylist())  # noqa: S301 - our own
        places = [place for place in loaded if place is not None]
        window = table["window"][0].as_py()
        try:
            self._begin(window, places)
            found = self._records(self._judge, places)
        except Exception as error:  # noqa: BLE001 - raised, Ray would bury what happened
            return _told(_problem(error), [])
        self._attempts.end.remote(window)
        return _told(self._about, found)

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
            self._judge = Judge.load(
                choices.constitution,
                choices.engine,
                choices.policy,
                encoder=choices.encoder,
                detector=choices.detector,
                engine_args=choices.engine_args,
            )
        notes = [f"warning: {warning.message}" for warning in warned]
        notes += [f"note: {note}" for note in missing(choices.policy, self._judge.models)]
        return {"provenance": self._judge.provenance.model_dump(mode="json"), "notes": notes}

    def _records(self, judge: Judge, places: Sequence[Place]) -> list[JSON]:
        most, beside = self._choices.policy.max_bytes, self._choices.captions
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


def _told(about: JSON, found: Sequence[JSON]) -> pa.Table:
    """Make a table of records after one row that says what made them."""
    import pyarrow as pa

    from safejudge import parts

    table = parts.to_table([{"image": ""}, *found])
    said = [json.dumps(about), *[None] * len(found)]
    return table.append_column(_ABOUT, pa.array(said, pa.string()))
