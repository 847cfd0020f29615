"""What people decided: it holds until it is withdrawn, or the rule says another thing.

Takes verdicts of reviewers about an image and a rule; tells which of them hold. A decision is never
changed: it is withdrawn, and another one made. Where reviewers disagree, none holds.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from safejudge.errors import InputError
from safejudge.journal.held import VERDICTS, Held, Verdict
from safejudge.journal.store import audit
from safejudge.journal.tables import NEEDS, PEOPLE
from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from safejudge.journal.store import Journal

LONGEST_NOTE = 2000
LONGEST_NAME = 64
"""Characters."""


@dataclass(frozen=True, slots=True)
class PersonDecision:
    """One decision as the journal has it."""

    id: int
    at: float
    """Seconds since 1970 (UTC)."""
    image_id: str
    rule: str
    rule_digest: str
    """Of the rule as it was then."""
    verdict: Verdict
    reviewer: str
    note: str
    withdrawn_at: float | None = None
    withdrawn_by: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a reviewer says, to be kept."""

    image_id: str
    rule: str
    rule_digest: str
    verdict: Verdict
    reviewer: str
    note: str = ""

    def check(self) -> None:
        """Raise `InputError` for what is no verdict, no name, or too long a note."""
        if self.verdict not in VERDICTS:
            known = ", ".join(VERDICTS)
            raise InputError(f"{quoted(self.verdict)} is no verdict; write one of {known}")
        if not self.reviewer or len(self.reviewer) > LONGEST_NAME:
            raise InputError(
                f"a decision needs its reviewer's name, of {LONGEST_NAME} characters at most"
            )
        if len(self.note) > LONGEST_NOTE:
            raise InputError(f"the note has more than {LONGEST_NOTE} characters; shorten it")


def decide(journal: Journal, said: Said, *, reviewers: int = 1) -> int:
    """Keep a decision, and return its number; the reviewer's earlier one is withdrawn.

    The question leaves the queue once so many `reviewers` have answered it. Raises `InputError`
    (see `Said.check`) and `OutputError`.
    """
    said.check()
    now = time.time()
    with journal.writing() as connection:
        connection.execute(
            PEOPLE.update()
            .where(*_about(said.image_id, said.rule), PEOPLE.c.reviewer == said.reviewer)
            .values(withdrawn_at=now, withdrawn_by=said.reviewer)
        )
        values = {"at": now, **asdict(said)}
        added = connection.execute(insert(PEOPLE).values(values).returning(PEOPLE.c.id))
        number = int(added.scalar_one())
        _count_answers(connection, said.image_id, said.rule, reviewers)
        audit(connection, said.reviewer, "decide", {"decision": number, **values})
    return number


def withdraw(journal: Journal, number: int, who: str, *, reviewers: int = 1) -> None:
    """Take a decision back; its question may be open again.

    Raises `InputError` where there is none that stands.
    """
    with journal.writing() as connection:
        found = connection.execute(
            PEOPLE.update()
            .where(PEOPLE.c.id == number, PEOPLE.c.withdrawn_at.is_(None))
            .values(withdrawn_at=time.time(), withdrawn_by=who)
            .returning(PEOPLE.c.image_id, PEOPLE.c.rule)
        ).first()
        if found is None:
            raise InputError(f"there is no decision {number} that stands; see `journal show`")
        _count_answers(connection, found.image_id, found.rule, reviewers)
        audit(connection, who, "withdraw", {"decision": number})


def _about(image_id: str, rule: str) -> tuple[ColumnElement[bool], ...]:
    """Decisions that stand, about an image and a rule."""
    table = PEOPLE.c
    return table.image_id == image_id, table.rule == rule, table.withdrawn_at.is_(None)


def _count_answers(connection: Connection, image_id: str, rule: str, reviewers: int) -> None:
    """Open a question, or close it where enough have answered."""
    answers = connection.execute(
        select(func.count(PEOPLE.c.reviewer.distinct())).where(*_about(image_id, rule))
    ).scalar_one()
    connection.execute(
        NEEDS.update()
        .where(NEEDS.c.image_id == image_id, NEEDS.c.rule == rule)
        .values(open=0 if answers >= reviewers else 1)
    )


def decisions(
    journal: Journal,
    *,
    image_ids: Collection[str] | None = None,
    reviewer: str | None = None,
    standing: bool = True,
) -> list[PersonDecision]:
    """Return decisions, the earliest first: of some images, of one reviewer, that stand."""
    wanted = select(PEOPLE).order_by(PEOPLE.c.id)
    if image_ids is not None:
        wanted = wanted.where(PEOPLE.c.image_id.in_(image_ids))
    if reviewer is not None:
        wanted = wanted.where(PEOPLE.c.reviewer == reviewer)
    if standing:
        wanted = wanted.where(PEOPLE.c.withdrawn_at.is_(None))
    with journal.reading() as connection:
        return [_decision(row) for row in connection.execute(wanted)]


def holding(
    journal: Journal,
    image_ids: Collection[str],
    digests: Mapping[str, str],
    *,
    reviewers: int = 1,
) -> dict[str, dict[str, Held]]:
    """Return what holds for these images, by image and rule.

    `digests` are the rules as they are now: a decision about another wording counts no more. So
    many `reviewers` at least have to agree, and nobody may say another thing; `cannot_tell` holds
    nothing.
    """
    if not image_ids:
        return {}
    by_rule: dict[tuple[str, str], list[PersonDecision]] = {}
    for one in decisions(journal, image_ids=image_ids):
        if digests.get(one.rule) == one.rule_digest:
            by_rule.setdefault((one.image_id, one.rule), []).append(one)
    held: dict[str, dict[str, Held]] = {}
    for (image_id, rule), said in by_rule.items():
        if (agreed := agreed_on(said, reviewers)) is not None:
            held.setdefault(image_id, {})[rule] = agreed
    return held


def agreed_on(said: Sequence[PersonDecision], reviewers: int) -> Held | None:
    """Return what all who can tell say; None where they disagree or are too few."""
    telling = [one for one in said if one.verdict != "cannot_tell"]
    verdicts = {one.verdict for one in telling}
    names = tuple(dict.fromkeys(one.reviewer for one in telling))
    if len(verdicts) != 1 or len(names) < reviewers:
        return None
    return Held(verdicts.pop(), names, max(one.at for one in telling))


def outdated(said: Iterable[PersonDecision], digests: Mapping[str, str]) -> list[PersonDecision]:
    """Return decisions about rules that say another thing now: to be looked at again."""
    return [one for one in said if digests.get(one.rule) not in (None, one.rule_digest)]


def _decision(row: Any) -> PersonDecision:
    return PersonDecision(
        row.id, row.at, row.image_id, row.rule, row.rule_digest, row.verdict, row.reviewer,
        row.note, row.withdrawn_at, row.withdrawn_by,
    )  # fmt: skip
