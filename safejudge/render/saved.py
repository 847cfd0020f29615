"""Pictures and what is said of them, as files: PNGs, and a JSON line a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import check_parent, replacing, writing
from safejudge.render.rendered import Finding, Rendered, Shot, Status
from safejudge.text import plain_name
from safejudge.types import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = "pages.jsonl"
"""The file with a line for every page."""


class SavedShot(Record):
    """One picture, where it lies."""

    file: str
    """Name in the folder."""
    at: float
    """Seconds on the page's own clock."""
    size: tuple[int, int]
    """Pixels, width and height."""
    one_colour: str | None
    """`#rrggbb` where every pixel has it."""


class SavedPage(Record):
    """One line of `pages.jsonl`; its fields are those of `Rendered`."""

    page: str
    """The file that was rendered."""
    status: Status
    size: tuple[int, int] | None
    """Pixels of the whole page."""
    shots: tuple[SavedShot, ...]
    findings: tuple[Finding, ...]
    browser: str | None
    sealed: bool


class Folder:
    """A folder of pictures, written page by page."""

    def __init__(self, path: Path, pages: Sequence[str], *, overwrite: bool) -> None:
        """Make the folder. Raises `InputError` and `OutputError` before anything is rendered."""
        check_parent(path)
        names = [Path(page).name for page in pages]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"{twice}: two pages of this name; render each into a folder of its own"
            )
        with writing(path):
            path.mkdir(exist_ok=True)
            if not overwrite and any(path.iterdir()):
                raise OutputError(f"{path}: is not empty; name another, or --overwrite")
        self._path = path
        self._lines: list[str] = []

    def save(self, page: str, rendered: Rendered) -> None:
        """Write a page's pictures, and the lines of all pages so far."""
        shots = []
        with writing(self._path):
            for shot in rendered.shots:
                name = f"{Path(page).name}-{shot.at:g}s.png"
                with replacing(self._path / name) as new:
                    shot.image.save(new, "PNG")
                shots.append(_saved(shot, name))
            line = SavedPage(
                page=plain_name(page),
                status=rendered.status,
                size=rendered.page,
                shots=tuple(shots),
                findings=rendered.findings,
                browser=rendered.browser,
                sealed=rendered.sealed,
            )
            self._lines.append(line.model_dump_json() + "\n")
            with replacing(self._path / LINES) as new:
                new.write_text("".join(self._lines), encoding="utf-8")


def _saved(shot: Shot, name: str) -> SavedShot:
    return SavedShot(
        file=plain_name(name), at=shot.at, size=shot.image.size, one_colour=shot.one_colour
    )
