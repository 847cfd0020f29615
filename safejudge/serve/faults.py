"""What a request that is not answered is told: a status, and an error in OpenAI's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import (
    BusyError,
    ClosingError,
    DeadlineError,
    EngineError,
    InputError,
    JournalError,
    QueueFullError,
    SafejudgeError,
)
from safejudge.serve.wire import Wire
from safejudge.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.types import JSON, Failure

TOO_LARGE = frozenset({"too_large", "too_many_pixels"})
"""Reasons of a failure by which an image is more than the server takes."""

RETRY = 2
"""Seconds after which a caller may ask again."""


class Fault(Wire):
    """What went wrong."""

    message: str
    """For people: the thing, the value, the next step."""
    type: str
    """The kind of error."""
    param: str | None = None
    """The field of the request that is meant."""
    code: str | None = None
    """One word for machines."""


class FaultReply(Wire):
    """An error, as OpenAI's API has it."""

    error: Fault


class RequestError(SafejudgeError):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        extra: JSON | None = None,
    ) -> None:
        self.status, self.code, self.param = status, code, param
        self.extra = extra or {}
        """What the reply holds beside the error."""
        super().__init__(message)


class ClientLeftError(SafejudgeError):
    """The caller closed the connection; nobody reads the reply."""


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_KINDS: tuple[tuple[type[SafejudgeError], int, str], ...] = (
    (QueueFullError, 429, "queue_full"),
    (DeadlineError, 504, "deadline"),
    (ClosingError, 503, "closing"),
    (JournalError, 503, "journal"),
    (BusyError, 503, "busy"),
    (EngineError, 503, "engine_down"),
    (ClientLeftError, 499, "client_left"),
    (InputError, 400, "invalid_input"),
)


def reply_to(error: SafejudgeError) -> tuple[int, JSON, dict[str, str]]:
    """Return status, body and headers that an error is answered with."""
    if isinstance(error, RequestError):
        status, code, param, extra = error.status, error.code, error.param, error.extra
    else:
        matches = ((s, c) for kind, s, c in _KINDS if isinstance(error, kind))
        (status, code), param, extra = next(matches, (500, "internal")), None, {}
    return status, body_of(status, str(error), code=code, param=param) | extra, headers_of(status)


def body_of(status: int, message: str, *, code: str, param: str | None = None) -> JSON:
    """Write an error in OpenAI's form."""
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    fault = Fault(message=cut(message, 2000), type=kind, param=param, code=code)
    return FaultReply(error=fault).model_dump()


def headers_of(status: int) -> dict[str, str]:
    """Say when to ask again, where that helps."""
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(RETRY)} if status in (429, 503) else {}


def none_judged(failures: Iterable[Failure]) -> tuple[int, str]:
    """Return status and message for a request of which no image could be judged."""
    found = list(failures)
    status = 413 if found and all(failure.reason in TOO_LARGE for failure in found) else 422
    return status, "; ".join(cut(failure.message, 400) for failure in found[:4])
