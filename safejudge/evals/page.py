"""Results of a benchmark as one page that a browser opens from the disk, and that fetches nothing.

Takes what a suite found and the folder of its pictures; gives HTML without a script. Tables, charts
and findings stand whole, wrong verdicts with small pictures. Everything is untrusted text: it is
cleaned, and escaped by the template (`show/page/eval.html`).
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from safejudge.errors import ImageError
from safejudge.files.below import leads_out
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.show.page import charts
from safejudge.show.page.templates import environment
from safejudge.show.page.thumbnail import data_uri

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.suite import EvalResult
    from safejudge.show.figures import Mistake
    from safejudge.types import JSON

MISTAKES = 12
"""Mistakes on a page."""


class _Picture(NamedTuple):
    """A picture, or why there is none."""

    source: str = ""
    problem: str = ""


def page(title: str, scored: EvalResult, config: JSON, pictures: Path | None) -> str:
    """Make the page. `config` says how it was made; without `pictures` there are none on it."""
    template = environment().get_template("eval.html")
    return template.render(
        title=title,
        scored=scored,
        config={name: _value(value) for name, value in config.items()},
        version=metadata.version("safejudge"),
        charts=[(chart, Markup(drawn)) for chart, drawn in charts.drawings(scored.charts)],  # noqa: S704 - escaped
        mistakes=[
            (mistake, _pictures(mistake, pictures)) for mistake in scored.mistakes[:MISTAKES]
        ],
    )


def _pictures(mistake: Mistake, folder: Path | None) -> list[_Picture]:
    return [] if folder is None else [_picture(image, folder) for image in mistake.images]


def _picture(image: str, folder: Path) -> _Picture:
    if leads_out(folder, image):
        return _Picture(problem=f"{image}: lies outside the folder of the data")
    try:
        loaded = load_image(folder / image, name=image, policy=Policy())
    except ImageError as error:
        return _Picture(problem=str(error))
    return _Picture(source=data_uri(loaded.pictures[0].pixels))


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
