"""A study -> one page on which a person votes: blind, without a network, votes kept and handed out.

The page holds pictures and prompts, and nothing of who drew what: no names, no folders, and no
pictures' own metadata. What it hands out are lines of votes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup
from PIL import Image

from safejudge.errors import InputError
from safejudge.images.load import load_images
from safejudge.show.page.templates import environment
from safejudge.text import counted
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


def page_of(study: Study, policy: Policy) -> tuple[str, Study]:
    """Write the page of a study as HTML; return it with the study of the pairs that are on it.

    A pair of which a picture cannot be read is left out, and told as a warning. Raises `InputError`
    for over `MOST` pairs, and where none is left.
    """
    if len(study.pairs) > MOST:
        raise InputError(f"{len(study.pairs)} pairs are too many for a page; {MOST} are the most")
    pairs, unread = [], {}
    for pair in study.pairs:
        images = load_images(study.paths(pair), policy)
        if broken := [image for image in images if isinstance(image, Failure)]:
            unread[pair.id] = broken[0].message
            continue
        left, right = (_source(one.pictures[0]) for one in images if not isinstance(one, Failure))
        pairs.append({"id": pair.id, "prompt": pair.prompt, "left": left, "right": right})
    if not pairs:
        raise InputError(f"no pair can be shown; the first: {next(iter(unread.values()))}")
    if unread:
        warnings.warn(
            f"{counted(len(unread), 'pair')} of {len(study.pairs)} left out, a picture of which "
            f"cannot be read (the first: {next(iter(unread.values()))})",
            UserWarning,
            stacklevel=2,
        )
    shown = tuple(pair for pair in study.pairs if pair.id not in unread)
    study = study.model_copy(update={"pairs": shown})
    script = (resources.files(__package__) / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = environment(__package__).get_template("page.html")
    name = hashlib.sha256("".join(pair.id for pair in study.pairs).encode()).hexdigest()[:16]
    ours = Markup(script)  # noqa: S704 - a file of this package
    page = template.render(pairs=pairs, study=name, script=ours, script_digest=digest)
    return page, study


def _source(picture: Picture) -> str:
    image = Image.fromarray(picture.pixels)
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
