"""`safejudge render`: pages, drawings and single-file apps -> pictures at given times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, INPUT, OPEN
from safejudge.cli.options import layout, runs
from safejudge.cli.values import amount, local_path, size, times
from safejudge.text import clean, counted, cut, one_line

if TYPE_CHECKING:
    from safejudge.render import Finding, Rendered

EXAMPLES = """\
examples:
  safejudge render page.html --at 0,1,2 --out shots
  safejudge render answers/*.md drawing.svg --size 1024x768 --out shots

exit codes:
  0    every page is shown whole, at every time
  2    the command or a file has to be changed first, there is no browser, or
       no picture came of any page
  4    a page is not shown whole, or not at every time: it timed out, left,
       crashed, is larger than a picture, or there is none in an answer
  130  stopped by Ctrl-C
"""
_FINDINGS = 8
"""Lines of findings a page; the file has all."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge render`."""

    pages: tuple[str, ...]
    """Paths: HTML, SVG, or a model's answer."""
    out: Path
    """A folder."""
    at: tuple[float, ...]
    """Seconds on the page's own clock."""
    size: tuple[int, int]
    """Pixels of the window, width and height."""
    seconds: float
    """Of a person's clock, that a page may take."""
    browser: Path | None
    """A Chromium; None: looked for."""
    overwrite: bool


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "render",
        help="photograph pages at given times",
        description="Show pages in Chromium, without a network and the machine's files, by a\n"
        "clock that stands still between the pictures. A file that is neither .html nor .svg\n"
        "is a model's answer, of which the last whole page is shown, else the last drawing.",
        **layout(EXAMPLES),
    )
    parser.add_argument("pages", nargs="+", metavar="PAGE", help=".html, .svg, or an answer")
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="a new or empty folder"
    )
    parser.add_argument(
        "--at",
        type=times,
        default=(0.0, 1.0, 2.0),
        metavar="S,S,...",
        help="seconds on the page's own clock (default: 0,1,2)",
    )
    parser.add_argument(
        "--size",
        type=size,
        default=(1280, 720),
        metavar="WxH",
        help="pixels of the window (default: 1280x720)",
    )
    parser.add_argument(
        "--seconds",
        type=amount,
        default=30.0,
        metavar="N",
        help="how long a page may take by a person's clock (default: %(default)g)",
    )
    parser.add_argument(
        "--browser",
        type=local_path,
        metavar="PATH",
        help="a Chromium (default: the one on the path)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace pictures made before")
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Render the pages one after the other, and say of each what came of it."""
    from safejudge.render import Browser, Stage, read_page, render_file
    from safejudge.render.saved import LINES, Folder

    stage = Stage(options.at, options.size, options.seconds)
    browser = Browser.find(options.browser)
    for page in options.pages:
        read_page(page)  # whatever cannot be read is told before the first is rendered
    folder = Folder(options.out, options.pages, overwrite=options.overwrite)
    shots = complete = 0
    for page in options.pages:
        rendered = render_file(page, stage, browser)
        folder.save(page, rendered)
        print("\n".join(_told(page, rendered)), flush=True)
        shots += len(rendered.shots)
        complete += rendered.complete
    pages = counted(len(options.pages), "page")
    print(f"{pages}, {complete} whole; {counted(shots, 'picture')} and {LINES} in "
          f"{clean(str(options.out))}")  # fmt: skip
    if not shots:
        return INPUT
    return DONE if complete == len(options.pages) else OPEN


def _told(page: str, rendered: Rendered) -> list[str]:
    """Say what came of a page, a line each."""
    parts = [rendered.status, counted(len(rendered.shots), "picture")]
    if rendered.page is not None:
        parts.append("page of {} x {} pixels".format(*rendered.page))
    if rendered.refused:
        times_refused = sum(finding.count for finding in rendered.refused)
        parts.append(f"{times_refused} refused")
    findings = [f"  {_line(finding)}" for finding in rendered.findings[:_FINDINGS]]
    more = len(rendered.findings) - _FINDINGS
    rest = [f"  and {counted(more, 'other finding')}"] if more > 0 else []
    return [f"{clean(page)}: {', '.join(parts)}", *findings, *rest]


def _line(finding: Finding) -> str:
    often = f" ({finding.count} times)" if finding.count > 1 else ""
    return f"{finding.kind:16}{clean(cut(one_line(finding.what), 100))}{often}"
