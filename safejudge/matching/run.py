"""Runs over a pool: queries -> hard negatives, or their nearest candidates in a new order.

A record a query, in a file that a run can be stopped over and go on with. What was not read is
asked again then. Similarities are computed anew; the engine's answers are what costs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from safejudge.engines.models import reference
from safejudge.engines.together import limit_of
from safejudge.files.recordfile import RecordFile
from safejudge.files.records import header, image_name
from safejudge.files.standing import Answered
from safejudge.images.listing import digest_of
from safejudge.matching import mining, prompts
from safejudge.matching.items import Item, load_items
from safejudge.matching.match import Match, match_items
from safejudge.matching.pool import Pool, listed, similarities
from safejudge.matching.replies import read_choice
from safejudge.text import counted, storable
from safejudge.types import JSON, NoReply, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from safejudge.engines.models import Models
    from safejudge.matching.pool import Side
    from safejudge.matching.soft_labels import Floats, Score
    from safejudge.policy import Policy

By = Literal["scores", "choice"]
NEAREST = 10
"""Candidates that are ranked anew."""


@dataclass(frozen=True, slots=True)
class Task:
    """Whose candidates, by whom, and where to."""

    pool: Pool
    models: Models
    policy: Policy
    out: Path
    window: int = 8
    """Queries that are asked about and saved together."""
    limit: int | None = None
    resume: bool = False
    overwrite: bool = False


def mine(task: Task, delta: float = 1.0, tick: Callable[[int], None] = lambda _: None) -> None:
    """Mine hard negatives for every query; a record has the fields of UniME-V2's data.

    Where several candidates are right, the first is the positive, and none is a negative. Raises
    `OutputError` where the file is another run's, and `EngineCallError` where a model fails.
    """
    near = similarities(task.pool, task.models, task.policy)

    def mined(queries: Sequence[int]) -> list[JSON]:
        return _mined(task, near, delta, queries)

    _run(task, ["mine", delta], mined, tick)


def rerank(task: Task, by: By = "scores", tick: Callable[[int], None] = lambda _: None) -> None:
    """Put the nearest ten candidates of every query in a new order, or have the best chosen.

    `scores`: by how well each meets the query; `choice`: one request with all of them, numbered.
    Raises what `mine` does.
    """
    near = similarities(task.pool, task.models, task.policy)

    def ranked(queries: Sequence[int]) -> list[JSON]:
        return _ranked(task, near, by, queries)

    _run(task, ["rerank", by], ranked, tick)


def _run(
    task: Task,
    what: Sequence[object],
    asked: Callable[[Sequence[int]], list[JSON]],
    tick: Callable[[int], None],
) -> None:
    names = task.pool.queries[: task.limit]
    files = [digest_of(task.pool.folder / name) for name in task.pool.images]
    pool = [task.pool.images, files, task.pool.texts, sorted(task.pool.pairs), task.pool.query]
    head = header(metadata.version("safejudge"), _made_by(task, what), _digest(pool))
    resume, overwrite = task.resume, task.overwrite
    with RecordFile(
        task.out, head, resume=resume, overwrite=overwrite, standing=Answered()
    ) as file:
        todo = [p for p, name in enumerate(names) if not file.recorded[image_name(name)]]
        tick(len(names) - len(todo))
        for start in range(0, len(todo), task.window):
            window = todo[start : start + task.window]
            file.append(asked(window))
            tick(len(window))


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _made_by(task: Task, what: Sequence[object]) -> Provenance:
    card = task.models.engine.card
    return Provenance(
        constitution="",
        prompts=prompts.digest(),
        policy=_digest(task.policy.digest(), *what),
        model=card.uri,
        revision=card.revision,
        encoder=reference(task.models.encoder),
        detector=None,
        versions=dict(task.models.versions()),
    )


def _sides(pool: Pool) -> tuple[Side, Side]:
    return ("image", "text") if pool.query == "image" else ("text", "image")


def _loaded(
    task: Task, queries: Sequence[int], wanted: Sequence[Sequence[int]]
) -> tuple[list[Item], Mapping[int, Item]]:
    """The queries, and the candidates that are wanted for any of them, each read once."""
    pool, (ours, theirs) = task.pool, _sides(task.pool)
    places = list(dict.fromkeys(place for row in wanted for place in row))
    things = [pool.thing(pool.queries[query], ours) for query in queries]
    things += [pool.thing(pool.candidates[place], theirs) for place in places]
    items = load_items(things, task.models, task.policy)
    return items[: len(queries)], dict(zip(places, items[len(queries) :], strict=True))


def _fields(side: Side, name: str, prefix: str) -> JSON:
    """A picture or text under the names that UniME-V2's data has for it."""
    return {
        f"{prefix}_text": name if side == "text" else "",
        f"{prefix}_image": name if side == "image" else "",
    }


# --- mining ---------------------------------------------------------------------------------------


def _mined(task: Task, near: Floats, delta: float, queries: Sequence[int]) -> list[JSON]:
    right = [task.pool.right(query) for query in queries]
    rows = [listed(near[q], without=r) for q, r in zip(queries, right, strict=True)]
    looked_at = [mining.nearest(row, delta) for row in rows]
    wanted = [[r[0], *places] for r, places in zip(right, looked_at, strict=True)]
    asked, items = _loaded(task, queries, wanted)
    pairs = [(item, items[p]) for item, row in zip(asked, wanted, strict=True) for p in row]
    found = iter(match_items(task.models, task.policy, pairs))
    records = []
    for query, item, row, places in zip(queries, asked, rows, wanted, strict=True):
        matches = {place: next(found) for place in places}
        records.append(_mined_record(task.pool, query, row, matches, delta) | _failed(item))
    return records


def _mined_record(
    pool: Pool, query: int, near: Sequence[Score], matches: Mapping[int, Match], delta: float
) -> JSON:
    positive, *_ = matches
    scores = [matches[p].score if p in matches else None for p in range(len(near))]
    found = mining.mine(near, scores, scores[positive], delta)
    ours, theirs = _sides(pool)
    negatives = [pool.candidates[place] for place in found.picked]
    unread = {
        pool.candidates[place]: match.problem
        for place, match in matches.items()
        if match.score is None
    }
    return {
        "image": image_name(pool.queries[query]),
        "label": "mined" if negatives else "none",
        **_fields(ours, pool.queries[query], "query"),
        **_fields(theirs, pool.candidates[positive], "pos"),
        "query_pos_scores": scores[positive],
        "hard_negatives": [
            [name, ""] if theirs == "text" else ["", name] for name in negatives
        ],
        "hard_negatives_scores": list(found.scores),
        "hard_negatives_similarities": [near[place] for place in found.picked],
        "without_similarity": sum(s is None for s in near) - len(pool.right(query)),
        "near": found.near, "kept": found.kept, "padded": found.padded,
        "why": found.problem or None, "unread": unread,
    }  # fmt: skip


def _failed(item: Item) -> JSON:
    """What a record says besides of a query that cannot be shown; nothing of any other."""
    error = {"reason": "unreadable", "message": storable(item.problem)}
    return {"error": error} if item.problem else {}


# --- reranking ------------------------------------------------------------------------------------


def _ranked(task: Task, near: Floats, by: By, queries: Sequence[int]) -> list[JSON]:
    rows = [listed(near[query]) for query in queries]
    wanted = [mining.nearest(row, float("inf"), NEAREST) for row in rows]
    asked, items = _loaded(task, queries, wanted)
    if by == "scores":
        pairs = [(item, items[p]) for item, row in zip(asked, wanted, strict=True) for p in row]
        found = iter(match_items(task.models, task.policy, pairs))
        said = [_by_scores([next(found) for _ in places]) for places in wanted]
    else:
        said = _by_choice(task, asked, [[items[p] for p in places] for places in wanted])
    return [
        _ranked_record(task.pool, query, places, answer) | _failed(item)
        for query, item, places, answer in zip(queries, asked, wanted, said, strict=True)
    ]


def _by_scores(matches: Sequence[Match]) -> JSON:
    """The order that scores make; what has none stays last. Equal ones stay as near as they are."""
    scores = [match.score for match in matches]
    order = sorted(range(len(scores)), key=lambda place: -(scores[place] or 0.0))
    order.sort(key=lambda place: scores[place] is None)
    problems = [match.problem for match in matches if match.problem]
    return {"scores": scores, "order": order, "unread": problems}


def _by_choice(
    task: Task, queries: Sequence[Item], candidates: Sequence[Sequence[Item]]
) -> list[JSON]:
    """What is answered to one request about all candidates of a query."""
    engine = task.models.engine
    requests, said = {}, list[JSON]()
    for place, (query, items) in enumerate(zip(queries, candidates, strict=True)):
        problems = [item.problem for item in (query, *items) if item.problem]
        request = prompts.rank_request(query, items)
        shown = len(request.images)
        if shown and not engine.card.pictures:
            problems.append(f"{engine.card.uri} takes text alone")
        if (found := limit_of([engine], shown)) is not None:
            most = counted(found[1], "picture")
            problems.append(f"{engine.card.uri} can be shown {most} at a time, not {shown}")
        said.append({"reply": None, "unread": problems})
        if items and not problems:
            requests[place] = request
    waves = list(dict.fromkeys(requests.values()))
    replies = dict(zip(waves, task.models.answer(waves) if waves else [], strict=True))
    for place, request in requests.items():
        reply = replies[request]
        problems = [reply.problem] if isinstance(reply, NoReply) else []
        said[place] = {"reply": storable(str(reply)), "unread": problems}
    for answer, items in zip(said, candidates, strict=True):
        number, why = read_choice(answer["reply"], len(items))
        rest = [place for place in range(len(items)) if place + 1 != number]
        order = rest if number is None else [number - 1, *rest]
        answer |= {"order": order, "choice": number, "why": why or None}
    return said


def _ranked_record(pool: Pool, query: int, places: Sequence[int], said: JSON) -> JSON:
    """What came of one query; `answer` is the nearest right candidate, from 1, among those ten."""
    right = pool.right(query)
    answer = next((n for n, place in enumerate(places, 1) if place in right), None)
    order = [pool.candidates[places[n]] for n in said["order"]]
    name = image_name(pool.queries[query])
    return {
        "image": name, "label": "ranked" if places else "none", "id": name,
        "candidates": len(places), "answer": answer,
        "right": [n for n, place in enumerate(places, 1) if place in right],
        "nearest": [pool.candidates[place] for place in places],
        **said, "order": order,
    }  # fmt: skip
