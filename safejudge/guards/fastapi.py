"""A guard for FastAPI: a dependency that hands a route only pictures that may pass.

    guard = UploadGuard(SharedJudge("sketch", "hf:sketch"))

    @app.post("/pictures")
    async def upload(picture: Annotated[Checked, Depends(guard)]) -> ...

Takes the files of a multipart form; gives each, rewound, with what was found, or answers 422. What
could not be judged now is answered 429 or 503, never let in.
"""

# FastAPI reads the annotations of a dependency at run time, so they are no strings here.
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

from safejudge.errors import DeadlineError, SafejudgeError
from safejudge.guards.refusals import Code, Refusal, entry, not_judged, refusal_of, status_of
from safejudge.guards.shared import Opened, SharedJudge
from safejudge.types import Failure, Result

T = TypeVar("T")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that may pass."""

    field: str
    """The field of the form."""
    file: UploadFile
    """The file, rewound. It is closed when the request has been answered."""
    result: Result
    """What was found; a `Failure` only where the policy lets one pass (`allow_failures`)."""


def address(request: Request) -> str:
    """Return the address that a request comes from."""
    return "" if request.client is None else request.client.host


class UploadGuard:
    """Judges the files of a request before a route sees them.

    `Depends(guard)` wants exactly one file and gives a `Checked`; `Depends(guard.several)` gives a
    list of them. A route may as well take its files by itself, and stand behind the guard by
    `dependencies=[Depends(guard)]`.
    """

    def __init__(
        self,
        judge: SharedJudge,
        field: str | None = None,
        *,
        files: int = 16,
        body: int | None = None,
        client: Callable[[Request], str] = address,
    ) -> None:
        """Guard the files of one `field` of a form; None: all files, whatever their field.

        `files` is the most that one request may bring, `body` its bytes (None: those that the
        policy gives one picture, and 1 MiB). Pictures of one `client` take turns with those of
        others; behind a proxy the address is that of the proxy, unless the server is told.
        """
        self._judge, self._field, self._client = judge, field, client
        self._files, self._body = files, body

    async def __call__(self, request: Request) -> AsyncIterator[Checked]:
        """Give the one file of the form."""
        try:
            (checked,) = await self._checked(request, 1)
            yield checked
        finally:
            await request.close()

    async def several(self, request: Request) -> AsyncIterator[list[Checked]]:
        """Give every file of the form, at least one; where one is refused, all are."""
        try:
            yield await self._checked(request, self._files)
        finally:
            await request.close()

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Open the judge when an application starts, so that no upload waits for it; close it."""
        await asyncio.to_thread(self._judge.opened, self._judge.seconds)
        try:
            yield
        finally:
            await asyncio.to_thread(self._judge.close)

    async def _checked(self, request: Request, most: int) -> list[Checked]:
        try:
            opened = await self._in_time(self._opened())
            _check_length(request, self._body or opened.judge.policy.max_bytes + MIB)
            files = await self._files_of(request, most)
            results = await self._in_time(self._results(files, opened, self._client(request)))
        except SafejudgeError as error:
            raise _answer([(not_judged(error), self._loc())]) from error
        refused = [
            (refusal, ("body", name) if most == 1 else ("body", name, place))
            for place, ((name, _), result) in enumerate(zip(files, results, strict=True))
            if (refusal := refusal_of(result, opened)) is not None
        ]
        if refused:
            raise _answer(refused)
        return [
            Checked(name, file, result) for (name, file), result in zip(files, results, strict=True)
        ]

    async def _opened(self) -> Opened:
        # In a thread, and without waiting for another one that opens: many that wait would take
        # the threads that all of the application shares.
        ready = self._judge.ready
        return await asyncio.to_thread(self._judge.opened, 0.0) if ready is None else ready

    async def _files_of(self, request: Request, most: int) -> list[tuple[str, UploadFile]]:
        form = await request.form(max_files=self._files)
        files = [
            (name, part)
            for name, part in form.multi_items()
            if isinstance(part, UploadFile)
            and self._field in (None, name)
            # What a browser sends of a field for which no file was chosen.
            and (part.filename or part.size)
        ]
        if not files:
            raise _answer([(Refusal("missing"), self._loc())])
        if len(files) > most:
            raise _answer([(Refusal("too_many"), self._loc())])
        return files

    async def _results(
        self, files: Sequence[tuple[str, UploadFile]], opened: Opened, client: str
    ) -> list[Result]:
        """Judge the files, side by side. Raises as `Front.submit` does."""
        most = opened.judge.policy.max_bytes
        read = [await _read(file, most) for _, file in files]
        entries = opened.front.submit_all(
            [(data, None) for data in read if isinstance(data, bytes)],
            client=client,
            seconds=self._judge.seconds,
        )
        waiting = [asyncio.wrap_future(one.future) for one in entries]
        try:
            judged = iter(await asyncio.gather(*waiting))
        finally:  # where one fails, or the caller has gone, nobody waits for the others
            for future in waiting:
                future.cancel()
        return [next(judged) if isinstance(data, bytes) else data for data in read]

    async def _in_time(self, work: Awaitable[T]) -> T:
        """Wait for the judge, but no longer than is allowed. Raises `DeadlineError`."""
        # The queue tells of deadlines as well, but not while the engine is busy.
        try:
            async with asyncio.timeout(self._judge.seconds):
                return await work
        except TimeoutError:
            raise DeadlineError(f"not judged within {self._judge.seconds:g} s") from None

    def _loc(self) -> tuple[str, ...]:
        return ("body",) if self._field is None else ("body", self._field)


async def _read(file: UploadFile, most: int) -> bytes | Failure:
    """Read a file and rewind it; one that is too large is not read."""
    if (file.size or 0) > most:
        message = f"{file.size} bytes are more than Policy.max_bytes = {most}"
        return Failure(image="upload", reason="too_large", message=message)
    await file.seek(0)
    data = await file.read()
    await file.seek(0)
    return data


def _check_length(request: Request, most: int) -> None:
    """Refuse a body that is too large before it is read; a form goes to the disk as it comes."""
    told = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not told.isdecimal():
        raise _unread(411, "no_length")
    if int(told) > most:
        raise _unread(413, "too_large")


def _unread(status: int, code: Code) -> HTTPException:
    # The body stays on the connection, which so cannot be used again.
    detail = [entry(("body",), code, Refusal(code).message)]
    return HTTPException(status, detail, {"Connection": "close"})


def _answer(refused: Sequence[tuple[Refusal, Sequence[str | int]]]) -> HTTPException:
    status, headers = status_of(refusal.code for refusal, _ in refused)
    detail = [entry(loc, said.code, said.message, said.categories) for said, loc in refused]
    return HTTPException(status, detail, headers)
