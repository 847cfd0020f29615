"""What all pages have in common: templates beside this file, and text without hidden signs.

`base.html` is the frame, with the style that pages share; a page fills in its blocks.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from safejudge.text import clean


def environment() -> Environment:
    """Templates that escape everything, with invisible characters spelled out before."""
    return Environment(
        loader=PackageLoader("safejudge.show.page", "."),
        autoescape=True,
        finalize=_cleaned,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
