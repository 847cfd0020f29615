"""A study -> one page on which a person votes: blind, without a network, votes kept and handed out.

The page holds pictures and prompts, and nothing of who drew what: no names, no folders, and no
pictures' own metadata. What it hands out are lines of votes.
"""

from __future__ import annotations

import base64
import hashlib
import io
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup
from PIL import Image

from safejudge.errors import InputError
from safejudge.images.load import load_images
from safejudge.show.page.templates import environment
from safejudge.types import Failure

if TYPE_CHECKING:
    from safejudge.evals.winrates.study import Study
    from safejudge.policy import Policy
    from safejudge.types import Picture

_SIDE = 768
"""Longest side of a picture on the page, in pixels."""
_QUALITY = 92
MOST = 1000
"""Pairs of a page; a browser holds no more, and nobody answers more."""


def page_of(study: Study, policy: Policy) -> str:
    """Write the page of a study as HTML.

    Raises `InputError` for over `MOST` pairs, and for a picture that cannot be read.
    """
    if len(study.pairs) > MOST:
        raise InputError(f"{len(study.pairs)} pairs are too many for a page; {MOST} are the most")
    pairs = []
    for pair in study.pairs:
        sources = []
        for path, image in zip(
            study.paths(pair), load_images(study.paths(pair), policy), strict=True
        ):
            if isinstance(image, Failure):
                raise InputError(f"{path}: {image.message}; leave it out of the prompts")
            sources.append(_source(image.pictures[0]))
        pairs.append(
            {"id": pair.id, "prompt": pair.prompt, "left": sources[0], "right": sources[1]}
        )
    script = (resources.files(__package__) / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = environment(__package__).get_template("page.html")
    name = hashlib.sha256("".join(pair.id for pair in study.pairs).encode()).hexdigest()[:16]
    ours = Markup(script)  # noqa: S704 - a file of this package
    return template.render(pairs=pairs, study=name, script=ours, script_digest=digest)


def _source(picture: Picture) -> str:
    image = Image.fromarray(picture.pixels)
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
