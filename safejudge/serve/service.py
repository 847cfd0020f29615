"""The judge as a service: images of many clients in, results with their coverage out.

Knows nothing of HTTP. One engine is open; every request is judged by one version of the rules from
start to end. An engine that fails is opened anew, and until then every request is refused.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from safejudge.decide.decision import Decider
from safejudge.engines.effect import missing
from safejudge.errors import (
    ClosingError,
    DeadlineError,
    EngineCallError,
    EngineError,
    InputError,
    SafejudgeError,
)
from safejudge.journal.held import settled_actions, with_people
from safejudge.judge import Judge, chosen_policy
from safejudge.queueing import Front
from safejudge.serve.coverage import Coverage, coverage_of
from safejudge.text import first_line
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from safejudge.decide.thresholds import Thresholds
    from safejudge.journal.held import Held
    from safejudge.journal.ledger import Ledger
    from safejudge.opening import JudgeSpec
    from safejudge.policy import Policy
    from safejudge.queueing import Entry, Limits
    from safejudge.serve.metrics import Metrics
    from safejudge.serve.shadow import Shadow
    from safejudge.types import Constitution, Decision, Judgment, Result

LOG = logging.getLogger("safejudge.serve")

Finding: TypeAlias = Literal["unsafe", "open", "failed", "safe"]
"""What comes of one image: to be flagged, not settled, not judged, or nothing against it."""

_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between two tries to open an engine that failed; the last one from then on."""


_MOMENT = 2.0
"""Seconds that models get to close, however late it is."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files and options say that a server is opened from."""

    spec: JudgeSpec
    """Rules, models and policy."""
    thresholds: Thresholds | None = None
    """What decides what to do with an image."""
    frames_named: bool = False
    """Whether the operator said how many frames of an animation are enough; else one of which a
    frame went unseen is open, unless it is unsafe."""


@dataclass(frozen=True, slots=True)
class Version:
    """One state of the rules. A request is judged by one, from start to end."""

    number: int
    """Counts up from 1."""
    loaded: Loaded
    """What it was opened from."""
    judge: Judge
    """Rules, policy and models."""
    front: Front
    """Where images wait; versions of the same models share it."""
    decider: Decider | None
    """What thresholds say; None without any."""
    notes: tuple[str, ...]
    """What a person should know."""
    own: bool = True
    """Whether these are the server's rules; others are used by name, and nothing of them kept."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One image as it came in."""

    image: bytes | Failure
    """The encoded file, or why there is none."""
    caption: str | None = None
    """The text that belongs to it."""

    @property
    def file(self) -> tuple[bytes | None, str | None]:
        """The bytes, where there are some, and the caption."""
        return None if isinstance(self.image, Failure) else self.image, self.caption


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request is answered with."""

    version: Version
    """By what it was judged."""
    results: tuple[Result, ...]
    """One for each image, in order."""
    decisions: tuple[Decision | None, ...]
    """What to do with each; None without thresholds."""
    coverage: Coverage
    """What was looked at."""
    people: tuple[Mapping[str, Held], ...]
    """What people decided of each image, by rule; it counts in `results`."""
    repeated: tuple[bool, ...]
    """Whether each was answered from the journal."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What comes of each image; thresholds speak before labels."""
        pairs = zip(self.results, self.decisions, strict=True)
        return tuple(finding_of(*pair, frames=not self.frames_named) for pair in pairs)

    @property
    def frames_named(self) -> bool:
        """Whether the operator said how many frames are enough."""
        return self.version.loaded.frames_named


def finding_of(result: Result, decision: Decision | None, *, frames: bool) -> Finding:
    """Say what comes of one image; `frames`: what has frames that nobody looked at is not safe."""
    if isinstance(result, Failure):
        return "failed"
    if decision is not None:
        by_action: dict[str, Finding] = {"block": "unsafe", "person": "open", "pass": "safe"}
        finding = by_action[decision.action]
    else:
        finding = "open" if result.label == "undecided" else result.label
    unseen = frames and result.frames is not None and not result.frames.all
    return "open" if finding == "safe" and unseen else finding


class Service:
    """A judge that many clients ask. Thread-safe; `judge` is for event loops."""

    def __init__(
        self,
        load: Callable[[], Loaded],
        limits: Limits,
        metrics: Metrics | None = None,
        ledger: Ledger | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        """Judge nothing yet; see `open`. `load` reads the files, at the start and to reload.

        `ledger` keeps every judgment; None: nobody does. `shadow` judges a share, too.
        """
        self._ledger, self._shadow = ledger, shadow
        self._load, self._limits, self._metrics = load, limits, metrics
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._down: Exception | None = None
        self._version: Version | None = None

    def open(self, loaded: Loaded | None = None) -> Version:
        """Open the judge, and have it judge a picture; `loaded` is what was read already.

        Raises what reading and opening raise.
        """
        with self._lock:
            self._version = version = self._opened(1, loaded or self._load())
        return version

    # --- state --------------------------------------------------------------------------------

    @property
    def version(self) -> Version:
        """The state of the rules now. Raises `EngineCallError` while no engine answers."""
        version = self._version
        self._check_goes_on()
        if version is None:
            raise EngineCallError("the engine is being opened; ask again in a moment")
        down = self._down or version.front.queue.error
        if down is not None:
            raise EngineCallError(
                f"the engine has failed and is being opened anew: {first_line(down)}"
            )
        return version

    @property
    def latest(self) -> Version | None:
        """The state of the rules, whether or not an engine answers; None before `open`."""
        return self._version

    @property
    def problem(self) -> str | None:
        """Why the service judges nothing now; None: it judges."""
        try:
            _ = self.version
        except SafejudgeError as error:
            return str(error)
        return None

    def load_now(self) -> tuple[int, int]:
        """How many images wait, and how many are under way."""
        if self._version is None:
            return 0, 0
        queue = self._version.front.queue
        return queue.waiting, queue.under_way

    # --- judging ------------------------------------------------------------------------------

    def received(self, images: int) -> None:
        """Count images that came in, whatever becomes of them."""
        if self._metrics is not None:
            self._metrics.received(images)

    async def judge(
        self, uploads: Sequence[Upload], *, client: str, seconds: float, version: Version
    ) -> Answered:
        """Judge the images of one request, all by one version.

        What nobody waits for any more, because the caller was cancelled or `seconds` have passed,
        is not asked. Raises `QueueFullError`, `DeadlineError`, `ClosingError`, `EngineCallError`.
        """
        self.received(len(uploads))
        ledger = self._ledger if version.own else None
        files = [upload.file for upload in uploads]
        known: list[Judgment | None] = [None] * len(files)
        if ledger is not None:
            known = await asyncio.to_thread(ledger.known, version.judge, files)
        new = [
            (image, caption)
            for (image, caption), said in zip(files, known, strict=True)
            if image is not None and said is None
        ]
        entries = version.front.submit_all(new, client=client, seconds=seconds, judge=version.judge)
        fresh = iter(await _all(entries, seconds))
        own: list[Result] = [
            upload.image if isinstance(upload.image, Failure) else said or next(fresh)
            for upload, said in zip(uploads, known, strict=True)
        ]
        people: Sequence[Mapping[str, Held]] = [{}] * len(own)
        if ledger is not None:
            judged = [(*file, result) for file, result in zip(files, own, strict=True)]
            people = await asyncio.to_thread(
                ledger.settle, version.judge, version.decider, judged, client
            )
        answered = _answered(version, own, people, tuple(said is not None for said in known))
        if self._metrics is not None:
            waited = [entry.waited for entry in entries]
            self._metrics.answered(answered.results, answered.decisions, waited)
        if self._shadow is not None and version.own:
            self._shadow.offer(files, own)
        return answered

    # --- the life of a version ----------------------------------------------------------------

    def reload(self) -> Version:
        """Read the files anew; requests from now on are judged by them, earlier ones are not.

        The models stay. Raises `InputError` for what would need others, and for what the files
        say wrong: then nothing has changed.
        """
        with self._lock:
            old = self.version
            loaded = self._load()
            was = old.loaded.spec
            if not loaded.spec.shares_models(was):
                raise InputError(
                    "a reload keeps the models that are open; restart the server for others"
                )
            models = old.judge.models
            models.skip = loaded.spec.skip  # every judge that is made from now on holds it
            try:
                new = self._made(old.number + 1, loaded, models, old.front)
            except BaseException:
                models.skip = was.skip
                raise
            self._version = new
        return new

    def beside(self, rules: Constitution, policy: Policy, version: Version) -> Version:
        """Make a version of other rules for one request, with the models of a version.

        Thresholds are not for it. Raises `InputError` for rules that cannot be asked.
        """
        judge = Judge(rules, version.judge.models, policy)
        spec = replace(version.loaded.spec, constitution=rules, policy=policy)
        return Version(
            version.number,
            replace(version.loaded, spec=spec),
            judge,
            version.front,
            None,
            (),
            own=False,
        )

    def refuse(self) -> None:
        """Take no more, and fail at once what is still under way."""
        self._ended.set()
        if self._version is not None:
            self._version.front.close(seconds=0.0)

    def close(self, *, seconds: float | None = None) -> None:
        """Take no more, end what is under way within `seconds`, and close the models.

        Models that are still busy a moment later are left to the end of the process.
        """
        self._ended.set()
        if self._version is None:
            return
        if self._shadow is not None:
            self._shadow.close()
        until = None if seconds is None else time.monotonic() + seconds
        self._version.front.close(seconds=seconds)
        # In a thread: an engine that hangs, or is being opened, does not let go of its locks.
        closing = threading.Thread(target=self._close_models, name="safejudge-end", daemon=True)
        closing.start()
        closing.join(None if until is None else max(_MOMENT, until - time.monotonic()))
        if closing.is_alive():
            LOG.warning("the engine is still busy; the process ends without it")

    def _close_models(self) -> None:
        with self._lock:  # whoever opens an engine anew closes it again
            if self._version is not None:
                self._version.judge.close()

    def _opened(self, number: int, loaded: Loaded) -> Version:
        judge = loaded.spec.open()
        try:
            _prove(judge)
            self._check_goes_on()
            return self._made(number, loaded, judge.models, None, judge)
        except BaseException:
            judge.close()
            raise

    def _check_goes_on(self) -> None:
        if self._ended.is_set():
            raise ClosingError("the server is ending; ask another one")

    def _made(
        self,
        number: int,
        loaded: Loaded,
        models: Any,
        front: Front | None,
        judge: Judge | None = None,
    ) -> Version:
        policy = chosen_policy(loaded.spec.policy)
        judge = judge or Judge(loaded.spec.constitution, models, policy)
        decider = None if loaded.thresholds is None else Decider.of(loaded.thresholds, judge)
        notes = (*missing(policy, models), *judge.notes, *(decider.notes if decider else ()))
        if front is None:
            if self._metrics is not None:
                models.meter.told = self._metrics.worked
            front = Front(judge, self._limits, self._failed)
        if self._shadow is not None:
            self._shadow.begin(loaded.spec, judge, front)
        return Version(number, loaded, judge, front, decider, notes)

    def _failed(self, error: Exception) -> None:
        """Refuse everything, and begin to open the engine anew."""
        self._down = error
        LOG.error("the engine has failed: %s", first_line(error))
        threading.Thread(target=self._recover, name="safejudge-recovery", daemon=True).start()

    def _recover(self) -> None:
        """Open the engine again and again, by the rules that were there when it failed."""
        for tried in range(10**9):
            with self._lock:
                old = self._version
                if old is None or self._ended.is_set():
                    return
                old.front.close(drain=False)
                old.judge.close()
                try:
                    self._version = self._opened(old.number + 1, old.loaded)
                except Exception as error:  # noqa: BLE001 - tried again, and told, whatever it is
                    self._down = error
                else:
                    self._down = None
                    LOG.warning("the engine answers again")
                    return
            LOG.error("the engine does not open: %s", first_line(self._down))
            self._ended.wait(_PAUSES[min(tried, len(_PAUSES) - 1)])


def _answered(
    version: Version,
    own: Sequence[Result],
    people: Sequence[Mapping[str, Held]],
    repeated: tuple[bool, ...],
) -> Answered:
    """Put together what is answered: the judge's word, and people's before it."""
    judge, decider = version.judge, version.decider
    results = tuple(
        with_people(result, held, judge.policy) for result, held in zip(own, people, strict=True)
    )
    decisions = tuple(
        None if decider is None else decider(result, settled_actions(held))
        for result, held in zip(results, people, strict=True)
    )
    covered = coverage_of(judge, results)
    return Answered(version, results, decisions, covered, tuple(people), repeated)


async def _all(entries: Sequence[Entry[Any]], seconds: float) -> list[Any]:
    """Wait for every result; leave all of them where one fails, or time is up."""
    waiting = [asyncio.wrap_future(entry.future) for entry in entries]
    try:
        # The queue tells of deadlines as well, but not while the engine is busy.
        async with asyncio.timeout(seconds):
            return list(await asyncio.gather(*waiting))
    except TimeoutError:
        raise DeadlineError(
            f"the images were not judged within {seconds:.3g} s; send fewer, or allow more time"
        ) from None
    finally:
        for future in waiting:
            future.cancel()


def _prove(judge: Judge) -> None:
    """Judge a picture made here. Raises `EngineError` where that gives no judgment."""
    steps = np.linspace(32, 224, 96, dtype=np.uint8)
    pixels = np.stack([np.tile(steps, (96, 1))] * 3, axis=-1)
    (result,) = judge([pixels])
    if isinstance(result, Failure):
        raise EngineError(f"the engine did not judge a plain picture: {result.message}")
