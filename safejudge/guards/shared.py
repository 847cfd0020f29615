"""One judge for all uploads of a process, opened when it is first needed.

Takes what a judge is opened from; gives the judge, with its front, to whoever asks. Servers load an
application and then fork, and no engine's threads go along: a forked process opens its own.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from safejudge.decide.decision import Decider
from safejudge.errors import BusyError
from safejudge.judge import Judge
from safejudge.queueing import Limits

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.policy import Policy
    from safejudge.queueing import Front
    from safejudge.types import Constitution


class Opened(NamedTuple):
    """A judge that is open."""

    judge: Judge
    """Rules, models and policy."""
    front: Front
    """Where pictures wait."""
    decider: Decider | None
    """What thresholds say; None without any."""


class SharedJudge:
    """A judge that the uploads of one process share. Thread-safe; forks open their own.

    Opened by the first who asks, and anew after its engine has failed. It closes with the process,
    or by `close`.
    """

    def __init__(  # noqa: PLR0913 - what a judge is opened from, and how long uploads wait for it
        self,
        constitution: str | os.PathLike[str] | Constitution,
        engine: str | Engine,
        policy: str | Policy = "default",
        *,
        thresholds: str | os.PathLike[str] | None = None,
        seconds: float = 30.0,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        """Keep what the judge is opened from; open nothing yet.

        `constitution`, `engine`, `policy` and `options` are those of `Judge.load`. `thresholds` is
        a file that `safejudge calibrate` wrote: it decides in place of the labels. After `seconds`
        an upload is given up. `limits` says how many may wait.
        """
        self.seconds = seconds
        """Seconds after which an upload is given up."""
        self._load = partial(Judge.load, constitution, engine, policy, **options)
        self._thresholds = None if thresholds is None else Path(thresholds)
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._parents: Opened | None = None
        _ALL.add(self)

    @property
    def ready(self) -> Opened | None:
        """The judge, where it is open and its engine answers; else None. Opens nothing."""
        opened = self._opened
        return opened if opened is not None and opened.front.queue.error is None else None

    def opened(self, wait: float) -> Opened:
        """Return the judge; open it first where it is not.

        Waits so many seconds while another thread opens it. Raises `BusyError` where that takes
        longer, and what `Judge.load` and reading the thresholds raise.
        """
        if (ready := self.ready) is not None:
            return ready
        lock = self._lock
        if not lock.acquire(timeout=wait):
            raise BusyError("the judge is being opened; try again in a moment")
        try:
            ready = self.ready
            if ready is None:
                self._end(seconds=0.0)
                self._opened = ready = self._made()
                atexit.register(self.close)
            return ready
        finally:
            lock.release()

    def close(self) -> None:
        """End what is under way, and close the models. Who asks later opens them anew."""
        atexit.unregister(self.close)
        with self._lock:
            self._end(seconds=self.seconds)

    def _made(self) -> Opened:
        judge = self._load()
        try:
            decider = None if self._thresholds is None else Decider.load(self._thresholds, judge)
        except BaseException:
            judge.close()
            raise
        return Opened(judge, judge.front(self._limits), decider)

    def _end(self, *, seconds: float) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.front.close(seconds=seconds)
            opened.judge.close()

    def leave_to_parent(self) -> None:
        """Begin anew in a forked process."""
        # Kept, not collected: what a destructor would end there belongs to the parent.
        self._parents = self._opened
        self._opened = None
        self._lock = threading.Lock()


_ALL: WeakSet[SharedJudge] = WeakSet()


def _leave_all() -> None:
    for shared in list(_ALL):
        shared.leave_to_parent()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_leave_all)
