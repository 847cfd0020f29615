"""Work that may take long, beside the event loop: in threads that end with the process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run something in a thread of its own, however long it takes.

    The loop's own threads are waited for when it ends, and an engine that hangs never lets go.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            with suppress(InvalidStateError):  # nobody waits any more
                done.set_exception(error)
        else:
            with suppress(InvalidStateError):
                done.set_result(result)

    threading.Thread(target=run, name="safejudge-work", daemon=True).start()
    return asyncio.wrap_future(done)


async def in_turn(turns: asyncio.Semaphore, work: Callable[[], T]) -> T:
    """Run something in a thread; `turns` bounds how many do, those that nobody awaits included."""
    await turns.acquire()
    running = in_thread(work)
    running.add_done_callback(lambda _: turns.release())
    return await asyncio.shield(running)
