"""Another version of the rules judges a share of the traffic, after the answer has gone out.

What it says goes to the journal and the metrics under its name, and never into a reply. It gets no
more than the engine has time for: where too many images wait for it, more are left out and counted.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.errors import SafejudgeError
from safejudge.journal.queue import differences, drawn
from safejudge.judge import Judge, chosen_policy
from safejudge.queueing import Front
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from safejudge.journal.ledger import Ledger
    from safejudge.opening import JudgeSpec
    from safejudge.queueing import Limits
    from safejudge.serve.metrics import Metrics
    from safejudge.types import Result

LOG = logging.getLogger("safejudge.serve")
_WAITING = 64
"""Images that may wait for a shadow at a time."""
_CLIENT = "shadow "
"""What its images belong to, in turns with those of clients; no key has such a name."""


@dataclass(frozen=True, slots=True)
class ShadowPlan:
    """What a server is told of a shadow."""

    name: str
    load: Callable[[], JudgeSpec]
    """Reads the files of the other version."""
    share: float
    """Of the images that are answered, in [0, 1]."""


class Shadow:
    """Another version that answers nobody. Thread-safe."""

    def __init__(
        self, plan: ShadowPlan, limits: Limits, ledger: Ledger | None, metrics: Metrics | None
    ) -> None:
        self._plan, self._limits, self._ledger, self._metrics = plan, limits, ledger, metrics
        self._lock = threading.Lock()
        self._waiting = 0
        self._judge: Judge | None = None
        self._front: Front | None = None
        self._owned: Front | None = None

    def begin(self, spec: JudgeSpec, judge: Judge, front: Front) -> None:
        """Stand beside a version that has just been made, and share its models where it can.

        A version that cannot be opened shadows nothing, and the log says so.
        """
        try:
            other = self._plan.load()
            if other.shares_models(spec):
                self._judge = Judge(other.constitution, judge.models, chosen_policy(other.policy))
                self._front = front
            elif self._owned is None:
                self._judge = other.open()
                self._front = self._owned = Front(self._judge, self._limits)
        except SafejudgeError as error:
            self._judge = None
            LOG.error("the shadow %s does not open: %s", self._plan.name, first_line(error))  # noqa: TRY400 - no bug

    def offer(
        self, files: Sequence[tuple[bytes | None, str | None]], results: Sequence[Result]
    ) -> None:
        """Judge a share of the files that were answered; returns at once."""
        judge, front = self._judge, self._front
        if judge is None or front is None:
            return
        for (image, caption), result in zip(files, results, strict=True):
            if image is None or result.id is None:
                continue
            if drawn("shadow", result.id) >= self._plan.share:
                continue
            with self._lock:
                full = self._waiting >= _WAITING
                self._waiting += not full
            if full:
                self._count_dropped()
                continue
            try:
                (entry,) = front.submit_all([(image, caption)], client=_CLIENT, judge=judge)
            except SafejudgeError:
                self._ended()
                self._count_dropped()
                continue
            entry.future.add_done_callback(self._keeper(judge, image, caption, result))

    def close(self) -> None:
        """Give up what waits, and close the models of its own."""
        if self._owned is not None:
            self._owned.close(drain=False)
            if self._judge is not None:
                self._judge.close()

    def _keeper(
        self, judge: Judge, image: bytes, caption: str | None, before: Result
    ) -> Callable[[Future[Result]], None]:
        """Keep what comes; in a thread of its own, for the engine's must not wait for a disk."""

        def keep(future: Future[Result]) -> None:
            try:
                if not future.cancelled() and future.exception() is None:
                    after = future.result()
                    if self._metrics is not None:
                        self._metrics.shadowed(self._plan.name, before, after)
                    if self._ledger is not None:
                        needs = tuple(differences(before, after))
                        self._ledger.keep_shadow(
                            judge, self._plan.name, image, caption, after, needs
                        )
            except SafejudgeError as error:
                LOG.error("what the shadow said was not kept: %s", first_line(error))  # noqa: TRY400 - no bug
            finally:
                self._ended()

        return lambda future: threading.Thread(target=keep, args=(future,), daemon=True).start()

    def _ended(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _count_dropped(self) -> None:
        if self._metrics is not None:
            self._metrics.shadow_dropped(self._plan.name)
