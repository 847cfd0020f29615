"""The application: routes, errors and the gate around them."""

from __future__ import annotations

import logging
from importlib import metadata
from typing import TYPE_CHECKING, Any, TextIO

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from safejudge.errors import SafejudgeError
from safejudge.serve.faults import body_of, headers_of, reply_to
from safejudge.serve.gate import Gate
from safejudge.serve.page import router as page
from safejudge.serve.routes import judge, litellm, moderations, pigeon, state, systemone

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from safejudge.serve.asking import Context
    from safejudge.serve.keys import Keys

LOG = logging.getLogger("safejudge.serve")
ROUTERS = (moderations.router, judge.router, litellm.router, pigeon.router, systemone.router,
           state.router, page)  # fmt: skip
ABOUT = """
Judges whether images are safe, by rules that people write. Every reply says what was looked at
(`coverage`). What nobody looked at is never called safe: it is flagged, or an error.
"""


def api_of(context: Context) -> FastAPI:
    """Make the routes over one service."""
    api = FastAPI(
        title="safejudge",
        version=metadata.version("safejudge"),
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
    )
    api.state.context = context
    for router in ROUTERS:
        api.include_router(router)
    # Starlette wants one signature for handlers of every kind of error.
    handlers: dict[type[Exception], Any] = {
        SafejudgeError: _told,
        RequestValidationError: _invalid,
        HTTPException: _http,
        Exception: _bug,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)
    return api


def gated(api: FastAPI, keys: Callable[[], Keys | None], log: TextIO | None) -> ASGIApp:
    """Stand the gate before the routes; `keys` are looked up for each request."""
    context: Context = api.state.context

    return Gate(
        api,
        settings=context.settings,
        keys=keys,
        metrics=context.metrics,
        log=log,
    )


async def _told(request: Request, error: SafejudgeError) -> JSONResponse:
    status, body, headers = reply_to(error)
    request.state.visit.log["error"] = body["error"]["code"]
    return JSONResponse(body, status, headers)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"] if part != "body")
    message = f"{where}: {fault['msg']}" if where else str(fault["msg"])
    request.state.visit.log["error"] = "invalid_request"
    body = body_of(400, message, code="invalid_request", param=where[:100] or None)
    return JSONResponse(body, 400)


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    request.state.visit.log["error"] = code
    body = body_of(error.status_code, str(error.detail), code=code)
    headers = headers_of(error.status_code) | dict(error.headers or {})
    return JSONResponse(body, error.status_code, headers)


async def _bug(_: Request, error: Exception) -> JSONResponse:
    LOG.error("a bug answered a request with 500", exc_info=error)
    body = body_of(500, "the server has a bug here; its log says more", code="internal")
    return JSONResponse(body, 500)
