"""Images as requests name them: a data URL, an address, bytes -> an `Upload`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import TYPE_CHECKING

from safejudge.errors import ImageError
from safejudge.serve.service import Upload
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.serve.fetch import Fetcher

_DATA = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LARGE = 2**18
"""Characters from which on decoding is left to a thread."""


async def uploads_of(
    names: Sequence[str], captions: Sequence[str | None], fetcher: Fetcher
) -> list[Upload]:
    """Read every image that a request names, side by side; one that fails is a `Failure`."""
    read = await asyncio.gather(*(_read(name, place, fetcher) for place, name in enumerate(names)))
    return [Upload(image, caption) for image, caption in zip(read, captions, strict=True)]


async def _read(name: str, place: int, fetcher: Fetcher) -> bytes | Failure:
    try:
        return await _image(name, fetcher)
    except ImageError as error:
        return Failure(
            image=f"image[{place}]",
            reason=error.reason,
            message=f"image[{place}]: {error}",
        )


async def _image(name: str, fetcher: Fetcher) -> bytes:
    """Return the bytes that are meant. Raises `ImageError`."""
    data = _DATA.match(name)
    if data is not None:
        return await _decoded(name, data.end())
    if name[:5].lower() == "data:":
        raise ImageError(
            "unreadable", "the data URL is not base64; write data:image/png;base64,..."
        )
    if _ADDRESS.match(name):
        return await fetcher.fetch(name)
    return await _decoded(name, 0)


async def _decoded(text: str, start: int) -> bytes:
    """Decode base64; of another form, bare base64 is taken as well."""
    if len(text) > _LARGE:
        return await asyncio.to_thread(_plain, text, start)
    return _plain(text, start)


def _plain(text: str, start: int) -> bytes:
    written = text[start:].translate(_SPACE)
    try:
        decoded = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(
            "unreadable",
            "no image: neither base64 nor an address; write data:image/png;base64,...",
        ) from error
    if not decoded:
        raise ImageError("empty", "holds no bytes; check how it was written")
    return decoded


_SPACE = {ord(sign): None for sign in " \t\r\n"}
