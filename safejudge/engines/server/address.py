"""What the address of a server says, and the key that goes there."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from safejudge.errors import EngineSetupError

KEY = "SAFEJUDGE_API_KEY"
"""Environment variable that may hold the server's key."""
OPENAI = {"host": "api.openai.com", "key": "OPENAI_API_KEY"}
"""The one host that the key of this other variable is sent to: it was issued for nobody else."""


def parts_of(address: str, scheme: str = "server") -> tuple[str, str, str | None]:
    """Base address, the server's root (without /v1) and the model's name.

    `scheme` stands before the address in a URI. Raises `EngineSetupError`.
    """
    try:
        split = urlsplit(address)
        usable = split.scheme in {"http", "https"} and split.hostname and split.port != 0
    except ValueError:
        usable = False
    if not usable or split.query:
        raise EngineSetupError(
            f"{scheme}:{address} is no server's address. Write {scheme}:http://HOST:PORT/v1#MODEL"
        )
    if "@" in split.netloc:
        raise EngineSetupError(
            f"{scheme}:{split.scheme}://...@{split.hostname}: a password does not belong in an "
            f"address that goes into records. Put the server's key into {KEY}."
        )
    base = f"{split.scheme}://{split.netloc}{split.path.rstrip('/')}"
    return base, base.removesuffix("/v1"), split.fragment or None


def key_for(base: str) -> str | None:
    """Return the server's key from the environment, if there is one."""
    openai = urlsplit(base).hostname == OPENAI["host"] and base.startswith("https:")
    for name in (KEY, OPENAI["key"]) if openai else (KEY,):
        if key := os.environ.get(name, "").strip():
            if not (key.isascii() and key.isprintable()):
                raise EngineSetupError(f"{name} holds characters that no header can; set it anew.")
            return key
    return None
