"""`GET /docs`: the API as one page, which needs no script and fetches nothing.

Made from the OpenAPI document, which `/openapi.json` holds for machines: every route with its
fields, its statuses, and a line for a shell that asks it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from safejudge.serve.gate import OPEN, ROLES
from safejudge.serve.schema import Row, Schemas
from safejudge.show.page.templates import environment
from safejudge.text import clean, clean_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safejudge.types import JSON

router = APIRouter()
KEY = "SAFEJUDGE_KEY"
"""The variable in which the lines look for a key."""
PICTURE = "picture.png"
"""The file that the lines send, where one is sent."""


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of a request or a reply."""

    title: str
    rows: tuple[Row, ...]
    sent: bool = True
    """Whether a caller sends them, and so has to know which are required."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route, as the page shows it."""

    method: str
    path: str
    tag: str
    text: str
    role: str
    """What a key has to be for it; "" where none is wanted."""
    tables: tuple[Table, ...]
    lines: tuple[Markup, ...]
    """Lines for a shell."""
    statuses: tuple[tuple[str, str], ...]
    """Each with its meaning."""

    @property
    def brief(self) -> str:
        """The first sentence about it."""
        return self.text.partition(". ")[0].rstrip(".")

    @property
    def anchor(self) -> str:
        """What links lead to it."""
        return re.sub(r"\W+", "-", f"{self.method} {self.path}").strip("-").lower()


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Show the page; its lines ask the address that it was asked for at."""
    keyed = request.app.state.context.settings.keys is not None
    text = page(request.app.openapi(), str(request.base_url).rstrip("/"), keyed=keyed)
    # The address comes from a header: nobody else shall be shown it.
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})


def page(document: JSON, base: str, *, keyed: bool) -> str:
    """Make the page of an OpenAPI document; `keyed` says whether the server wants keys."""
    schemas = Schemas(document)
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    inside = Counter(
        name for *_, operation in operations for name in schemas.within(_reply(operation))
    )
    fault = {"FaultReply", "Fault"} & set(document["components"]["schemas"])
    shared = sorted({name for name, count in inside.items() if count > 1} | fault)
    routes = [_route(schemas, shared, base, operation) for operation in operations]
    template = environment("safejudge.serve")
    template.filters["marked"] = marked
    return template.get_template("api.html").render(
        info=document["info"],
        base=base,
        keyed=keyed,
        key=KEY,
        picture=PICTURE,
        tags=list(dict.fromkeys(route.tag for route in routes)),
        routes=routes,
        parts=[(name, schemas.text(name), list(schemas.part(name, shared))) for name in shared],
    )


def marked(text: str) -> Markup:
    """Show what stands in backticks as code; text is otherwise as it is."""
    pieces = clean(" ".join(text.split())).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def _route(schemas: Schemas, shared: list[str], base: str, asked: tuple[str, str, JSON]) -> Route:
    method, path, operation = asked
    return Route(
        method=method,
        path=path,
        tag=operation["tags"][0],
        text=operation.get("description", ""),
        role="" if path in OPEN else ROLES.get(path, "judge"),
        tables=tuple(_tables(schemas, shared, operation)),
        lines=tuple(
            Markup(escape(clean_lines(line)))  # noqa: S704 - escaped
            for line in lines_of(base, method, path, operation)
        ),
        statuses=tuple(_statuses(operation)),
    )


def _tables(schemas: Schemas, shared: list[str], operation: JSON) -> Iterator[Table]:
    parameters = tuple(
        Row(
            one["name"],
            0,
            schemas.kind(one["schema"]),
            one.get("description", ""),
            one.get("required", False),
        )
        for one in operation.get("parameters", ())
    )
    if parameters:
        yield Table("In the address", parameters)
    for media, content in _contents(operation):
        kind = "JSON" if media == "application/json" else f"as {media}"
        yield Table(f"Request, {kind}", tuple(schemas.rows(content["schema"])))
    if rows := tuple(schemas.rows(_reply(operation), shared)):
        yield Table("Reply, JSON", rows, sent=False)


def _statuses(operation: JSON) -> Iterator[tuple[str, str]]:
    for status, response in sorted(operation["responses"].items()):
        text = response["description"]
        if "HTTPValidationError" in str(response):
            continue  # FastAPI's own word for what this server answers with 400
        yield status, "The reply." if text == "Successful Response" else text


def lines_of(base: str, method: str, path: str, operation: JSON) -> Iterator[str]:
    """Yield lines for a shell that ask a route: one for each example, and one that sends a file."""
    start = [f"curl {shlex.quote(base + path)}"]
    if path not in OPEN:
        start.append(f'-H "Authorization: Bearer ${KEY}"')
    contents = list(_contents(operation))
    if not contents:
        yield _joined([*start, *(["-X POST"] if method == "POST" else [])])
    for media, content in contents:
        for example in content.get("examples", {}).values():
            body = json.dumps(example["value"], indent=1, ensure_ascii=False)
            header = shlex.quote(f"Content-Type: {media}")
            yield _joined([*start, f"-H {header}", f"-d {shlex.quote(body)}"])
        if media == "multipart/form-data":
            fields = content["schema"].get("required", ())
            yield _joined([*start, *(f"-F {shlex.quote(f'{f}=@{PICTURE}')}" for f in fields)])


def _joined(words: Iterable[str]) -> str:
    return " \\\n  ".join(words)


def _contents(operation: JSON) -> Iterator[tuple[str, JSON]]:
    yield from operation.get("requestBody", {}).get("content", {}).items()


def _reply(operation: JSON) -> JSON:
    """Return the schema of what a route answers when all is well; an empty one for no JSON."""
    good: list[Any] = [r for status, r in operation["responses"].items() if status.startswith("2")]
    schema: JSON = good[0].get("content", {}).get("application/json", {}).get("schema", {})
    return schema
