"""Retrieval live: an encoder's recall both ways, and what a judge makes of its nearest ten.

The file is that of `safejudge mine`: a row {image, text} for each pair that belongs together. The
record of a picture holds its similarity to every text, and how well the nearest ten meet it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.engines.base import holds
from safejudge.engines.models import reference
from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.pictures import load_pictures, tell_missing
from safejudge.evals.retrieval.records import Matrix, Rerank
from safejudge.evals.retrieval.score import Entries, score
from safejudge.evals.suite import Coverage, check_args
from safejudge.matching import mining, prompts
from safejudge.matching.items import Item
from safejudge.matching.match import match_items
from safejudge.matching.pool import read_pool
from safejudge.matching.run import NEAREST
from safejudge.method.captions import plain_caption
from safejudge.types import JSON, Failure, Picture, Similarity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.evals.suite import EvalResult, Run
    from safejudge.matching.match import Match
    from safejudge.matching.pool import Pool
    from safejudge.matching.soft_labels import Score


def judge(run: Run) -> JSON:
    """Compare every picture that has no record yet with every text."""
    check_args(run.args)
    if run.data is None or not Path(run.data).is_file():
        raise InputError("retrieval needs pairs: --data pairs.jsonl, with image and text in a row")
    pool = read_pool(Path(run.data), "image")
    missing = [name for name in pool.images if not (pool.folder / name).is_file()]
    tell_missing(len(missing), len(pool.images), str(pool.folder), str(next(iter(missing), "")))
    encoder = run.models.encoder
    if encoder is None:
        raise InputError("retrieval needs an encoder: --encoder hf:ORG/MODEL")
    rows = harness.sampled(["picture"] * len(pool.images), run)
    held = [place for place, text in enumerate(pool.texts) if holds(encoder, text)]
    made_by = harness.provenance(run, ["match"], prompts.digest(), engine_alone=True)
    made_by = made_by.model_copy(update={"encoder": reference(encoder)})
    description: JSON = {
        "texts": len(pool.texts), "texts_too_long": len(pool.texts) - len(held),
        "pairs": sorted(pool.pairs), "images": list(pool.images), "rows": rows,
    }  # fmt: skip
    source = harness.digest(run.data, pool.images, pool.texts, sorted(pool.pairs))

    def judged(window: list[int]) -> list[JSON]:
        return _judged(run, pool, held, window)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, rows, lambda row: pool.images[row], judged)
    return {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(run: Run, pool: Pool, held: Sequence[int], rows: Sequence[int]) -> list[JSON]:
    loaded = load_pictures([pool.folder / pool.images[row] for row in rows], run)
    shown = {r: p for r, p in zip(rows, loaded, strict=True) if isinstance(p, Picture)}
    near = _similar(run, pool, held, shown)
    wanted = {row: mining.nearest(near[row], math.inf, NEAREST) for row in shown}
    pairs = [(Item(picture=shown[row]), _text(pool.texts[p])) for row in shown for p in wanted[row]]
    found = iter(match_items(run.models, run.policy, pairs))
    matches = {row: [next(found) for _ in wanted[row]] for row in shown}
    return [
        {"image": pool.images[row], "label": "picture"}
        | (
            {"error": {"reason": picture.reason, "message": picture.message}}
            if isinstance(picture, Failure)
            else _said(near[row], wanted[row], matches[row])
        )
        for row, picture in zip(rows, loaded, strict=True)
    ]


def _similar(
    run: Run, pool: Pool, held: Sequence[int], shown: dict[int, Picture]
) -> dict[int, list[Score]]:
    """Cosines of each picture with every text; None where there is none."""
    near: dict[int, list[Score]] = {row: [None] * len(pool.texts) for row in shown}
    requests = [Similarity(picture, pool.texts[p]) for picture in shown.values() for p in held]
    cosines = iter(run.models.answer(requests) if requests else [])
    for row in shown:
        for place in held:
            cosine = next(cosines)
            if isinstance(cosine, float) and math.isfinite(cosine):
                near[row][place] = cosine
    return near


def _text(text: str) -> Item:
    plain = plain_caption(text)
    return Item(problem="the text is empty") if plain is None else Item(text=plain)


def _said(near: Sequence[Score], wanted: Sequence[int], matches: Sequence[Match]) -> JSON:
    return {
        "similarities": list(near),
        "nearest": list(wanted),
        "scores": [match.score for match in matches],
        "unread": [match.problem for match in matches if match.problem],
    }


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    rows = harness.recorded(out)
    about, made_by = harness.data_of(out), harness.provenance_of(out)
    pairs = {(image, text) for image, text in about.get("pairs", ())}
    places = {name: place for place, name in enumerate(about.get("images", ()))}
    read = {places[name]: row for name, row in rows.items() if "similarities" in row}
    encoder = (made_by.get("encoder") or {}).get("uri", "encoder")
    entries: Entries = {}
    if read:
        entries[encoder] = [_matrix(encoder, read, pairs, about["texts"])]
        model = f"{made_by.get('model', '')}, of the nearest {NEAREST}"
        entries[model] = [*_reranks(read, pairs, about["images"])]
    findings = []
    if about.get("texts_too_long"):
        findings.append(f"texts that the encoder cannot hold, left out: {about['texts_too_long']}.")
    result = score(entries, findings, ())
    return replace(result, coverage=Coverage(len(read), len(rows) - len(read)))


def _matrix(name: str, read: dict[int, JSON], pairs: set[tuple[int, int]], texts: int) -> Matrix:
    """The pictures that were compared, with the texts that belong to any of them.

    A text that the encoder cannot hold is nobody's candidate.
    """
    rows = list(read)
    owners: dict[int, list[int]] = {}
    for image, text in pairs:
        owners.setdefault(text, []).append(image)
    told = {
        text for row in read.values() for text, s in enumerate(row["similarities"]) if s is not None
    }
    kept = [t for t in range(texts) if t in told and any(image in read for image in owners[t])]
    return Matrix(
        name,
        tuple(tuple(read[row]["similarities"][text] for text in kept) for row in rows),
        tuple(frozenset(n for n, row in enumerate(rows) if row in owners[text]) for text in kept),
    )


def _reranks(
    read: dict[int, JSON], pairs: set[tuple[int, int]], images: Sequence[str]
) -> Iterator[Rerank]:
    for place, row in read.items():
        right = [n for n, text in enumerate(row["nearest"], 1) if (place, text) in pairs]
        yield Rerank(
            images[place], len(row["nearest"]), next(iter(right), None), None,
            tuple(row["scores"]), frozenset(right), nearest_first=True,
        )  # fmt: skip
