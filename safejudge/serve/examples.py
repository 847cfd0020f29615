"""Examples that the API's page shows; a test sends every one of them."""

from __future__ import annotations

from typing import Any

from safejudge.serve.faults import FaultReply

WORDS = {
    400: "The request cannot be read as it is.",
    401: "No key, or a wrong one.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    413: "More bytes or pixels than the server takes.",
    422: "Nothing could be judged, so nothing is said to be safe; or what was sent is refused.",
    429: "Too much waits; ask again after `Retry-After` seconds.",
    503: "No engine answers now, or the server is ending.",
    504: "Not judged within the deadline.",
}
"""What the statuses mean."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route, for its documentation; those of the gate belong to each."""
    return {
        status: {"model": FaultReply, "description": WORDS[status]}
        for status in sorted({*statuses, 400, 401, 403, 408, 413, 429})
    }


SCENE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAABgBAMAAAAQtmoLAAAAElBMVEX04sPz27Pz27LP6faie2GTXzy/"
    "1dt9AAAAuUlEQVR42u2X0Q3DIAxEzykD2Ctkhe4/QqRuAgtE7m+5tCBXjdRWvj9jXg6EsYKseJQ3kIzi"
    "0oetUl5E+4GlD50N3McOwLUPN86TAy6YaEFQCSSQwAeBPexwm/DUNQT7xiNDB1WM5x8chFujThqZZWkk"
    "kEACCSTwDiCGn5esQaCEActaSuB5abxOVQBy+IWbOLjX9kV7MKCKemRJDsfkxU4PfqCdenAeBeT8WlJA"
    "2acMP2dBB/nTG3cHpocbL6t8N4QAAAAASUVORK5CYII="
)
"""A small drawn scene, an animal in a room, as a data URL: the judge that ships knows it, too."""
