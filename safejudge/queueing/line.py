"""Who is next: entries of several clients, each client in turn."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E")


class FairLine(Generic[E]):
    """Entries that wait. Clients take turns, and those of one client go in order.

    So a client with one entry never waits for the thousand of another. For one thread at a time.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[E]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, client: str, entry: E) -> None:
        """Let an entry wait behind the others of its client."""
        self._waiting.setdefault(client, deque()).append(entry)
        self._count += 1

    def take(self) -> E | None:
        """Take the next entry: of the client whose turn it is the oldest. None: nobody waits."""
        if not self._waiting:
            return None
        client, entries = self._waiting.popitem(last=False)
        entry = entries.popleft()
        if entries:
            self._waiting[client] = entries
        self._count -= 1
        return entry

    def keep(self, wanted: Callable[[E], bool]) -> list[E]:
        """Take out every entry that is not `wanted` any more, and return those."""
        gone: list[E] = []
        for client, entries in list(self._waiting.items()):
            kept: deque[E] = deque()
            for entry in entries:
                (kept if wanted(entry) else gone).append(entry)
            if kept:
                self._waiting[client] = kept
            else:
                del self._waiting[client]
        self._count -= len(gone)
        return gone

    def clients(self) -> Counter[str]:
        """Count the entries of each client."""
        return Counter({client: len(entries) for client, entries in self._waiting.items()})
