"""Actors of Ray that judge: what each is told, and what it does.

Takes windows of entries and what a judge is opened from; gives tables of records, in whatever order
the actors end. Each opens one engine and reads its images itself. A window whose actor dies goes to
the actor that takes its place, a few times. No more windows are taken than actors are busy with.
"""

from __future__ import annotations

import json
import os
import pickle
import traceback
import uuid
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import chain, cycle, islice, tee
from typing import TYPE_CHECKING, Any

from safejudge.decide.decision import Decider
from safejudge.engines.effect import missing
from safejudge.engines.meter import account
from safejudge.errors import EngineCallError, EngineError, InputError, SafejudgeError, StoreError
from safejudge.files import records
from safejudge.images.copies import COPIES
from safejudge.images.shards import read
from safejudge.judge import chosen_policy
from safejudge.text import counted
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import pyarrow as pa  # type: ignore[import-untyped]

    from safejudge.decide.thresholds import Thresholds
    from safejudge.files.remote import RemoteFile
    from safejudge.images.entries import Entry
    from safejudge.images.pairs import Prompt
    from safejudge.judge import Judge
    from safejudge.opening import JudgeSpec
    from safejudge.scale.cluster import Pool
    from safejudge.types import JSON, Result

DEATHS = 3
"""How often a window may lose its actor; one that kills every actor must not be tried forever."""

AHEAD = 2
"""Windows that an actor has at a time, so that none waits for the next."""

MESSAGE = "message"
"""The column in which an actor says what it is; null in the rows of records."""


@dataclass(frozen=True, slots=True)
class ActorOptions:
    """What an actor needs to know."""

    spec: JudgeSpec
    """What its judge is opened from."""
    window: int
    """Images judged together."""
    captions: bool
    """Whether captions that lie beside the images count: not beside a prompt file."""
    folder: str
    """Where the command was given; relative paths are meant from there."""
    thresholds: Thresholds | None = None
    """What decides about each image; None: nothing does."""


# --- the pool -------------------------------------------------------------------------------------


def judge_windows(
    windows: Iterable[list[bytes]], options: ActorOptions, pool: Pool
) -> Generator[pa.Table, None, None]:
    """Yield the actors' tables for windows of pickled entries, in whatever order.

    Raises `EngineCallError` where Ray gives up.
    """
    import ray
    from ray import exceptions

    coming = enumerate(windows)
    first = list(islice(coming, pool.actors))
    attempts = ray.remote(Attempts).options(num_cpus=0).remote()
    remote = ray.remote(Worker).options(max_restarts=-1, max_task_retries=-1, **pool.takes)
    workers: list[Any] = [remote.remote(options, attempts, n) for n in range(len(first))]
    under_way: dict[Any, Any] = {}
    try:
        for worker, given in zip(cycle(workers), chain(first, islice(coming, _more(workers)))):
            under_way[worker.judge.remote(*given)] = worker
        while under_way:
            (ready, *_), _ = ray.wait(list(under_way), num_returns=1)
            worker = under_way.pop(ready)
            for given in islice(coming, 1):
                under_way[worker.judge.remote(*given)] = worker
            yield ray.get(ready)
        # Not tried again: a worker that dies of it is gone as well.
        ray.get([worker.close.options(max_task_retries=0).remote() for worker in workers])
    except exceptions.RayError as error:
        *_, problem = ("", *filter(str.strip, str(error).splitlines()))
        raise EngineCallError(
            f"Ray gave up: {type(error).__name__}: {problem.strip()[:300]}. Every machine needs "
            "the same safejudge; where actors died for want of memory, give fewer --actors"
        ) from error
    finally:
        for worker in workers:
            ray.kill(worker)


def _more(workers: Sequence[Any]) -> int:
    return (AHEAD - 1) * len(workers)


class Attempts:
    """Counts how often work was begun and not ended; outlives the actors that judge.

    Work is a window, by its number, or the opening of a worker's judge, by a name.
    """

    def __init__(self) -> None:
        self._begun: Counter[int | str] = Counter()

    def begin(self, work: int | str) -> int:
        """Count one more beginning."""
        self._begun[work] += 1
        return self._begun[work]

    def end(self, work: int | str) -> None:
        """Forget what was done."""
        del self._begun[work]


# --- an actor -------------------------------------------------------------------------------------


class Worker:
    """What an actor is: a judge that takes windows of entries and gives tables of records.

    The first row of each says what judged and what that took so far, or what went wrong: an error
    that is raised here would come wrapped in what Ray thinks of it.
    """

    def __init__(self, options: ActorOptions, attempts: Any, number: int = 0) -> None:
        """Open the judge; `attempts` is a handle of `Attempts`, `number` the place in the pool.

        What dies of that is started again by Ray, without an end; so it is counted.
        """
        self._options, self._attempts = options, attempts
        self._name = uuid.uuid4().hex
        self._judge: Judge | None = None
        self._decider: Decider | None = None
        opening = f"opening {number}"
        try:
            self._begin_opening(opening)
            self._message = self._open()
            attempts.end.remote(opening)
        except Exception as error:  # noqa: BLE001 - raised, it would be tried again and again
            self._message = _problem(error)

    def judge(self, window: int, packed: Sequence[bytes]) -> pa.Table:
        """Judge one window of pickled entries; it is called by its number."""
        if self._judge is None:
            return _table(self._message, [])
        entries = [pickle.loads(entry) for entry in packed]  # noqa: S301 - packed by the driver
        try:
            self._begin(window, entries)
            rows = self._records(self._judge, entries)
        except Exception as error:  # noqa: BLE001 - raised, Ray would bury what happened
            return _table(_problem(error), [])
        self._attempts.end.remote(window)
        models = self._judge.models
        spent = account(models.meter, models.tokens)
        return _table(self._message | {"actor": self._name, "spent": spent}, rows)

    def close(self) -> None:
        """Close the judge, and let go of what is kept."""
        if self._judge is not None:
            self._judge.close()
        COPIES.forget()

    def _begin(self, window: int, entries: Sequence[Entry]) -> None:
        import ray

        if ray.get(self._attempts.begin.remote(window)) > DEATHS + 1:
            raise EngineCallError(
                f"{DEATHS + 1} actors died over the same {counted(len(entries), 'image')}, the "
                f"first of them {entries[0].name}; if it was for want of memory, give fewer "
                "--actors or a smaller --window, else judge these without --ray to see why"
            )

    def _begin_opening(self, opening: str) -> None:
        import ray

        if ray.get(self._attempts.begin.remote(opening)) > DEATHS + 1:
            raise EngineCallError(
                f"{DEATHS + 1} actors died while they opened the engine; if it was for want of "
                "memory, give fewer --actors, else judge without --ray to see why"
            )

    def _open(self) -> JSON:
        options = self._options
        try:
            os.chdir(options.folder)
        except OSError as error:
            raise InputError(
                f"{options.folder}: is not on every machine of the cluster ({error.strerror}); "
                "work in a folder that all of them share"
            ) from error
        with warnings.catch_warnings(record=True) as caught:
            self._judge = options.spec.open()
        policy = chosen_policy(options.spec.policy)
        notes = [f"warning: {warning.message}" for warning in caught]
        lacking = missing(policy, self._judge.models)
        notes += [f"note: {note}" for note in (*lacking, *self._judge.notes)]
        if options.thresholds is not None:
            self._decider = Decider.of(options.thresholds, self._judge)
            notes += [f"warning: thresholds: {note}" for note in self._decider.notes]
        return {
            "provenance": self._judge.provenance.model_dump(mode="json"),
            "judged_by": self._judge.described(),
            "notes": notes,
        }

    def _records(self, judge: Judge, entries: Sequence[Entry]) -> list[JSON]:
        found: dict[Entry, Result] = {}
        readable: list[Entry] = []

        def sources() -> Iterator[tuple[str | RemoteFile | bytes, Prompt | None]]:
            # Read when they are judged, not before: a window of files may not fit into memory.
            for entry in dict.fromkeys(entries):
                data, text = read(entry, judge.policy.max_bytes, captions=self._options.captions)
                if isinstance(data, Failure):
                    found[entry] = data
                else:
                    readable.append(entry)
                    yield data, text

        data, texts = tee(sources())
        results = list(
            judge.stream(
                (source for source, _ in data), (text for _, text in texts), self._options.window
            )
        )
        found |= {e: _renamed(r, e) for e, r in zip(readable, results, strict=True)}
        return [
            records.record(entry.name, found[entry], decision=self._decided(found[entry]))
            for entry in entries
        ]

    def _decided(self, result: Result) -> JSON | None:
        return None if self._decider is None else self._decider(result).record()


def _renamed(result: Result, entry: Entry) -> Result:
    """Call a failure by its entry's name, where the judge saw only bytes and counted them."""
    if isinstance(result, Failure) and entry.position is not None:
        problem = result.message.removeprefix(f"{result.image}: ")
        return result.model_copy(update={"message": f"{entry.name}: {problem}"})
    return result


def _problem(error: Exception) -> JSON:
    """Describe an error; a bug with its traceback."""
    if isinstance(error, SafejudgeError):
        return {"error": str(error), "engine": isinstance(error, EngineError | StoreError)}
    lines = "".join(traceback.format_exception(error))
    return {"error": f"an actor failed: {error!r}\n{lines}", "engine": True}


def _table(message: JSON, rows: Sequence[JSON]) -> pa.Table:
    """Make a table of records after one row that says what made them."""
    import pyarrow as pa

    from safejudge.files.parquet import to_table

    table = to_table([{"image": ""}, *rows])
    column = [json.dumps(message), *[None] * len(rows)]
    return table.append_column(MESSAGE, pa.array(column, pa.string()))
