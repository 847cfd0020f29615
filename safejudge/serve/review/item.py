"""One question as a reviewer sees it: the rule, what the judge read, what people said before.

Takes a judgment of the journal and a rule; gives data for the page, and markup of the rule's tree
that is escaped. Nothing is judged.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from safejudge.errors import InputError
from safejudge.files.stored import StoredRecord
from safejudge.journal.people import agreed_on, decisions
from safejudge.journal.picture import kept_picture
from safejudge.journal.rows import rule_digest
from safejudge.journal.tables import JUDGMENTS, NEEDS, SCORES
from safejudge.serve.faults import RequestError
from safejudge.show.page import made_by
from safejudge.show.page.card import asked_form, with_trees
from safejudge.show.page.recorded import result_of
from safejudge.show.page.templates import environment
from safejudge.text import clean, quoted
from safejudge.types import Judgment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from safejudge.journal.people import PersonDecision
    from safejudge.journal.rows import Kept
    from safejudge.journal.store import Journal
    from safejudge.serve.review.asked import Review
    from safejudge.show.page.judged import About
    from safejudge.types import JSON, Box, Rule, RuleVerdict

PACKAGE = "safejudge.serve.review"


@dataclass(slots=True)
class Head:
    """What made judgments, as what reads files of records wants it."""

    path: Path
    head: JSON

    def __iter__(self) -> Iterator[StoredRecord]:
        """Nothing: it is asked for what made records alone."""
        return iter(())


def head_of(journal: Journal, number: int, heads: dict[int, JSON] | None = None) -> Head:
    """Return one of a journal's heads."""
    found = journal.heads() if heads is None else heads
    return Head(Path(journal.name), found[number])


@cache
def template(name: str) -> Template:
    """Return a template of the review, with what trees of rules need."""
    return with_trees(environment(PACKAGE)).get_template(name)


def day(at: float) -> str:
    """Write a moment down: 2026-11-29 18:59 UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def found(review: Review, judgment: int) -> Kept:
    """Return a judgment. Raises `RequestError` 404."""
    kept = review.journal.get(judgment)
    if kept is None:
        raise RequestError(
            404,
            f"judgment {judgment} is not in the journal any more; go on with the next question",
            code="gone",
        )
    return kept


def item_of(review: Review, judgment: int, name: str) -> JSON:
    """Return one question. Raises `RequestError` 404 where there is none."""
    kept = found(review, judgment)
    about, then = _made(review, kept)
    rule = review.rules.get(name) or then.get(name)
    if rule is None:
        raise RequestError(404, f"{quoted(name)} is no rule of this judgment", code="no_rule")
    verdict = _verdict(kept, name, about)
    said = [
        one
        for one in decisions(review.journal, image_ids=[kept.image_id], standing=False)
        if one.rule == name
    ]
    digest = rule_digest(rule)
    people = _people(review, said, digest)
    return {
        "judgment": judgment,
        "rule": name,
        "digest": digest,
        "image": clean(kept.image),
        "image_id": kept.image_id,
        "text": clean(rule.text),
        "why": _whys(review, judgment, name),
        "boxes": _boxes(review, judgment, verdict),
        "mine": next((one["id"] for one in people["said"] if one["mine"] and one["stands"]), None),
        "html": template("item.html").render(
            kept=kept,
            day=day,
            rule=rule,
            then=then.get(name),
            gone=name not in review.rules,
            reworded=name in then and rule_digest(then[name]) != digest,
            verdict=verdict,
            form=None
            if verdict is None
            else asked_form(then.get(name, rule), verdict, about.policy),
            policy=about.policy,
            judge=kept.record,
            others=_others(review, kept, name),
            people=people,
        ),
    }


def _made(review: Review, kept: Kept) -> tuple[About, dict[str, Rule]]:
    try:
        about = made_by.about(head_of(review.journal, kept.head), None, ())
    except InputError as error:
        raise RequestError(409, str(error), code="other_form") from error
    return about, {rule.id: rule for rule in about.constitution.rules}


def _verdict(kept: Kept, rule: str, about: About) -> RuleVerdict | None:
    """Read what a record says of a rule; None where it says nothing, or has another form."""
    try:
        result = result_of(StoredRecord("", kept.record, None), about.provenance)
    except (KeyError, TypeError, ValueError):
        return None
    return result.rules.get(rule) if isinstance(result, Judgment) else None


def _whys(review: Review, judgment: int, rule: str) -> list[str]:
    wanted = select(NEEDS.c.why).where(NEEDS.c.judgment == judgment, NEEDS.c.rule == rule)
    with review.journal.reading() as connection:
        return sorted(connection.execute(wanted).scalars())


def _others(review: Review, kept: Kept, rule: str) -> list[JSON]:
    """Return what other versions said of the image: shadows, and earlier or later rules."""
    wanted = (
        select(JUDGMENTS.c.at, JUDGMENTS.c.variant, SCORES.c.outcome, SCORES.c.score)
        .join(SCORES, SCORES.c.judgment == JUDGMENTS.c.id)
        .where(
            JUDGMENTS.c.image_id == kept.image_id,
            JUDGMENTS.c.id != kept.id,
            SCORES.c.rule == rule,
        )
        .order_by(JUDGMENTS.c.id.desc())
        .limit(10)
    )
    with review.journal.reading() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


def _people(review: Review, said: list[PersonDecision], digest: str) -> JSON:
    """Return decisions about a question; others' only after one's own, where several are asked."""
    standing = [o for o in said if o.withdrawn_at is None and o.rule_digest == digest]
    answered = any(one.reviewer == review.who for one in standing)
    blind = review.reviewers > 1 and not answered
    hidden = {one.reviewer for one in standing if one.reviewer != review.who} if blind else set()
    held = None if blind else agreed_on(standing, review.reviewers)
    return {
        "hidden": len(hidden),
        "wanted": review.reviewers,
        "holds": None if held is None else asdict(held),
        "said": [
            {
                "id": one.id,
                "at": day(one.at),
                "reviewer": one.reviewer,
                "verdict": one.verdict,
                "note": one.note,
                "mine": one.reviewer == review.who,
                "stands": one.withdrawn_at is None,
                "outdated": one.rule_digest != digest,
                "withdrawn_by": one.withdrawn_by,
            }
            for one in reversed(said)
            if one.reviewer not in hidden or one.rule_digest != digest
        ],
    }


def _boxes(review: Review, judgment: int, verdict: RuleVerdict | None) -> list[JSON]:
    """Place what the detector found, in per cent of the picture; none where its size is unknown."""
    content = review.journal.thumbnail(judgment)
    picture = None if content is None else kept_picture(content)
    if verdict is None or picture is None or picture.of is None:
        return []
    width, height = picture.of
    boxes = dict.fromkeys(box for leaf in verdict.preconditions for box in leaf.seen)
    return [
        _placed(box, width, height) for box in boxes if box.right <= width and box.bottom <= height
    ]


def _placed(box: Box, width: int, height: int) -> JSON:
    return {
        "word": clean(box.word),
        "confidence": box.confidence,
        "left": round(100 * box.left / width, 2),
        "top": round(100 * box.top / height, 2),
        "width": round(100 * (box.right - box.left) / width, 2),
        "height": round(100 * (box.bottom - box.top) / height, 2),
    }
