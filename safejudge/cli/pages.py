"""Pages among what is judged: `judge page.html --at 0,1,2`.

Takes paths; renders those that are pages or drawings when their turn comes, and gives what they
show at the given times as pictures of one thing. A page of which not every picture can be had is a
failure: what was not seen is not judged.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.values import times
from safejudge.engines.together import limit_of
from safejudge.errors import InputError
from safejudge.files.standing import Standing
from safejudge.images.listing import digest_of, key_of
from safejudge.images.series import Series, Unread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from safejudge.images.listed import Listing
    from safejudge.images.load import ImageSource
    from safejudge.judge import Judge

SUFFIXES = (".html", ".htm", ".xhtml", ".svg")
_KEPT = 64
"""Pages whose pictures are kept for the report, which shows them once more."""


def add_pages(parser: Any) -> None:
    """Add the option."""
    parser.add_argument(
        "--at",
        type=times,
        metavar="S,S,...",
        help="render .html and .svg files, and judge what they show after so many seconds on their "
        "own clock; needs a Chromium and pip install 'safejudge[web]'",
    )


class Pages:
    """What is judged where pages are among it."""

    def __init__(self, listing: Listing, at: Sequence[float]) -> None:
        """Find the browser. Raises `InputError` where there is none."""
        from safejudge.render import Browser, Stage

        self.names = listing.images
        self._listing = listing
        self._stage = Stage(tuple(at))
        self._browser = Browser.find(None)
        self._together = len(self._stage.at) > 1
        self._kept: dict[str, ImageSource] = {}

    def fit(self, judge: Judge) -> str | None:
        """Judge pictures by themselves where an engine cannot be shown them all; say so."""
        count = len(self._stage.at)
        found = limit_of(judge.models.engines, count) if self._together else None
        if found is None:
            return None
        self._together = False
        engine, most = found
        return (
            f"{engine.card.uri} can be shown {most} at a time, so each of the {count} pictures of "
            "a page is judged by itself"
        )

    def source(self, path: str) -> ImageSource:
        """Return what a path stands for: of a page, its pictures."""
        if not is_page(path):
            return self._listing.source(path)
        if path in self._listing.remote:
            message = f"{path}: a page in a store is not rendered; copy its folder to this machine"
            return Unread(path, "not_rendered", message)
        if path not in self._kept:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = self._rendered(path)
        return self._kept[path]

    def _rendered(self, path: str) -> ImageSource:
        from safejudge.render import captioned

        try:
            shots = captioned(path, self._stage, self._browser)
        except InputError as error:
            return Unread(path, "not_rendered", str(error))
        # Packed: as pixels the pictures of all pages that are kept would fill half a gigabyte.
        images = [_packed(image) for image, _ in shots]
        labels = [label for _, label in shots]
        made_of = self._made_of(path)
        return Series(images, labels, path, together=self._together, made_of=made_of or "")

    def _made_of(self, path: str) -> str | None:
        """Name what the pictures of a page hang on; None where it cannot be read."""
        digest = digest_of(path)
        if digest is None:
            return None
        told = f"{digest} {self._stage.at} {self._stage.size}"
        return hashlib.sha256(told.encode()).hexdigest()

    def standing(self, paths: Sequence[str]) -> Standing:
        """Say how records of earlier runs stand: pages by their files and times."""
        wanted = {key_of(path): path for path in paths}

        def id_of(key: str) -> str | None:
            path = wanted[key]
            if not is_page(path):
                return digest_of(self._listing.source(path))
            if path in self._listing.remote:
                return None
            made_of = self._made_of(path)
            if made_of is None:
                return None
            labels = [f"after {time:g} s" for time in self._stage.at]
            shown: list[None] = [None] * len(labels)
            return Series(shown, labels, together=self._together, made_of=made_of).id_of(())

        return Standing(wanted, key_of, id_of)


def _packed(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def is_page(path: str) -> bool:
    """Whether a path names a page or a drawing."""
    return Path(path).suffix.lower() in SUFFIXES
