"""Every picture that a JSON body holds, however deep, and whoever's form it has.

Takes decoded JSON; gives data URLs, bare base64 and addresses, as they stand there. What lies with
a provider comes as `file:NAME`: its bytes cannot be had here, so that name fails, and is not passed
over. Text that a person wrote is no picture, whatever it looks like; nor are videos and documents.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from safejudge.images.kinds import kind_of
from safejudge.images.load import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import JSON

_TEXT = frozenset({"text", "content"})
"""Fields of text: a model is shown the words."""
_IMAGES = frozenset({"image", "images", "image_url", "input_image"})
"""Fields that hold a picture, or several."""
_TYPES = frozenset({"image", "input_image", "image_url", "output_image"})
"""Blocks that are one."""
_KINDS = ("media_type", "mediaType", "mime_type", "mimeType", "content_type", "format")
_FILENAMES = ("filename", "file_name", "fileName")
_BYTES = frozenset({"data", "bytes", "base64", "file_data", "fileData", "b64_json"})
_FILES = frozenset({"file_id", "fileId", "file_uri", "fileUri"})
_PLACES = frozenset({"url", "uri"})
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_WEB = re.compile(r"(https?|data):", re.IGNORECASE)
_DATA = re.compile(r"\s*data:([^,]{0,200}),", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+")
_HEAD = 400
"""So many signs show what base64 is of."""
_SHORTEST = 32
"""No picture is shorter, in base64."""


def pictures_in(node: Any) -> Iterator[str]:
    """Yield every picture, in no order."""
    waiting = [(node, False)]
    while waiting:
        node, pictured = waiting.pop()
        if isinstance(node, list):
            yield from (item for item in node if _is_item(item, pictured=pictured))
            waiting.extend((item, pictured) for item in node)
        elif isinstance(node, dict):
            pictured = pictured or _says_so(node)
            yield from filter(None, (_of_field(*field, node, pictured) for field in node.items()))
            waiting.extend((value, pictured or key in _IMAGES) for key, value in node.items())


def _is_item(item: Any, *, pictured: bool) -> bool:
    return isinstance(item, str) and (
        is_picture(item) or (pictured and _WEB.match(item) is not None)
    )


def _says_so(block: JSON) -> bool:
    """Whether a block says that it is a picture: by its type, its kind, or the name of its file."""
    kinds = (block.get(key) for key in _KINDS)
    names = (block.get(key) for key in _FILENAMES)
    return (
        _word(block.get("type")) in _TYPES
        or any(_word(kind).startswith("image/") for kind in kinds)
        or any(isinstance(name, str) and _is_named(name) for name in names)
    )


def _of_field(key: str, value: Any, block: JSON, pictured: bool) -> str | None:
    """Return the picture that a field holds itself."""
    if not isinstance(value, str) or not value or key in _TEXT:
        return None
    # What image models return has both, one of them empty.
    made = key == "url" and not {"b64_json", "revised_prompt"}.isdisjoint(block)
    if key in ("image_url", "b64_json") or made or (pictured and key in _BYTES | _PLACES):
        return value
    if key in _FILES and (pictured or _is_named(value)):
        return value if _ADDRESS.match(value) else f"file:{value}"
    return value if is_picture(value) or (key in _IMAGES and _WEB.match(value)) else None


def is_picture(text: str) -> bool:
    """Whether a text is a data URL that says so, or base64 of what begins like a picture."""
    data = _DATA.match(text)
    if data is None:
        return len(text) >= _SHORTEST and _begins_so(text, 0)
    return data[1].strip().lower().startswith("image/") or _begins_so(text, data.end())


def _begins_so(text: str, start: int) -> bool:
    head = "".join(text[start : start + _HEAD].split())
    if not _BASE64.match(head):
        return False
    # Whatever follows may be cut, so that whole groups of four are left.
    written = _BASE64.match(head)[0].translate({ord("-"): "+", ord("_"): "/"})  # type: ignore[index]
    try:
        begins = base64.b64decode(written[: len(written) // 4 * 4])
    except (binascii.Error, ValueError):
        return False
    kind = kind_of(begins)
    return kind.name == "picture" or (kind.name == "media" and "photo" in kind.what)


def _is_named(name: str) -> bool:
    """Whether a name ends as pictures do."""
    try:
        path = urlsplit(name).path
    except ValueError:
        path = name
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def _word(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
