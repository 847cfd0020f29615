"""What all pages have in common: templates beside this file, and text without hidden signs.

`base.html` is the frame, with the style that pages share; a page fills in its blocks.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from safejudge.text import clean


def environment(package: str = "safejudge.show.page") -> Environment:
    """Templates that escape everything, with invisible characters spelled out before.

    Those of `package` come first, and may extend the ones here.
    """
    return Environment(
        loader=ChoiceLoader(
            [PackageLoader(name, ".") for name in dict.fromkeys((package, __package__))]
        ),
        autoescape=True,
        finalize=_cleaned,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
