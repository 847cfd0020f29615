"""A page -> what comes of it: where a process is started for it, and its messages are read."""

from __future__ import annotations

import io
import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from PIL import Image

from safejudge.errors import InputError
from safejudge.images.child import START
from safejudge.render import process
from safejudge.render.answers import extract, framed, is_cut
from safejudge.render.browser import Browser
from safejudge.render.rendered import MOST_SIDE, Finding, Kind, Rendered, Shot, Stage, Status
from safejudge.text import clean, first_line, one_line, storable

if TYPE_CHECKING:
    from safejudge.types import JSON

MOST_BYTES = 2**24
"""Of a page."""
PAGES = (".html", ".htm", ".xhtml")
DRAWINGS = (".svg",)
"""Files by their names' ends; every other file is a model's answer with a page somewhere in it."""
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*"
    rb"(iso-8859-\d+|windows-\d+|koi8-[ru]|gbk|gb2312|gb18030|big5|shift_jis|euc-jp|euc-kr)",
    re.IGNORECASE,
)
"""What pages that are not in UTF-8 say of themselves."""


# --- one page -------------------------------------------------------------------------------------


def render(page: str, stage: Stage | None = None, browser: Browser | None = None) -> Rendered:
    """Show a page in a process of its own, and photograph it at the times of `stage`.

    `page` is the text of an HTML page, or of an SVG. A hostile one ends within the stage's seconds
    and some for the browser to start. Raises `InputError` where there is no browser, where it
    cannot be started, or the page is over 16 MiB.
    """
    stage = Stage() if stage is None else stage
    browser = Browser.find() if browser is None else browser
    if len(page.encode("utf-8", "replace")) > MOST_BYTES:
        raise InputError(f"a page of over {MOST_BYTES} bytes; make it smaller")
    if not page.strip():
        return Rendered("nothing to render", None, (), ())
    job: JSON = {
        "html": storable(framed(page)),
        "at": list(stage.at),
        "size": list(stage.size),
        "browser": browser.path,
    }
    account = _Account()
    with closing(process.messages(job, stage.seconds)) as coming:
        try:
            for message, picture in coming:
                account.take(message, picture)
        except process.Silence as silence:
            if not silence.begun:
                raise _not_started(browser, f"nothing came within {START:g} s") from None
            account.status = "timed out"
        except (ValueError, KeyError, TypeError, OSError, Image.DecompressionBombError) as error:
            account.status = "crashed"
            account.add("error", f"what shows the page answered nonsense ({first_line(error)})")
    if not account.begun:
        raise _not_started(browser, account.failed or "it ended before it was there")
    if is_cut(page):
        account.add("cut page", "the page ends before its own end; what is there is shown")
    return account.rendered()


def _not_started(browser: Browser, problem: str) -> InputError:
    return InputError(
        f"{browser.path} cannot be started ({clean(one_line(problem))}); try it by hand: "
        f"{browser.path} --headless --version"
    )


class _Account:
    """Collects what a process says of a page."""

    def __init__(self) -> None:
        self.status: Status = "crashed"  # unless it says how it ended
        self.failed: str | None = None
        self._ready: JSON = {}
        self._page: tuple[int, int] | None = None
        self._shots: list[Shot] = []
        self._findings: Counter[tuple[Kind, str]] = Counter()

    @property
    def begun(self) -> bool:
        """Whether the browser was there."""
        return bool(self._ready)

    def take(self, message: JSON, picture: bytes) -> None:
        """Take one message."""
        if "ready" in message:
            self._ready = message["ready"]
        elif "failed" in message:
            self.failed = str(message["failed"])
        elif "end" in message:
            (self.status,) = (known for known in get_args(Status) if known == message["end"])
        elif "finding" in message:
            kind, what = message["finding"]
            (known,) = (known for known in get_args(Kind) if known == kind)
            self.add(known, str(what))
        else:
            self._shoot(message, picture)

    def add(self, kind: Kind, what: str) -> None:
        """Add a finding."""
        self._findings[kind, what] += 1

    def _shoot(self, message: JSON, picture: bytes) -> None:
        width, height = message["page"]
        self._page = int(width), int(height)
        with Image.open(io.BytesIO(picture), formats=["PNG"]) as opened:
            if list(opened.size) != message["clip"]:
                raise ValueError(f"a picture of {opened.size} pixels")
            image = opened.convert("RGB")
        if image.size != self._page:
            shown = "{} x {} pixels, of which {} x {} are shown".format(*self._page, *image.size)
            self.add("clipped", shown)
        shot = Shot(float(message["shot"]), image, _one_colour(image))
        if shot.one_colour is not None:
            self.add("one colour", f"{shot.caption}: {shot.one_colour}")
        self._shots.append(shot)

    def rendered(self) -> Rendered:
        """Return what came of the page."""
        return Rendered(
            self.status,
            self._page,
            tuple(self._shots),
            tuple(
                Finding(kind=kind, what=what, count=count)
                for (kind, what), count in self._findings.items()
            ),
            self._ready.get("browser"),
            bool(self._ready.get("sealed")),
        )


def _one_colour(image: Image.Image) -> str | None:
    colours = image.getcolors(1)  # None where there are more
    if colours is None:
        return None
    ((_, colour),) = colours
    return "#{:02x}{:02x}{:02x}".format(*colour) if isinstance(colour, tuple) else None


# --- files ----------------------------------------------------------------------------------------


def render_file(
    path: str | Path, stage: Stage | None = None, browser: Browser | None = None
) -> Rendered:
    """Render a file: a page or a drawing by its name's end, else the page in a model's answer.

    An answer without one is `nothing to render`, one that stops in the middle of it `cut page`.
    Raises `InputError` as `render` does, and where the file cannot be read.
    """
    text = read_page(path)
    if Path(path).suffix.lower() in (*PAGES, *DRAWINGS):
        return render(text, stage, browser)
    found = extract(text)
    if found.page is not None:
        return render(found.page, stage, browser)
    if found.kind == "cut page":
        finding = Finding(kind="cut page", what="the answer stops before its page does")
        return Rendered("cut page", None, (), (finding,))
    return Rendered("nothing to render", None, (), ())


_ELSEWHERE = "put what it shows into the page itself, as data: addresses"
_UNSEEN: dict[Kind, str] = {
    "clipped": f"{MOST_SIDE} x {MOST_SIDE} pixels are shown at most: divide it",
    "request": _ELSEWHERE,
    "local file": _ELSEWHERE,
}
"""Findings that a page shows more than its pictures do, and what to do."""


def captioned(
    path: str | Path, stage: Stage | None = None, browser: Browser | None = None
) -> list[tuple[Image.Image, str]]:
    """Render a file for a judge: its pictures in order, each with its caption ("after 1 s").

    Raises `InputError` where there is no picture for one of the times, and where the pictures lack
    a part of the page, with what happened instead: what was not seen is not judged.
    """
    done = render_file(path, stage, browser)
    if done.status != "rendered":
        raise InputError(f"{path}: {done.status}; nothing is judged of it")
    for kind, instead in _UNSEEN.items():
        if found := [finding for finding in done.findings if finding.kind == kind]:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise InputError(
                f"{path}: is not seen whole ({kind}: {found[0].what}{more}); nothing is judged of "
                f"it; {instead}"
            )
    return [(shot.image, shot.caption) for shot in done.shots]


def read_page(path: str | Path) -> str:
    """Read a file as a browser would: UTF-8, else what the page says it is, else windows-1252.

    Raises `InputError` where it cannot be read or is over 16 MiB.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a page") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: is over {MOST_BYTES} bytes; make it smaller")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        declared = _CHARSET.search(data[:1024])
        return _decoded(data, declared[1].decode("ascii") if declared else "windows-1252")


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("windows-1252", "replace")
