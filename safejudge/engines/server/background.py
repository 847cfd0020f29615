"""An event loop beside the caller's own, and what is run in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """An event loop in a thread of its own, so that any thread can wait for a coroutine.

    It does not matter whether the caller's thread runs a loop itself. The thread does not go with
    a forked child: there nobody may wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="safejudge-server", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return the result; whatever interrupts the caller cancels it.

        Raises `CancelledError` where the loop is stopped, before or meanwhile.
        """
        with self._lock:
            if self._stopped:
                coroutine.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, coroutines: Sequence[Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Run all to their ends and do not wait; returns what cancels those that have not ended.

        Raises `CancelledError` where the loop is stopped.
        """
        with self._lock:
            if self._stopped:
                for coroutine in coroutines:
                    coroutine.close()
                raise CancelledError
            futures: list[Future[None]] = []

            def cancel() -> None:
                for future in futures:
                    future.cancel()

            try:
                futures.extend(asyncio.run_coroutine_threadsafe(c, self._loop) for c in coroutines)
            except BaseException:  # Ctrl-C: nobody gets what could end those that have begun
                cancel()
                for coroutine in coroutines[len(futures) + 1 :]:
                    coroutine.close()
                raise
        return cancel

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what is running, run `last`, and end the thread."""
        with self._lock:
            self._stopped = True
        # Whatever was handed in before stands before this in the loop's queue.
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        asyncio.run_coroutine_threadsafe(last, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def gathered(coroutines: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the first exception cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
