"""Flows of many clients in one pool: they join while others are under way.

Takes what begins a flow (for an image: its reading); gives a future of its result. One thread asks
the engine, a few read images ahead of it. Nothing waits for a batch to fill: a wave holds what is
there when the engine is free, so batches grow with the load. A flow whose result nobody waits for
any more is ended, and what only it wanted is not asked. Knows nothing of rules, images and HTTP.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from safejudge.errors import (
    ClosingError,
    DeadlineError,
    EngineCallError,
    InputError,
    QueueFullError,
)
from safejudge.flow import Pool, room
from safejudge.queueing.entry import Entry, Limits, ordinary
from safejudge.queueing.line import FairLine
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from safejudge.flow import Answerer, Flow, Stream

T = TypeVar("T")

_TICK = 0.01
"""Seconds between two looks whether memory has room again."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a flow raised: that is its own affair, and ends no other."""

    error: Exception


class FlowQueue(Generic[T]):
    """A pool that flows of many clients join while others are under way. Thread-safe.

    An engine that fails fails everything that is there, and the queue stays closed; its `error`
    says why.
    """

    def __init__(  # noqa: PLR0913 - the engine's side, the memory, and who is told
        self,
        answer: Answerer,
        limits: Limits,
        *,
        stream: Callable[[], Stream | None] = lambda: None,
        has_room: Callable[[], bool] = lambda: True,
        failed: Callable[[Exception], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to serve.

        `answer` is called in one thread only; a `stream` is opened for it. While memory `has_room`
        no more, none begins beside others. `failed` is told of an engine that failed, after
        everybody else.
        """
        self.limits = limits
        self.error: Exception | None = None
        """Why the engine failed; None while it answers."""
        self._has_room, self._failed, self._clock = has_room, failed, clock
        self._process = os.getpid()
        self._changed = threading.Condition()
        # All of these belong to whoever holds the lock.
        self._line: FairLine[Entry[T]] = FairLine()
        self._bytes = 0
        self._open: Counter[str] = Counter()
        self._reading = 0
        self._ready: deque[tuple[Entry[T], Flow[T | _Raised]]] = deque()
        self._closing = False
        self._over: Exception | None = None
        # These belong to the engine's thread.
        self._pool: Pool[T | _Raised] = Pool(answer, limits.size, stream())
        self._running: dict[int, Entry[T]] = {}
        self._threads = [
            threading.Thread(target=self._serve, name="safejudge-engine", daemon=True),
            *(
                threading.Thread(target=self._read, name=f"safejudge-reader-{n}", daemon=True)
                for n in range(limits.readers)
            ),
        ]
        for thread in self._threads:
            thread.start()

    # --- the side of the clients --------------------------------------------------------------

    def submit(
        self,
        begins: Sequence[Callable[[], Flow[T]]],
        *,
        client: str = "",
        sizes: Sequence[int] | None = None,
        seconds: float | None = None,
    ) -> list[Entry[T]]:
        """Let flows join, all or none; `sizes` are the bytes that each holds until it begins.

        After `seconds` nobody waits for them. Raises `QueueFullError` where there is no room now,
        `InputError` where there never is, `ClosingError` after `close`, and `EngineCallError` where
        the engine has failed.
        """
        if self._is_forked():
            raise InputError("this queue belongs to the process before a fork; open one in this")
        now = self._clock()
        deadline = None if seconds is None else now + seconds
        sizes = [0] * len(begins) if sizes is None else sizes
        entries = [
            Entry(client, begin, size, deadline, now)
            for begin, size in zip(begins, sizes, strict=True)
        ]
        with self._changed:
            self._check_open()
            self._let_go()
            self._check_room(client, len(entries), sum(sizes))
            for entry in entries:
                self._line.add(client, entry)
                self._bytes += entry.size
                self._open[client] += 1
                entry.future.add_done_callback(partial(self._left, client))
            self._changed.notify_all()
        return entries

    @property
    def waiting(self) -> int:
        """How many entries wait to begin."""
        with self._changed:
            return len(self._line) + self._reading + len(self._ready)

    @property
    def under_way(self) -> int:
        """How many have begun and not ended."""
        return len(self._running)

    def close(self, *, drain: bool = True, seconds: float | None = None) -> None:
        """Take no more, end what is there (or, without `drain`, fail it), and stop the threads.

        After `seconds` what has not ended fails. Calling it twice is fine.
        """
        if self._is_forked():
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        until = None if seconds is None else time.monotonic() + seconds
        if drain:
            for thread in self._threads:
                thread.join(None if until is None else max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self._fail_all(ClosingError("the judge is closing and did not get to this image"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_forked(self) -> bool:
        """Whether this is a forked process: the threads stayed behind, and perhaps a held lock."""
        return os.getpid() != self._process

    def _check_open(self) -> None:
        if self.error is not None:
            raise EngineCallError(f"the engine has failed: {self.error}") from self.error
        if self._closing:
            raise ClosingError("the judge is closing; ask another one")

    def _check_room(self, client: str, count: int, size: int) -> None:
        limits = self.limits
        if count > min(limits.per_client, limits.waiting) or size > limits.waiting_bytes:
            raise InputError(
                f"{counted(count, 'image')} of {size} bytes at once are more than may ever wait: "
                f"{limits.waiting} of {limits.waiting_bytes} bytes, and {limits.per_client} of one "
                "client; hand in fewer at a time"
            )
        if self._open[client] + count > limits.per_client:
            raise QueueFullError(
                f"{counted(self._open[client], 'image')} of this client "
                f"{'is' if self._open[client] == 1 else 'are'} under way, and {limits.per_client} "
                f"may be; {count} more wait for a result of those"
            )
        waiting = len(self._line)
        if waiting + count > limits.waiting or self._bytes + size > limits.waiting_bytes:
            raise QueueFullError(
                f"{counted(waiting, 'image')} of {self._bytes} bytes wait already, and "
                f"{limits.waiting} of {limits.waiting_bytes} may; try again in a moment"
            )

    # --- the readers --------------------------------------------------------------------------

    def _read(self) -> None:
        while (entry := self._next()) is not None:
            try:
                flow = _guarded(entry.begin())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it concerns this one alone
                entry.fail(ordinary(error))
                flow = None
            with self._changed:
                self._reading -= 1
                if self._over is not None:
                    entry.fail(self._over)
                elif flow is not None:
                    self._ready.append((entry, flow))
                self._changed.notify_all()
            self._pool.wake()

    def _next(self) -> Entry[T] | None:
        """Wait for an entry that may be read now; None: there is nothing more to do."""
        with self._changed:
            while self._over is None:
                ahead = self._reading + len(self._ready)
                idle = not (ahead or self._running)
                fits = idle or self._has_room()
                if ahead < room(self.limits.size) and fits:
                    self._let_go()
                    if (entry := self._line.take()) is not None:
                        self._bytes -= entry.size
                        self._reading += 1
                        entry.waited = self._clock() - entry.joined
                        return entry
                    if self._closing:
                        self._changed.notify_all()  # those who left went without a word
                        return None
                # Pixels are freed without a word, so that has to be looked for.
                self._changed.wait(None if fits or not self._line else _TICK)
        return None

    def _let_go(self) -> None:
        """Take out what nobody waits for any more."""
        for entry in self._line.keep(self._is_wanted):
            self._bytes -= entry.size

    def _is_wanted(self, entry: Entry[T]) -> bool:
        """Whether somebody waits for it; tells those whose deadline has passed."""
        if entry.deadline is not None and self._clock() >= entry.deadline:
            entry.fail(DeadlineError("the deadline passed before this image was judged"))
        return not entry.future.done()

    def _left(self, client: str, _: Future[T]) -> None:
        """Count a client's entry no more; there may be room now, or something nobody wants."""
        with self._changed:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
            self._changed.notify_all()
        self._pool.wake()

    # --- the engine's thread ------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while (batch := self._ready_now()) is not None:
                self._begin(batch)
                self._tell()
                self._pool.step()
                self._tell()
        except BaseException as error:  # noqa: BLE001 - an engine may raise anything
            failure = ordinary(error)
            with self._changed:
                self.error = failure
            self._fail_all(failure)
            self._failed(failure)
        finally:
            self._pool.close()

    def _ready_now(self) -> list[tuple[Entry[T], Flow[T | _Raised]]] | None:
        """Wait until there is something to do; return what may begin. None: all is done."""
        with self._changed:
            while not (self._ready or self._running):
                if self._closing and not (self._line or self._reading):
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            count = min(len(self._ready), self._pool.room)
            if count:  # readers may go on; where nobody waits for these, nothing else tells them
                self._changed.notify_all()
            return [self._ready.popleft() for _ in range(count)]

    def _begin(self, batch: Sequence[tuple[Entry[T], Flow[T | _Raised]]]) -> None:
        for number, entry in list(self._running.items()):
            if not self._is_wanted(entry):
                self._pool.drop(number)
                del self._running[number]
        if not self._has_room():
            self._pool.forget()
        wanted = [(entry, flow) for entry, flow in batch if self._is_wanted(entry)]
        first = self._pool.begun
        with self._changed:
            self._running.update({first + n: entry for n, (entry, _) in enumerate(wanted)})
            if self._over is not None:  # said to all who were here, but these were on their way
                for entry, _ in wanted:
                    entry.fail(self._over)
        if wanted:  # else nothing begins, and no answer is older than before
            self._pool.begin(flow for _, flow in wanted)

    def _tell(self) -> None:
        for number, result in self._pool.ended().items():
            entry = self._running.pop(number)
            if isinstance(result, _Raised):
                entry.fail(result.error)
            else:
                entry.end(result)

    def _fail_all(self, error: Exception) -> None:
        """Tell everybody who is here, or still comes from a reader, that there is no result."""
        with self._changed:
            self._over = error
            left = [*self._line.keep(lambda _: False), *(entry for entry, _ in self._ready)]
            self._ready.clear()
            self._bytes = 0
            # A copy: the engine's thread may go on meanwhile.
            for entry in (*left, *self._running.copy().values()):
                entry.fail(error)
            self._changed.notify_all()


def _guarded(flow: Flow[T]) -> Flow[T | _Raised]:
    """Make what a flow raises its result."""
    try:
        return (yield from flow)
    except Exception as error:  # noqa: BLE001 - it concerns this one alone
        return _Raised(error)
