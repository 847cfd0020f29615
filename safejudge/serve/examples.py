"""Examples that the API's page shows; a test sends every one of them."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

from safejudge.serve.faults import FaultReply

WORDS = {
    400: "The request cannot be read as it is.",
    401: "No key, or a wrong one.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    413: "More bytes or pixels than the server takes.",
    422: "Nothing could be judged; nothing is said to be safe.",
    429: "Too much waits; ask again after `Retry-After` seconds.",
    503: "No engine answers now, or the server is ending.",
    504: "Not judged within the deadline.",
}
"""What the statuses mean."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route, for its documentation."""
    return {
        status: {"model": FaultReply, "description": WORDS[status]}
        for status in sorted({*statuses, 400, 401, 403, 413, 429})
    }


def _scene() -> str:
    picture = Image.new("RGB", (32, 32), (150, 200, 240))
    ImageDraw.Draw(picture).rectangle((0, 20, 32, 32), fill=(90, 170, 90))
    stream = BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


SCENE = _scene()
"""A small picture of a meadow, as a data URL."""
