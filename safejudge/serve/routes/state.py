"""`GET /health`, `/ready` and `/metrics`; `POST /admin/reload`."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from safejudge.errors import DeadlineError, InputError
from safejudge.serve.asking import Context
from safejudge.serve.examples import refusals
from safejudge.serve.faults import RequestError
from safejudge.serve.threads import in_thread
from safejudge.serve.wire import Wire

router = APIRouter(tags=["operation"])


class Health(Wire):
    """That the process answers."""

    status: str
    """`ok`."""


class Ready(Wire):
    """That the engine has proved its labels and judged a picture, and answers still."""

    ready: bool
    """Always true; else the status is 503."""
    constitution: str
    """Digest of the rules."""
    policy: str
    """Digest of the policy."""
    model: str
    """What the engine was chosen by."""
    revision: str
    """Digest of the model, where the engine can tell."""
    version: int
    """Counts up with every reload."""
    notes: list[str]
    """What a person should know of rules, policy and models."""


@router.get("/health", responses=refusals())
async def health() -> Health:
    """Say that the process answers, whatever the engine does."""
    return Health(status="ok")


@router.get("/ready", responses=refusals(503))
async def ready(request: Request) -> Ready:
    """Say whether images are judged now."""
    context: Context = request.app.state.context
    return _ready(context)


@router.post("/admin/reload", responses=refusals(422, 503, 504))
async def reload(request: Request) -> Ready:
    """Read constitution, policy, thresholds and keys anew; nothing changes where one is wrong."""
    context: Context = request.app.state.context
    try:
        # It goes on after that: an engine that hangs keeps it, and the caller should know.
        async with asyncio.timeout(context.settings.seconds):
            await asyncio.shield(in_thread(context.reload))
    except TimeoutError:
        raise DeadlineError("the reload has not ended yet; see the server's log") from None
    except (InputError, OSError) as error:
        raise RequestError(422, f"nothing was reloaded: {error}", code="not_reloaded") from error
    return _ready(context)


@router.get(
    "/metrics",
    response_class=Response,
    responses={**refusals(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Show every counter, for Prometheus."""
    context: Context = request.app.state.context
    return Response(context.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _ready(context: Context) -> Ready:
    problem = context.service.problem
    if problem is not None:
        raise RequestError(503, problem, code="not_ready")
    version = context.service.version
    made = version.judge.provenance
    return Ready(
        ready=True,
        constitution=made.constitution,
        policy=made.policy,
        model=made.model,
        revision=made.revision,
        version=version.number,
        notes=list(version.notes),
    )
