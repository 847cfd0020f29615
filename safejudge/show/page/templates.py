"""What all pages have in common: templates beside this file, and text without hidden signs."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from safejudge.text import clean


def surroundings() -> Environment:
    """Templates that escape everything, with invisible characters spelled out before."""
    return Environment(
        autoescape=True,
        finalize=_spelled,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template(environment: Environment, file: str) -> Template:
    """Load a template of this package."""
    text = resources.files("safejudge.show.page").joinpath(file).read_text(encoding="utf-8")
    return environment.from_string(text)


def _spelled(value: object) -> object:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
