"""One request that asks the judge: who, for how long, and what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Header, Request

from safejudge.errors import BusyError, DeadlineError
from safejudge.serve.faults import ClientLeftError, RequestError
from safejudge.serve.inputs import uploads_of
from safejudge.serve.spans import span, told
from safejudge.serve.threads import in_turn
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from safejudge.journal.store import Journal
    from safejudge.policy import Policy
    from safejudge.serve.fetch import Fetcher
    from safejudge.serve.gate import Visit
    from safejudge.serve.metrics import Metrics
    from safejudge.serve.service import Answered, Service, Upload, Version
    from safejudge.serve.settings import Settings
    from safejudge.types import Constitution

T = TypeVar("T")

DEADLINE = "x-deadline-seconds"
"""The header in which a caller says how long it waits."""
_TURNS = 8
"""Versions of other rules that are made at a time: each may wait for the engine."""


@dataclass(slots=True)
class Context:
    """What all requests of one server share."""

    service: Service
    settings: Settings
    fetcher: Fetcher
    metrics: Metrics
    reload: Callable[[], object] = lambda: None
    """Reads the files of rules and keys anew."""
    journal: Journal | None = None
    """Where judgments and people's decisions are kept; None: nowhere."""
    policies: dict[str, Constitution] = field(default_factory=dict)
    """Rules that clients handed in, by digest, the oldest first."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_TURNS))
    """Who may make a version of other rules now."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request. A version is fixed when it comes in, and judges all of it."""

    context: Context
    version: Version
    visit: Visit
    seconds: float
    """How long the caller waits, from `begun` on."""
    request: Request
    begun: float
    """When its body was there, by the loop's clock."""

    async def uploads(
        self, names: Sequence[str], captions: Sequence[str | None] | None = None
    ) -> list[Upload]:
        """Read images that the request names. Raises `RequestError` where they are too many."""
        self.check_count(len(names))
        texts = [None] * len(names) if captions is None else captions
        try:
            work = uploads_of(names, texts, self.context.fetcher)
            return await self._while_there(work, self._left)
        except (BusyError, ClientLeftError):  # they came in, and nobody looks at them
            self.context.service.received(len(names))
            raise

    def check_count(self, images: int) -> None:
        """Raise `RequestError` for more images than one request may have."""
        most = self.context.settings.images
        if images > most:
            raise RequestError(
                400,
                f"{images} images are more than the {most} that one request may have; send several",
                code="too_many_images",
            )

    async def beside(self, rules: Constitution, policy: Policy) -> Version:
        """Make a version of other rules for this request; raises as `Service.beside` does."""
        work = partial(self.context.service.beside, rules, policy, self.version)
        return await self._while_there(in_turn(self.context.turns, work), self._left)

    async def judge(self, uploads: Sequence[Upload], version: Version | None = None) -> Answered:
        """Judge the images of this request, and write down what came of them."""
        with span("safejudge.judge"):
            answered = await self._while_there(
                self.context.service.judge(
                    uploads,
                    client=self.visit.client,
                    seconds=max(0.0, self._left),
                    version=version or self.version,
                )
            )
            told(answered)
        self._note(uploads, answered)
        return answered

    def _note(self, uploads: Sequence[Upload], answered: Answered) -> None:
        """Write down for the log what came of the images."""
        log = self.visit.log
        images = zip(answered.results, answered.findings, strict=True)
        log["images"] = [
            {"id": result.id, "finding": finding}
            | ({"reason": result.reason} if isinstance(result, Failure) else {})
            for result, finding in images
        ]
        if self.context.settings.log_captions:
            log["captions"] = [upload.caption for upload in uploads]
        log["constitution"] = answered.coverage.constitution

    @property
    def _left(self) -> float:
        """Seconds that the caller still waits; below 0: it does not."""
        return self.begun + self.seconds - asyncio.get_running_loop().time()

    async def _while_there(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Do the work as long as the caller is there. Raises `ClientLeftError`.

        After `seconds` raises `DeadlineError`; None: the work looks at the clock itself.
        """
        task = asyncio.ensure_future(work)
        watch = asyncio.ensure_future(_gone(self.request))
        try:
            await asyncio.wait({task, watch}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if watch.done():
                raise ClientLeftError("the caller closed the connection")
            raise DeadlineError(
                f"nothing was judged within {self.seconds:g} s; send less, or allow more time"
            )
        finally:
            task.cancel()
            watch.cancel()


async def _gone(request: Request) -> None:
    """Wait until the caller closes the connection; routes have read the body before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def asking(
    request: Request,
    deadline: Annotated[
        str | None,
        Header(
            alias=DEADLINE,
            description="After so many seconds the caller waits no longer, and nothing is asked.",
            json_schema_extra={"pattern": r"^[0-9]*[1-9][0-9]*$"},
        ),
    ] = None,
) -> Asking:
    """Begin to answer a request. Raises what says that nothing is judged now."""
    context: Context = request.app.state.context
    return Asking(
        context,
        context.service.version,
        request.state.visit,
        _seconds(deadline, context.settings.seconds),
        request,
        asyncio.get_running_loop().time(),
    )


Asks = Annotated[Asking, Depends(asking)]
"""The parameter of a route that judges."""


def _seconds(text: str | None, most: float) -> float:
    if text is None:
        return most
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise RequestError(
            400, f"{DEADLINE} is no number above 0", code="invalid_deadline", param=DEADLINE
        )
    return min(seconds, most)
