"""The front of a judge for many callers: futures, `await`, and `async for`.

Takes images one by one, from any thread and any event loop; gives their results as they are known.
All share the batches of one engine, and clients take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Protocol, Self

from safejudge.errors import InputError, QueueFullError
from safejudge.flow import room
from safejudge.images.ahead import HELD, Budget
from safejudge.images.pairs import paired
from safejudge.queueing.queue import FlowQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Future

    from safejudge.flow import Answerer, Flow, Stream
    from safejudge.images.load import ImageSource
    from safejudge.images.pairs import Images, Pair, Prompt, Prompts
    from safejudge.queueing.entry import Entry, Limits
    from safejudge.types import Result

_PAUSE = 0.02
"""Seconds after which a stream looks again whether a queue full of others has room."""


class Models(Protocol):
    """Who answers."""

    @property
    def answer(self) -> Answerer:
        """Answer one wave."""

    def stream(self) -> Stream | None:
        """Answer one by one what can be, in a stream for one pool."""


class Judging(Protocol):
    """What a front needs of a judge."""

    @property
    def models(self) -> Models:
        """Who answers its questions."""

    def reading(
        self,
        image: ImageSource,
        prompt: Prompt | None,
        *,
        place: int = 0,
        budget: Budget | None = None,
        stop: Event | None = None,
    ) -> Flow[Result]:
        """Read one image now; return the flow that judges it."""


class Front:
    """Images of many callers that share one judge's batches. Thread-safe; a context manager.

    A queue that is full says so (`QueueFullError`) and grows no further. An engine that fails
    fails everything that is there with `EngineCallError`; then open another front.
    """

    def __init__(
        self,
        judge: Judging,
        limits: Limits,
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Begin to serve; `failed` is told of an engine that failed."""
        self._judge = judge
        self._budget = Budget(HELD)
        self._stop = Event()
        self.queue: FlowQueue[Result] = FlowQueue(
            judge.models.answer,
            limits,
            stream=judge.models.stream,
            has_room=self._budget.has_room,
            failed=failed,
        )
        """Where the images wait."""

    def submit(
        self,
        image: ImageSource,
        prompt: Prompt | None = None,
        *,
        client: str = "",
        seconds: float | None = None,
    ) -> Future[Result]:
        """Put one image to the judge; cancel the future to leave.

        After `seconds` nobody waits for it (`DeadlineError`). Raises `QueueFullError`,
        `ClosingError`, `EngineCallError`.
        """
        (entry,) = self.submit_all([(image, prompt)], client=client, seconds=seconds)
        return entry.future

    def submit_all(
        self,
        pairs: Sequence[Pair],
        *,
        client: str = "",
        seconds: float | None = None,
        judge: Judging | None = None,
    ) -> list[Entry[Result]]:
        """Put several images to the judge, all or none; see `submit`.

        `judge`: another judge with the same models, such as one with newer rules.
        """
        asked = self._judge if judge is None else judge
        if asked.models is not self._judge.models:
            raise InputError("this front belongs to other models; open one for that judge")
        begins = [
            partial(asked.reading, image, prompt, place=place, budget=self._budget, stop=self._stop)
            for place, (image, prompt) in enumerate(pairs)
        ]
        sizes = [_size(image) for image, _ in pairs]
        return self.queue.submit(begins, client=client, sizes=sizes, seconds=seconds)

    async def judge(
        self,
        image: ImageSource,
        prompt: Prompt | None = None,
        *,
        client: str = "",
        seconds: float | None = None,
    ) -> Result:
        """Judge one image. Raises as `submit` does, and `DeadlineError`."""
        future = self.submit(image, prompt, client=client, seconds=seconds)
        return await asyncio.wrap_future(future)

    async def stream(
        self, images: Images, prompts: Prompts | None = None, *, client: str = ""
    ) -> AsyncIterator[Result]:
        """Judge images and yield each result in order; take more as there is room for them.

        Where the queue is full of others, waits instead of failing. Raises `InputError` for
        arguments that fit nothing, `ClosingError`, `EngineCallError`.
        """
        limits = self.queue.limits
        most = min(limits.size + room(limits.size), limits.per_client)
        asked: deque[asyncio.Future[Result]] = deque()
        try:
            for image, prompt in paired(images, prompts):
                while (future := self._submitted(image, prompt, client)) is None:
                    if asked:
                        yield await asked.popleft()
                    else:
                        await asyncio.sleep(_PAUSE)
                asked.append(asyncio.wrap_future(future))
                if len(asked) >= most:
                    yield await asked.popleft()
            while asked:
                yield await asked.popleft()
        finally:
            for left in asked:
                left.cancel()

    def _submitted(
        self, image: ImageSource, prompt: Prompt | None, client: str
    ) -> Future[Result] | None:
        try:
            return self.submit(image, prompt, client=client)
        except QueueFullError:
            return None

    def close(self, *, drain: bool = True, seconds: float | None = None) -> None:
        """Take no more, end what is there, and stop. Calling it twice is fine."""
        if not drain:
            self._stop.set()
        self.queue.close(drain=drain, seconds=seconds)
        self._stop.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)


def _size(image: ImageSource) -> int:
    """Bytes of an encoded file that is held in memory; others are counted as they are read."""
    return memoryview(image).nbytes if isinstance(image, bytes | bytearray | memoryview) else 0
