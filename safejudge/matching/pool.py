"""Pictures and their texts in a file -> queries, candidates, and how near each is to each.

A row has `image` and `text`; a picture may stand in several, and then each text is right. Either
side may be the query, and the other side's rows, without repeats, are its candidates. Pictures lie
beside the file or below.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from safejudge.engines.base import holds
from safejudge.errors import InputError
from safejudge.files.below import leads_out
from safejudge.files.rows import read_rows
from safejudge.matching.items import load_items
from safejudge.text import quoted, storable
from safejudge.types import Similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from safejudge.engines.models import Models
    from safejudge.matching.items import Thing
    from safejudge.matching.soft_labels import Floats
    from safejudge.policy import Policy

Side = Literal["image", "text"]
EXAMPLE = '{"image": "a.png", "text": "a dog runs"}'
MOST = 10**8
"""Pairs of a picture and a text whose similarity is computed in one run."""
_BLOCK = 64
"""Pictures that are decoded and encoded together."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Everything a file holds, without repeats, in its order."""

    folder: Path
    """What names of pictures begin from."""
    images: tuple[str, ...]
    texts: tuple[str, ...]
    pairs: frozenset[tuple[int, int]]
    """Places of a picture and of a text that belong together."""
    query: Side

    @property
    def queries(self) -> tuple[str, ...]:
        """Names of the queries: pictures as the file names them, or texts."""
        return self.images if self.query == "image" else self.texts

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of what may meet them."""
        return self.texts if self.query == "image" else self.images

    def right(self, query: int) -> list[int]:
        """Places of the candidates that belong to a query, in order."""
        flip = self.query == "text"
        return sorted(pair[1 - flip] for pair in self.pairs if pair[flip] == query)

    def thing(self, name: str, side: Side) -> Thing:
        """What is handed to a model for a name of a side."""
        return name if side == "text" else self.folder / name


def read_pool(file: Path, query: Side) -> Pool:
    """Read a file of pairs. Raises `InputError`, with the line, for what cannot be meant so."""
    images: dict[str, int] = {}
    texts: dict[str, int] = {}
    pairs = set()
    for line, row in read_rows(file, ("image", "text"), EXAMPLE):
        image, text = row["image"], row["text"]
        for name, value in (("image", image), ("text", text)):
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{file}:{line}: `{name}` is no text; write {EXAMPLE}")
        if leads_out(file.parent, image):
            raise InputError(
                f"{file}:{line}: the picture {quoted(image)} lies outside the folder of the file; "
                "put it beside the file, or below"
            )
        text = storable(text)  # half a pair of surrogates, which no model can be shown
        place = (images.setdefault(image, len(images)), texts.setdefault(text, len(texts)))
        pairs.add(place)
    if not pairs:
        raise InputError(f"{file}: holds no pairs; write one {EXAMPLE} per line")
    if len(images) * len(texts) > MOST:
        raise InputError(
            f"{file}: {len(images)} pictures with {len(texts)} texts are more than {MOST} pairs; "
            "part the file"
        )
    return Pool(file.parent, tuple(images), tuple(texts), frozenset(pairs), query)


def similarities(
    pool: Pool, models: Models, policy: Policy, tick: Callable[[int], None] = lambda _: None
) -> Floats:
    """Cosine of every query (a row) with every candidate; NaN where there is none.

    Of a picture that cannot be read, and of a text that the encoder cannot hold whole, there is
    none. `tick` hears of pictures done. Raises `InputError` without an encoder.
    """
    encoder = models.encoder
    if encoder is None:
        raise InputError("no encoder is assumed; choose one with --encoder: hf:ORG/MODEL")
    held = [place for place, text in enumerate(pool.texts) if holds(encoder, text)]
    found = np.full((len(pool.images), len(pool.texts)), np.nan)
    for start in range(0, len(pool.images), _BLOCK):
        names = pool.images[start : start + _BLOCK]
        items = load_items([pool.thing(name, "image") for name in names], models, policy)
        asked = [
            ((start + row, place), Similarity(item.picture, pool.texts[place]))
            for row, item in enumerate(items)
            if item.picture is not None
            for place in held
        ]
        cosines = encoder.similarities([request for _, request in asked])
        for (at, _), cosine in zip(asked, cosines, strict=True):
            found[at] = cosine
        tick(len(names))
    return found if pool.query == "image" else found.T


def listed(row: Iterable[float], without: Sequence[int] = ()) -> list[float | None]:
    """The similarities of one query as scores, None where there is none, or none is wanted."""
    hidden = set(without)
    return [None if p in hidden or np.isnan(s) else float(s) for p, s in enumerate(row)]
