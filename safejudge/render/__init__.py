"""Pages, drawings and single-file apps -> pictures at given times, from a closed browser."""

from safejudge.render.answers import Extracted, extract
from safejudge.render.browser import Browser
from safejudge.render.pages import captioned, read_page, render, render_file
from safejudge.render.rendered import Finding, Rendered, Shot, Stage

__all__ = [
    "Browser",
    "Extracted",
    "Finding",
    "Rendered",
    "Shot",
    "Stage",
    "captioned",
    "extract",
    "read_page",
    "render",
    "render_file",
]
