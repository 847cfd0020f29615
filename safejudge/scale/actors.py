"""Actors of Ray that judge: what each is told, and what it does.

Takes entries of images and what a judge is opened from; gives tables of records, in whatever order
the actors end. Each opens one engine and reads its images itself. A window whose actor dies goes to
another one, a few times.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import traceback
import uuid
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Any

from safejudge.decide.decision import Decider
from safejudge.engines.effect import missing
from safejudge.engines.meter import account
from safejudge.errors import EngineCallError, EngineError, InputError, SafejudgeError, StoreError
from safejudge.files import records
from safejudge.images.shards import read
from safejudge.judge import chosen_policy
from safejudge.text import counted
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

BLOCKS = 4096
"""In so many pieces at most a run goes to Ray, which needs milliseconds for each to begin with."""

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


def judge_entries(
    entries: Sequence[Entry], options: ActorOptions, pool: Pool
) -> Iterator[pa.Table]:
    """Yield the actors' tables, in whatever order; one also where there is nothing to judge.

    Raises `EngineCallError` where Ray gives up.
    """
    import ray
    from ray import data, exceptions

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it says is raised as well
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    blocks = _blocks(entries, options.window)
    attempts = ray.remote(Attempts).options(num_cpus=0).remote()
    dataset = data.from_arrow(blocks).map_batches(
        Worker,
        fn_constructor_args=(options, attempts),
        compute=data.ActorPoolStrategy(size=min(pool.actors, len(blocks))),
        batch_size=options.window,
        batch_format="pyarrow",
        num_gpus=pool.gpus or None,
        num_cpus=None if pool.gpus else 1,
    )
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow")
    except exceptions.RayError as error:
        *_, problem = ("", *filter(str.strip, str(error).splitlines()))
        raise EngineCallError(
            f"Ray gave up: {type(error).__name__}: {problem.strip()[:300]}. Every machine needs "
            "the same safejudge; where actors died for want of memory, give fewer --actors"
        ) from error


def _blocks(entries: Sequence[Entry], window: int) -> list[pa.Table]:
    """Pack entries for Ray: the windows of a block go to one actor and come back together."""
    import pyarrow as pa

    packed = [pickle.dumps(entry) for entry in entries] or [pickle.dumps(None)]
    windows = pa.array([index // window for index in range(len(packed))])
    table = pa.table({"entry": packed, "window": windows})
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


# --- an actor -------------------------------------------------------------------------------------


class Worker:
    """What an actor is: a judge that takes tables of entries and gives tables of records.

    The first row of each says what judged and what that took so far, or what went wrong: an error
    that is raised here would come wrapped in what Ray thinks of it.
    """

    def __init__(self, options: ActorOptions, attempts: Any) -> None:
        """Open the judge; `attempts` is a handle of `Attempts`."""
        self._options, self._attempts = options, attempts
        self._name = uuid.uuid4().hex
        self._judge: Judge | None = None
        self._decider: Decider | None = None
        try:
            self._message = self._open()
        except Exception as error:  # noqa: BLE001 - raised, it would be tried again and again
            self._message = _problem(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Judge one window of entries."""
        if self._judge is None:
            return _table(self._message, [])
        unpacked = map(pickle.loads, table["entry"].to_pylist())  # packed by `_blocks`
        entries = [entry for entry in unpacked if entry is not None]
        window = table["window"][0].as_py()
        try:
            self._begin(window, entries)
            rows = self._records(self._judge, entries)
        except Exception as error:  # noqa: BLE001 - raised, Ray would bury what happened
            return _table(_problem(error), [])
        self._attempts.end.remote(window)
        models = self._judge.models
        spent = account(models.meter, models.tokens)
        return _table(self._message | {"actor": self._name, "spent": spent}, rows)

    def _begin(self, window: int, entries: Sequence[Entry]) -> None:
        import ray

        if ray.get(self._attempts.begin.remote(window)) > DEATHS + 1:
            raise EngineCallError(
                f"{DEATHS + 1} actors died over the same {counted(len(entries), 'image')}, the "
                f"first of them {entries[0].name}; if it was for want of memory, give fewer "
                "--actors or a smaller --window, else judge these without --ray to see why"
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
