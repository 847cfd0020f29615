"""`/review/api/...`: what the page of a review asks. Every route wants the role `review`.

The reviewer is the client of the key. Routes are plain functions, so each runs on a thread of its
own while requests go on being judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field
from sqlalchemy import func, select

from safejudge.constitution.load import dump_constitution
from safejudge.errors import ConstitutionError, InputError
from safejudge.journal import people
from safejudge.journal.held import Verdict
from safejudge.journal.people import LONGEST_NOTE, Said
from safejudge.journal.picture import kept_picture
from safejudge.journal.queue import MOST, WHYS, open_counts, questions
from safejudge.journal.tables import JUDGMENTS, SCORES
from safejudge.serve.faults import RequestError
from safejudge.serve.review import change, lead
from safejudge.serve.review.asked import Reviews
from safejudge.serve.review.item import day, found, item_of
from safejudge.serve.wire import Wire
from safejudge.text import clean, quoted

if TYPE_CHECKING:
    from safejudge.journal.people import PersonDecision
    from safejudge.serve.review.asked import Review
    from safejudge.types import JSON

router = APIRouter(prefix="/review/api", include_in_schema=False)
_NUMBER = Query(ge=1, le=2**62)


class Decide(Wire):
    """What a reviewer says of one question."""

    model_config = ConfigDict(extra="forbid")

    judgment: Annotated[int, Field(ge=1, le=2**62)]
    rule: Annotated[str, Field(max_length=128)]
    digest: Annotated[str, Field(max_length=64)]
    """Of the rule as the reviewer read it."""
    verdict: Verdict
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    beside: bool = False
    """Whether it is to stand beside what another one said meanwhile."""


class Withdraw(Wire):
    """Which decision is taken back."""

    model_config = ConfigDict(extra="forbid")

    decision: Annotated[int, Field(ge=1, le=2**62)]


class Replay(Wire):
    """What would be asked of the newest judgments."""

    model_config = ConfigDict(extra="forbid")

    constitution: Annotated[str, Field(max_length=1_000_000)] = ""
    """Rules as YAML; empty: those that each judgment was made by."""
    settings: Annotated[str, Field(max_length=10_000)] = ""
    """Settings of the policy, `NAME=VALUE` a line."""
    newest: Annotated[int, Field(ge=1, le=change.MOST)] = change.NEWEST
    """How many judgments."""


# --- the queue ------------------------------------------------------------------------------------


@router.get("/state")
def state(review: Reviews) -> dict[str, Any]:
    """Say who reviews, how much is open, and whether images are judged now."""
    return _state(review)


def _state(review: Review) -> JSON:
    return {
        "reviewer": review.who,
        "reviewers": review.reviewers,
        "open": open_counts(review.journal),
        "counted_to": MOST,
        "problem": review.context.service.problem,
    }


@router.get("/queue")
def queue(
    review: Reviews,
    why: Annotated[str | None, Query(max_length=16)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List what is open and not answered by this reviewer, the most urgent first."""
    if why is not None and why not in WHYS:
        raise RequestError(
            400,
            f"{quoted(why)} is no reason to ask; write one of {', '.join(WHYS)}",
            code="no_such_reason",
            param="why",
        )
    asked = questions(review.journal, review.who, why=why, limit=limit)
    names = _names(review, {one.judgment for one in asked})
    return {
        "questions": [
            {
                "judgment": one.judgment,
                "rule": one.rule,
                "why": one.why,
                "image": clean(names.get(one.judgment, "")),
                "image_id": one.image_id,
            }
            for one in asked
        ],
        **_state(review),
    }


def _names(review: Review, numbers: set[int]) -> dict[int, str]:
    """Return what images are called, without reading their records."""
    wanted = select(JUDGMENTS.c.id, JUDGMENTS.c.image).where(JUDGMENTS.c.id.in_(numbers))
    with review.journal.reading() as connection:
        return {int(row.id): row.image for row in connection.execute(wanted)}


@router.get("/item")
def item(
    review: Reviews,
    judgment: Annotated[int, _NUMBER],
    rule: Annotated[str, Query(max_length=128)],
) -> dict[str, Any]:
    """Show one question."""
    return item_of(review, judgment, rule)


@router.get("/picture")
def picture(review: Reviews, judgment: Annotated[int, _NUMBER]) -> Response:
    """Show the small picture of a judgment, where one was kept."""
    content = review.journal.thumbnail(judgment)
    kept = None if content is None else kept_picture(content)
    if content is None or kept is None:
        raise RequestError(
            404, "no picture was kept of it; serve --thumbnail keeps them", code="no_picture"
        )
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=kept.media, headers=headers)


# --- decisions ------------------------------------------------------------------------------------


@router.post("/decide")
def decide(review: Reviews, said: Decide) -> dict[str, Any]:
    """Keep a decision. What was said already, in the same words, is kept once.

    409 where the rule was reworded meanwhile, or others have closed the question.
    """
    kept = found(review, said.judgment)
    current = _digest(review, said)
    if said.digest != current:
        raise RequestError(
            409,
            f"the rule {quoted(said.rule)} was reworded while you looked, so nothing was kept; "
            "read it again and decide anew",
            code="reworded",
        )
    standing = [
        one
        for one in people.decisions(review.journal, image_ids=[kept.image_id])
        if one.rule == said.rule and one.rule_digest == current
    ]
    mine = next((one for one in standing if one.reviewer == review.who), None)
    if mine is None and not said.beside:
        _check_open(review, standing)
    if mine is not None and (mine.verdict, mine.note) == (said.verdict, said.note):
        number = mine.id
    else:
        number = people.decide(
            review.journal,
            Said(kept.image_id, said.rule, current, said.verdict, review.who, said.note),
            reviewers=review.reviewers,
        )
    return {"decision": number, **_state(review)}


def _digest(review: Review, said: Decide) -> str:
    """Return the digest of the rule that a decision is about now: in force, or as it was judged."""
    current = review.digests.get(said.rule)
    if current is not None:
        return current
    wanted = select(SCORES.c.rule_digest).where(
        SCORES.c.judgment == said.judgment, SCORES.c.rule == said.rule
    )
    with review.journal.reading() as connection:
        then = connection.execute(wanted).scalar()
    if then is None:
        raise RequestError(404, f"{quoted(said.rule)} is no rule of this judgment", code="no_rule")
    return str(then)


def _check_open(review: Review, standing: list[PersonDecision]) -> None:
    names = sorted({one.reviewer for one in standing})
    if len(names) < review.reviewers:
        return
    raise RequestError(
        409,
        f"this was answered meanwhile by {' and '.join(names)}, so nothing of yours was kept; "
        "decide once more to put yours beside it, or go on with the next question",
        code="answered",
    )


@router.post("/withdraw")
def withdraw(review: Reviews, asked: Withdraw) -> dict[str, Any]:
    """Take a decision back, one's own or another's; the journal writes down who did."""
    try:
        people.withdraw(review.journal, asked.decision, review.who, reviewers=review.reviewers)
    except InputError as error:
        raise RequestError(
            409, "this decision does not stand any more; look at the question anew", code="gone"
        ) from error
    return _state(review)


@router.get("/mine")
def mine(review: Reviews, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[dict[str, Any]]:
    """List the latest decisions of this reviewer that stand, the newest first."""
    latest = people.decisions(review.journal, reviewer=review.who)[::-1][:limit]
    wanted = (
        select(JUDGMENTS.c.image_id, func.max(JUDGMENTS.c.id))
        .where(JUDGMENTS.c.image_id.in_({one.image_id for one in latest}))
        .where(JUDGMENTS.c.variant == "")
        .group_by(JUDGMENTS.c.image_id)
    )
    with review.journal.reading() as connection:
        numbers = {row[0]: row[1] for row in connection.execute(wanted)}
    return [
        {
            "decision": one.id,
            "at": day(one.at),
            "judgment": numbers.get(one.image_id),
            "rule": one.rule,
            "verdict": one.verdict,
        }
        for one in latest
    ]


# --- whoever answers for the rules ----------------------------------------------------------------


@router.get("/agreement")
def agreement(review: Reviews) -> dict[str, Any]:
    """Say how far reviewers agree: Cohen's kappa by pair, Krippendorff's alpha of all."""
    return lead.agreement(review).json()


@router.get("/rules")
def rules(review: Reviews, weeks: Annotated[int, Query(ge=1, le=520)] = 13) -> dict[str, Any]:
    """Show each rule: how often, how sure, how often people say another thing, week by week."""
    return lead.rules(review, weeks)


@router.get("/constitution")
def constitution(review: Reviews) -> dict[str, Any]:
    """Return the rules in force as YAML, to be changed and tried."""
    in_force = review.constitution
    try:
        text = "" if in_force is None else dump_constitution(in_force)
    except ConstitutionError as error:
        raise RequestError(409, f"{error}; paste the file instead", code="no_text") from error
    return {"constitution": text}


@router.post("/replay")
def replay(review: Reviews, asked: Replay) -> dict[str, Any]:
    """Judge the newest judgments again from what they say, and show what would be another."""
    return change.replay(review.journal, asked.constitution, asked.settings, asked.newest)
