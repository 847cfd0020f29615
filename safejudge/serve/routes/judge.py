"""`POST /v1/judge`: the whole record of `safejudge judge --out`, for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from rich.console import Console
from starlette.datastructures import UploadFile

from safejudge.files import records
from safejudge.serve.asking import Asks
from safejudge.serve.bodies import StrictRoute
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.faults import RequestError, none_judged
from safejudge.serve.routes.details import people_of
from safejudge.serve.service import Answered, Upload
from safejudge.serve.wire import Wire
from safejudge.show import trace
from safejudge.text import plain_name, quoted
from safejudge.types import Failure, Result

if TYPE_CHECKING:
    from safejudge.serve.asking import Asking

router = APIRouter(tags=["safejudge"], route_class=StrictRoute)
WIDTH = 100
"""Columns of an explanation."""


class NamedImage(Wire):
    """One image of a request."""

    model_config = ConfigDict(extra="forbid")

    image: Annotated[str, Field(min_length=1)]
    """A data URL; or an address, where the server may fetch from its host."""
    caption: Annotated[str, Field(max_length=100_000)] | None = None
    """The prompt or caption that belongs to it."""
    name: Annotated[str, Field(max_length=1000)] | None = None
    """What the record calls it."""


class JudgeRequest(Wire):
    """Images to be judged."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[NamedImage], Field(min_length=1)]


class JudgeReply(Wire):
    """A record for each image, in order, as `safejudge judge --out` writes it."""

    results: list[dict[str, Any]]
    """One for each image, in order."""
    coverage: Coverage


def _whole(schema: dict[str, Any]) -> dict[str, Any]:
    """Write what a schema refers to into it: a part of a document has no place for definitions."""
    named = schema.pop("$defs", {})

    def written(node: Any) -> Any:
        if isinstance(node, list):
            return list(map(written, node))
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return written(named[node["$ref"].rpartition("/")[2]])
        return {key: written(value) for key, value in node.items()}

    whole: dict[str, Any] = written(schema)
    return whole


_FORM = {
    "type": "object",
    "properties": {
        "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "caption": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["image"],
}


@router.post(
    "/v1/judge",
    responses=refusals(413, 422, 503, 504),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _whole(JudgeRequest.model_json_schema()),
                    "examples": {"picture": {"value": {"images": [{"image": SCENE}]}}},
                },
                "multipart/form-data": {"schema": _FORM},
            },
        }
    },
)
async def judge(
    request: Request,
    asking: Asks,
    explain: Annotated[
        Literal["text"] | None, Query(description="add the trace as a person reads it")
    ] = None,
) -> JudgeReply:
    """Judge images, sent as files of a form (`image`, `caption`) or as JSON."""
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    uploads, names = await (_of_form(request, asking) if form else _of_json(request, asking))
    answered = await asking.judge(uploads)
    results = [
        _record(answered, place, names[place], explains=explain is not None)
        for place in range(len(uploads))
    ]
    failures = [one for one in answered.results if isinstance(one, Failure)]
    if len(failures) == len(uploads):
        status, message = none_judged(failures)
        coverage = answered.coverage.model_dump(mode="json")
        raise RequestError(
            status, message, code="not_judged", extra={"results": results, "coverage": coverage}
        )
    return JudgeReply(results=results, coverage=answered.coverage)


async def _of_json(request: Request, asking: Asking) -> tuple[list[Upload], list[str | None]]:
    try:
        asked = JudgeRequest.model_validate(await request.json())
    except ValidationError as error:
        raise RequestError(400, _first(error), code="invalid_request") from error
    uploads = await asking.uploads(
        [one.image for one in asked.images], [one.caption for one in asked.images]
    )
    return uploads, [one.name for one in asked.images]


async def _of_form(request: Request, asking: Asking) -> tuple[list[Upload], list[str | None]]:
    most = asking.context.settings.images
    whole = await request.body()  # so that it can be looked at twice
    async with request.form(max_files=most, max_fields=most) as form:
        _check_whole(request.headers["content-type"], whole)
        strange = sorted({name for name, _ in form.multi_items()} - {"image", "caption"})
        if strange:
            raise RequestError(
                400,
                f"the form has {quoted(strange[0])}; its fields are image and caption",
                code="invalid_request",
                param=plain_name(strange[0])[:100],
            )
        files = [file for file in form.getlist("image") if isinstance(file, UploadFile)]
        captions = [text for text in form.getlist("caption") if isinstance(text, str)]
        if len(files) + len(captions) < len(form.multi_items()):
            raise RequestError(
                400,
                "an image of the form has no file name, or a caption has one: send images as "
                "files, captions as text",
                code="invalid_request",
            )
        if not files:
            raise RequestError(
                400, "the form has no file `image`", code="invalid_request", param="image"
            )
        if captions and len(captions) != len(files):
            raise RequestError(
                400,
                f"{len(files)} images but {len(captions)} captions; send one for each, or none",
                code="invalid_request",
                param="caption",
            )
        asking.check_count(len(files))
        texts: list[str | None] = [*captions] or [None] * len(files)
        uploads = [Upload(await file.read(), text) for file, text in zip(files, texts, strict=True)]
        return uploads, [file.filename for file in files]


def _check_whole(kind: str, body: bytes) -> None:
    """Raise `RequestError` for a form that was cut, or goes on behind its end.

    Both are read as far as they go, so that an image could be sent which nobody looks at.
    """
    _, options = parse_options_header(kind)
    end = b"\r\n--" + options.get(b"boundary", b"") + b"--"
    if body.find(end) < 0 or body[body.find(end) :].rstrip() != end:
        raise RequestError(
            400,
            "the form does not end with its boundary; send it whole, and nothing after it",
            code="invalid_request",
        )


def _record(answered: Answered, place: int, name: str | None, *, explains: bool) -> dict[str, Any]:
    result, decision = answered.results[place], answered.decisions[place]
    decided = None if decision is None else decision.record()
    called = plain_name(name) if name else f"image[{place}]"
    record = records.record(called, result, answered.version.judge.provenance, decided)
    if answered.people[place]:
        said = people_of(answered.people[place])
        record["people"] = {rule: one.model_dump(mode="json") for rule, one in said.items()}
    if answered.repeated[place]:
        record["repeated"] = True
    if explains:
        record["explanation"] = _explanation(answered, result)
    return record


def _explanation(answered: Answered, result: Result) -> str:
    if isinstance(result, Failure):
        return result.message
    judge = answered.version.judge
    console = Console(width=WIDTH, color_system=None, force_terminal=False, no_color=True)
    with console.capture() as capture:
        console.print(trace.explanation(result, judge.constitution.rules, judge.policy))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _first(error: ValidationError) -> str:
    """Say what is wrong first, and where."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
