"""Results of a benchmark as one page that a browser opens from the disk, and that fetches nothing.

Takes what a suite found and the folder of its pictures; gives HTML without a script. The suite's
one number comes first, then what made it and how much was judged; the first table, the wrong
verdicts, charts and findings stand whole, further tables are folded. Everything is untrusted text:
it is cleaned, and escaped by the template (`show/page/eval.html`).
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
from safejudge.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.evals.suite import Coverage, EvalResult
    from safejudge.show.figures import Mistake
    from safejudge.types import JSON

MISTAKES = 12
"""Mistakes on a page."""


class Made(NamedTuple):
    """What made a run, in words; None where it is not known."""

    model: str | None = None
    constitution: str | None = None
    data: str | None = None
    date: str | None = None


class _Picture(NamedTuple):
    """A picture, or why there is none."""

    source: str = ""
    problem: str = ""


def page(  # noqa: PLR0913 - what a page is made of
    title: str,
    scored: EvalResult,
    config: JSON,
    pictures: Path | None,
    made: Made | None = None,
    *,
    kind: str = "suite",
    opened: int = 0,
) -> str:
    """Make the page. `config` says how it was made; without `pictures` there are none on it.

    `kind` is the word before the title; `opened` of the further tables are not folded.
    """
    template = environment().get_template("eval.html")
    made = made or Made()
    return template.render(
        title=title,
        kind=kind,
        opened=opened,
        scored=scored,
        facts={name: value for name, value in made._asdict().items() if value},
        coverage=_coverage(scored.coverage),
        config={name: _value(value) for name, value in config.items()},
        version=metadata.version("safejudge"),
        charts=[(chart, Markup(drawn)) for chart, drawn in charts.drawings(scored.charts)],  # noqa: S704 - escaped
        mistakes=[
            (mistake, _pictures(mistake, pictures)) for mistake in scored.mistakes[:MISTAKES]
        ],
    )


def _coverage(coverage: Coverage | None) -> list[tuple[str, bool]]:
    """Say how much was judged, a line each, and whether it leaves something open."""
    if coverage is None:
        return []
    lines = [(f"{counted(coverage.judged, 'sample')} judged", False)]
    if coverage.unjudged:
        lines.append((f"{counted(coverage.unjudged, 'sample')} could not be judged", True))
    if coverage.passed_over:
        passed_over = counted(coverage.passed_over, "picture")
        lines.append((f"{passed_over} passed over: no label says what is true there", True))
    return lines


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
