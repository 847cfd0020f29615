"""One flow of a client in a queue, how much of them may be there, and what they may raise."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Generic, TypeVar

from safejudge.errors import EngineCallError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.flow import Flow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be under way, and wait, at a time."""

    size: int = 32
    """Flows that share the engine's batches."""
    waiting: int = 512
    """Entries that wait to begin."""
    waiting_bytes: int = 2**29
    """Bytes that those hold."""
    per_client: int = 128
    """Entries of one client that wait or are under way."""
    readers: int = 2
    """Threads that read images."""

    def __post_init__(self) -> None:
        """Raise `InputError` for a limit that lets nothing in."""
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise InputError(
                    f"Limits.{limit.name} is {getattr(self, limit.name)}; it must be at least 1"
                )


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One flow of a client: it waits, is under way, or has ended."""

    client: str
    """Whose it is; clients take turns."""
    begin: Callable[[], Flow[T]] = field(repr=False)
    """Makes the flow, in a thread of its own; what it raises is the result."""
    size: int
    """Bytes that it holds while it waits."""
    deadline: float | None
    """The moment (of the queue's clock) after which nobody waits for it; None: for ever."""
    joined: float
    """When it came."""
    future: Future[T] = field(default_factory=Future, repr=False)
    """Its result. To cancel it is to leave: then it is asked nothing more."""
    waited: float | None = None
    """Seconds until it was begun; None before."""

    def end(self, result: T) -> None:
        """Tell the result, if anybody still waits for it."""
        if not self.future.cancelled():
            try:
                self.future.set_result(result)
            except InvalidStateError:  # left in the meantime
                return

    def fail(self, error: BaseException) -> None:
        """Tell why there is no result, if anybody still waits for it."""
        if not self.future.done():
            try:
                self.future.set_exception(error)
            except InvalidStateError:  # left in the meantime
                return


def ordinary(error: BaseException) -> Exception:
    """Return an error that ends no thread or event loop where it is raised again.

    What Rust code raises where it panics is no `Exception`; of `SystemExit` nobody here may end.
    """
    if isinstance(error, Exception):
        return error
    made = EngineCallError(f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made
