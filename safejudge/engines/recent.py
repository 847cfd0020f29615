"""What was used most recently, up to a size: the one least-recently-used store of the package."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, KeysView, Sequence

K = TypeVar("K")
V = TypeVar("V")


class RecentCache(Generic[K, V]):
    """Values by key; where they outgrow `capacity`, those that were not used for longest go first.

    `size` measures a value; without it every value counts 1, so `capacity` is a number of values.
    To be used from one thread at a time.
    """

    def __init__(self, capacity: int, size: Callable[[V], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._size = size
        self._total = 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def keys(self) -> KeysView[K]:
        """Return every key, as a set; looking at it is no use of a value."""
        return self._values.keys()

    def get(self, key: K) -> V | None:
        """Return the value of a key, which is a use of it; None if it is not there."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Keep a value as the one used last; one larger than the whole store is not kept."""
        self.drop(key)
        size = self._size(value)
        if size > self._capacity:
            return
        self._values[key] = value
        self._total += size
        while self._total > self._capacity:
            _, oldest = self._values.popitem(last=False)
            self._total -= self._size(oldest)

    def drop(self, key: K) -> None:
        """Let go of a value, if it is there."""
        if key in self._values:
            self._total -= self._size(self._values.pop(key))

    def fetch(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made now if it is not there."""
        return self.fetch_all([key], lambda _: [make()])[key]

    def fetch_all(
        self, keys: Collection[K], make: Callable[[Sequence[K]], Iterable[V]]
    ) -> dict[K, V]:
        """Return the values of all keys; `make` gives those of the missing ones, in order."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._values]
        values = {key: self._values[key] for key in keys if key in self._values}
        values |= zip(missing, make(missing) if missing else (), strict=True)
        for key, value in values.items():
            self.put(key, value)
        return values

    def clear(self) -> None:
        """Let go of everything."""
        self._values.clear()
        self._total = 0
