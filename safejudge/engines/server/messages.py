"""Requests -> the messages of a chat-completions server.

Takes probes and reasonings; gives one user turn made of parts: instruction, pictures, question,
in the order that prefix caches like. Pictures go as PNG in data URLs, pixel for pixel, and never
as an address that a server would fetch. It knows no server.

The template is the server's. One that takes plain strings only (vLLM says "string" content
format) puts the pictures where its own rules put them, not between instruction and question.
"""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

from safejudge.engines.dialects import said
from safejudge.engines.local.chat import user_content
from safejudge.engines.recent import RecentCache
from safejudge.engines.requests import as_image
from safejudge.text import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from safejudge.engines.dialects import Dialect, Form
    from safejudge.types import JSON, Picture, Probe, Reasoning

_CACHED_CHARACTERS = 256 * 2**20
"""Of encoded pictures that stay in memory, least recent first out."""
_CONTROL = re.compile(r"<[^<>\s]{1,80}>|\[/?[A-Z_]{2,40}\]")
"""What control tokens look like in all vocabularies we know: <|im_end|>, </s>, <image>, [INST]."""


class DataUrls:
    """Pictures as data URLs, each encoded once while it stays in use; to be used by one thread."""

    def __init__(self) -> None:
        self._urls: RecentCache[str, str] = RecentCache(_CACHED_CHARACTERS, len)

    def of(self, picture: Picture) -> str:
        """Return a picture as PNG, pixel for pixel."""
        return self._urls.fetch(picture.digest, lambda: _data_url(picture))


class Messages:
    """Builds messages, and encodes each picture once while it stays in use.

    To be used from one thread. With `name` a picture carries the name under which the server keeps
    it, and one that was `uploaded` before is its name alone. With `dialect` statements are put in
    its form.
    """

    def __init__(
        self, name: Callable[[Picture], str] | None = None, dialect: Dialect | None = None
    ) -> None:
        self._name = name
        self._dialect = dialect
        self._urls = DataUrls()

    def of_probe(self, probe: Probe, uploaded: Collection[str] = ()) -> list[JSON]:
        """One user turn: instruction, pictures, question; or a statement in the dialect's form."""
        form = self.form(probe)
        if form is None:
            return [self._first(probe.instruction, probe.images, probe.question, uploaded)]
        system = [{"role": "system", "content": form.system}] if form.system else []
        content = [
            *([{"type": "text", "text": form.before}] if form.before else []),
            *(self._picture(picture, uploaded) for picture in probe.images),
            *([{"type": "text", "text": form.after}] if form.after else []),
        ]
        begun = "" if self._dialect is None else self._dialect.reply_prefix
        reply = [{"role": "assistant", "content": begun}] if begun else []
        return [*system, {"role": "user", "content": content}, *reply]

    def form(self, probe: Probe) -> Form | None:
        """Put a question into the form of the dialect; None where there is none."""
        asked = None if self._dialect is None else said(probe.instruction, probe.question)
        if self._dialect is None or asked is None:
            return None
        statement, caption = asked
        words = None if caption is None else neutralise(caption)
        return self._dialect.put(neutralise(statement), words)

    def of_reasoning(self, request: Reasoning, uploaded: Collection[str] = ()) -> list[JSON]:
        """A conversation; instruction and pictures stand in its first turn."""
        first, *later = request.messages
        turns = [self._first(request.instruction, request.images, first.text, uploaded)]
        turns += [{"role": m.role, "content": neutralise(m.text)} for m in later]
        return turns

    def _first(
        self, instruction: str, images: Sequence[Picture], text: str, uploaded: Collection[str]
    ) -> JSON:
        parts = user_content(neutralise(instruction), len(images), neutralise(text))
        pictures = iter(images)
        content = [
            self._picture(next(pictures), uploaded) if part["type"] == "image" else part
            for part in (parts if instruction else parts[1:])
        ]
        return {"role": "user", "content": content}

    def _picture(self, picture: Picture, uploaded: Collection[str]) -> JSON:
        if self._name is None:
            return {"type": "image_url", "image_url": {"url": self._urls.of(picture)}}
        address = None if picture.digest in uploaded else {"url": self._urls.of(picture)}
        return {"type": "image_url", "image_url": address, "uuid": self._name(picture)}


def neutralise(text: str) -> str:
    """Replace what a server's tokenizer may read as a control token by a space.

    A server does not list its control tokens, so everything goes that looks like one. Half
    surrogate pairs, which JSON for a server cannot hold, become question marks.
    """
    return storable(_CONTROL.sub(" ", text))


def _data_url(picture: Picture) -> str:
    buffer = io.BytesIO()
    # Lossless at any level; the lowest costs a fraction of the time.
    as_image(picture).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
