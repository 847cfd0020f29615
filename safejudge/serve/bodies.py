"""JSON bodies that can be read in one way only.

Of a name that stands twice in an object, programs take the first or the last: whoever stands behind
us may see another picture than was judged. So that is refused, and so is what is not UTF-8.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request

from safejudge.serve.faults import RequestError
from safejudge.serve.pictures import pictures_in
from safejudge.text import cut, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from starlette.responses import Response

    from safejudge.types import JSON


class StrictRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """Return the body. Raises `HTTPException` 400 for what is not plain JSON."""
        if not hasattr(self, "_strict"):
            self._strict = decoded(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that reads JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route a `StrictRequest`."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def decoded(body: bytes) -> Any:
    """Decode JSON. Raises `HTTPException` 400."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        problem = f"is no JSON: {error.msg} at character {error.pos}"
    except UnicodeDecodeError:
        problem = "is no UTF-8"
    except RecursionError:
        problem = "is nested too deep"
    except ValueError as error:
        problem = f"cannot be read: {cut(str(error))}"
    raise HTTPException(400, f"the body {problem}")


def _once(pairs: list[tuple[str, Any]]) -> JSON:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quoted(twice)} stands twice in one object")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def check_all_read(body: Any, read: Collection[str]) -> None:
    """Raise `RequestError` for a picture of a body that is not among those that are looked at."""
    known = set(read)
    for picture in pictures_in(body):
        if picture not in known:
            raise RequestError(
                400,
                f"the body holds a picture where nobody looks: {quoted(cut(picture, 40))}; send it "
                "as the API says (GET /docs), or leave it out",
                code="unread_picture",
            )
