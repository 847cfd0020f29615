"""What can go wrong with one request to a server."""

from __future__ import annotations


class RefusedError(Exception):
    """The server will not take this one request; sending it again changes nothing."""

    def __init__(self, message: str, field: str = "") -> None:
        self.field = field
        """The part of the request that it names as the reason, where it names one."""
        super().__init__(message)


class FailedError(Exception):
    """The server gave no usable reply within the tries, or to this client at all."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class QuotaError(FailedError):
    """The server wants no further requests for longer than a request is tried."""


class DoubledError(FailedError):
    """The reply has one key twice, and says two things."""


class TryAgainError(Exception):
    """One attempt failed."""

    def __init__(
        self, message: str, status: int | None = None, *, asked: float = 0.0, silent: float = 0.0
    ) -> None:
        self.status = status
        self.asked = asked
        """Seconds that the server asked to wait."""
        self.silent = silent
        """Seconds that it was waited for in vain."""
        super().__init__(message)


class UnreadableError(ValueError):
    """A reply without usable log-probabilities; the text says what is wrong with it."""


class UnlabelledError(UnreadableError):
    """None of the likeliest tokens is a label; `top` is the likeliest."""

    def __init__(self, message: str, top: str) -> None:
        self.top = top
        super().__init__(message)
