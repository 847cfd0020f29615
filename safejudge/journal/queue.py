"""What people are asked: which images, about which rules, and in which order.

Takes a judgment as it comes; says what of it a person should look at. Gives the queue of a
reviewer: what is open, the most urgent first, and nothing that he or she has answered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, exists, func, not_, select

from safejudge.journal.rows import Need
from safejudge.journal.tables import NEEDS, PEOPLE
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.journal.store import Journal
    from safejudge.types import Decision, Judgment, Result

WHYS = ("undecided", "between", "shadow", "audit")
"""Why a person is asked: the judge could not tell; the score lies between the thresholds; another
version of the rules says another thing; a random share of all."""


@dataclass(frozen=True, slots=True)
class Question:
    """One open question of the queue."""

    judgment: int
    """The number of the judgment in the journal."""
    image_id: str
    rule: str
    why: str
    rank: float


def needs_of(result: Result, decision: Decision | None, *, audit: float = 0.0) -> tuple[Need, ...]:
    """Say what people should look at; `audit` is the share of all images that they see anyway.

    An image that could not be read is nobody's: there is nothing to look at.
    """
    if isinstance(result, Failure):
        return ()
    needs = list(_unsettled(result, decision))
    if not needs and drawn("audit", result.id) < audit and (rule := _highest(result)) is not None:
        needs.append(Need(rule, "audit", 1.0 - drawn("audit", result.id)))
    return tuple(needs)


def _unsettled(judgment: Judgment, decision: Decision | None) -> Iterator[Need]:
    if decision is not None:
        if decision.action != "person":
            return
        asked = [rule for rule, said in decision.rules.items() if said.action == "person"]
        why = "between"
    else:
        if judgment.label != "undecided":
            return
        asked = [r for r, verdict in judgment.rules.items() if verdict.outcome == "undecided"]
        why = "undecided"
    if not asked and (rule := _highest(judgment)) is not None:  # frames, or a caption, unseen
        asked = [rule]
    for rule in asked:
        yield Need(rule, why, _doubt(judgment.rules[rule].score))


def differences(before: Result, after: Result) -> Iterator[Need]:
    """Yield the rules about which two versions say another thing, for a person to look at."""
    if isinstance(before, Failure) or isinstance(after, Failure):
        return
    for rule, verdict in after.rules.items():
        said = before.rules.get(rule)
        was = "not_violated" if said is None else said.outcome
        if (was == "violated") != (verdict.outcome == "violated"):
            gap = abs((verdict.score or 0.0) - ((said.score if said else None) or 0.0))
            yield Need(rule, "shadow", gap)


def _doubt(score: float | None) -> float:
    """How unsure a score is: 1 in the middle, 0 at the ends."""
    return 1.0 if score is None else 1.0 - 2.0 * abs(score - 0.5)


def _highest(judgment: Judgment) -> str | None:
    scores = {rule: v.score for rule, v in judgment.rules.items() if v.score is not None}
    return max(scores, key=lambda rule: scores[rule]) if scores else None


def drawn(purpose: str, image_id: str) -> float:
    """Draw a number in [0, 1) for an image, always the same for one purpose."""
    return int(hashlib.sha256(f"{purpose}:{image_id}".encode()).hexdigest()[:12], 16) / 16**12


def questions(
    journal: Journal, reviewer: str, *, why: str | None = None, limit: int = 50
) -> list[Question]:
    """Return what is open and not answered by this reviewer, the most urgent first."""
    answered = exists().where(
        and_(
            PEOPLE.c.image_id == NEEDS.c.image_id,
            PEOPLE.c.rule == NEEDS.c.rule,
            PEOPLE.c.reviewer == reviewer,
            PEOPLE.c.withdrawn_at.is_(None),
        )
    )
    found: list[Question] = []
    with journal.reading() as connection:
        for kind in WHYS if why is None else (why,):
            wanted = (
                select(NEEDS)
                .where(NEEDS.c.open == 1, NEEDS.c.why == kind, not_(answered))
                .order_by(NEEDS.c.rank.desc(), NEEDS.c.judgment.desc())
                .limit(limit - len(found))
            )
            found += [
                Question(row.judgment, row.image_id, row.rule, row.why, row.rank)
                for row in connection.execute(wanted)
            ]
            if len(found) >= limit:
                break
    return found


def open_images(journal: Journal) -> set[str]:
    """Return the ids of images of which something is open."""
    wanted = select(NEEDS.c.image_id).where(NEEDS.c.open == 1).distinct()
    with journal.reading() as connection:
        return {str(row.image_id) for row in connection.execute(wanted)}


MOST = 1000
"""Nobody counts further for the sake of a number on a page."""


def open_counts(journal: Journal, most: int = MOST) -> dict[str, int]:
    """Count the open questions by why they are asked, up to `most` of each kind."""
    counts = {}
    with journal.reading() as connection:
        for why in WHYS:
            some = select(NEEDS.c.rank).where(NEEDS.c.open == 1, NEEDS.c.why == why).limit(most)
            counted = select(func.count()).select_from(some.subquery())
            counts[why] = int(connection.execute(counted).scalar_one())
    return counts
