"""The application: routes, errors and the gate around them."""

from __future__ import annotations

import logging
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, TextIO

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from safejudge.errors import SafejudgeError
from safejudge.serve.faults import body_of, headers_of, reply_to
from safejudge.serve.gate import OPEN, Gate
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
    api.openapi = partial(_document, api)  # type: ignore[method-assign]  # as FastAPI says to do it
    for router in (*ROUTERS, *_review()):
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


def _review() -> tuple[APIRouter, ...]:
    """Return the routes of a review; none where a journal could not be opened anyway."""
    try:
        from safejudge.serve.review import routes, shell  # noqa: PLC0415 - of another extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        return ()
    return shell.router, routes.router


def _document(api: FastAPI) -> dict[str, Any]:
    """Describe the routes: what FastAPI knows of them, and what the gate does before them."""
    if api.openapi_schema is None:
        made = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes
        )
        made["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        # Without a file of keys nobody needs one.
        made["security"] = [{"bearer": []}, {"header": []}, {}]
        for path, methods in made["paths"].items():
            for operation in methods.values():
                _correct(operation, path)
        api.openapi_schema = made
    return api.openapi_schema


def _correct(operation: dict[str, Any], path: str) -> None:
    if path in OPEN:
        operation["security"] = []
    # FastAPI takes for granted that it answers with 422 what has another form; here that is 400.
    replies = operation["responses"]
    if "HTTPValidationError" in str(replies.get("422")):
        del replies["422"]


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
