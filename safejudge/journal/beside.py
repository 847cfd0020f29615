"""People beside the judge, and beside each other: what both said of the same image and rule.

Takes decisions that stand; gives pairs of what people said and what the judge said under the same
wording of the rule, and answers of several people to one question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, select

from safejudge.journal.tables import JUDGMENTS, NEEDS, PEOPLE, SCORES

if TYPE_CHECKING:
    from safejudge.journal.store import Journal


@dataclass(frozen=True, slots=True)
class Beside:
    """One image and rule on which people and the judge have both spoken."""

    image_id: str
    rule: str
    why: str
    """Why people were asked; "" where nobody asked them."""
    people: str
    """violates, does_not or cannot_tell; `split` where they disagree."""
    judge: str
    """Its outcome."""
    score: float | None


def beside_the_judge(journal: Journal, *, since: float) -> list[Beside]:
    """Return what people said since a moment, with what the judge says of the same wording.

    Where the judge has judged an image more than once, its latest answer counts.
    """
    wanted = (
        select(
            PEOPLE.c.image_id,
            PEOPLE.c.rule,
            PEOPLE.c.verdict,
            PEOPLE.c.reviewer,
            SCORES.c.judgment,
            SCORES.c.outcome,
            SCORES.c.score,
            NEEDS.c.why,
        )
        .join(JUDGMENTS, and_(JUDGMENTS.c.image_id == PEOPLE.c.image_id, JUDGMENTS.c.variant == ""))
        .join(
            SCORES,
            and_(
                SCORES.c.judgment == JUDGMENTS.c.id,
                SCORES.c.rule == PEOPLE.c.rule,
                SCORES.c.rule_digest == PEOPLE.c.rule_digest,
            ),
        )
        .outerjoin(
            NEEDS,
            and_(NEEDS.c.judgment == JUDGMENTS.c.id, NEEDS.c.rule == PEOPLE.c.rule),
        )
        .where(PEOPLE.c.withdrawn_at.is_(None), PEOPLE.c.at >= since)
        .order_by(SCORES.c.judgment)
    )
    said: dict[tuple[str, str], set[str]] = {}
    latest: dict[tuple[str, str], tuple[str, float | None]] = {}
    whys: dict[tuple[str, str], set[str]] = {}
    with journal.reading() as connection:
        for row in connection.execute(wanted):
            key = (row.image_id, row.rule)
            said.setdefault(key, set()).add(row.verdict)
            latest[key] = (row.outcome, row.score)
            whys.setdefault(key, set()).update({row.why} - {None})
    return [
        Beside(*key, _why(whys[key]), _together(said[key]), *latest[key]) for key in sorted(said)
    ]


def _together(verdicts: set[str]) -> str:
    told = verdicts - {"cannot_tell"}
    if not told:
        return "cannot_tell"
    return told.pop() if len(told) == 1 else "split"


def _why(whys: set[str]) -> str:
    """Name one reason: an image that was drawn by lot is never asked about for another one."""
    return min(whys, default="")


Answers = dict[tuple[str, str, str], dict[str, str]]
"""By image, rule and its wording: what each reviewer said."""


def answers(journal: Journal, *, since: float = 0.0) -> Answers:
    """Return the decisions that stand, by question and reviewer."""
    table = PEOPLE.c
    wanted = select(
        table.image_id, table.rule, table.rule_digest, table.reviewer, table.verdict
    ).where(table.withdrawn_at.is_(None), table.at >= since)
    found: Answers = {}
    with journal.reading() as connection:
        for image_id, rule, digest, reviewer, verdict in connection.execute(wanted):
            found.setdefault((image_id, rule, digest), {})[reviewer] = verdict
    return found
