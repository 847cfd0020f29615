"""Images are read while models answer about earlier ones, as long as memory lasts.

Takes an endless supply and a function that reads one image of it; gives what was read, in order.
A `Budget` counts the bytes of decoded pictures that anybody still holds.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from safejudge.types import ImageInput

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from safejudge.types import Failure

T = TypeVar("T")
S = TypeVar("S")

HELD = 2**30
"""Bytes of decoded pictures that a judge holds at a time; one image more may be taken while some
are left. What engines make of them comes on top."""

_TICK = 0.01
"""Seconds between two looks whether there is room again."""


class Budget:
    """Bytes of decoded pictures that are held at a time."""

    def __init__(self, limit: int) -> None:
        """Allow so many bytes; one image more may be taken while some are left."""
        self._limit = limit
        self._held = 0
        self._freed: deque[int] = deque()
        self._lock = threading.Lock()

    def holding(self, image: ImageInput | Failure) -> ImageInput | Failure:
        """Count an image's pictures until nobody holds their pixels any more."""
        if isinstance(image, ImageInput):
            for picture in image.pictures:
                size = picture.pixels.nbytes
                with self._lock:
                    self._held += size
                # Pixels may die in any thread, at any time: so nothing there takes a lock.
                weakref.finalize(picture.pixels, self._freed.append, size).atexit = False
        return image

    def has_room(self) -> bool:
        """Whether there are bytes left."""
        with self._lock:
            while self._freed:
                self._held -= self._freed.popleft()
            return self._held < self._limit


class ReadAhead:
    """Reads images in a thread of its own, `ahead` of those that were taken."""

    def __init__(self, budget: Budget, ahead: int) -> None:
        self.stopped = threading.Event()
        """Set when nobody wants images any more; reading one is given up then."""
        self._budget, self._ahead = budget, ahead
        self._wanted = -1
        """The place of the latest image that somebody waits for, or has waited for."""

    def read(self, supply: Iterator[S], read: Callable[[int, S], T]) -> Generator[T, None, None]:
        """Yield what `read` makes of each place and what the supply has there.

        The supply is asked in the thread that iterates. Raises what either raises.
        """
        with ThreadPoolExecutor(1, "safejudge-images") as reader:
            try:
                begun: deque[Future[T]] = deque()
                for place, source in enumerate(supply):
                    begun.append(reader.submit(self._read, read, place, source))
                    if len(begun) > self._ahead:
                        self._wanted += 1
                        yield begun.popleft().result()
                while begun:
                    self._wanted += 1
                    yield begun.popleft().result()
            finally:
                self.stopped.set()
                reader.shutdown(wait=False, cancel_futures=True)

    def _read(self, read: Callable[[int, S], T], place: int, source: S) -> T:
        # Whoever waits for an image holds nothing that could make room for it.
        while not (place <= self._wanted or self._budget.has_room() or self.stopped.is_set()):
            time.sleep(_TICK)
        return read(place, source)
