"""Two constitutions and what a judge says by each -> which edit moved which example.

Takes the changes that `constitution.diff` found and the results by both; gives a `Move` for every
rule of an example that comes to something else, with the edits that may have moved it. An edit
whose statements were put to the model by neither constitution did not: both outcomes stand whatever
the answer to it would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.constitution.diff import Change
    from safejudge.golden.examples import Example
    from safejudge.types import JSON, Result, RuleVerdict

NO_RULE = "no rule"
"""What a rule comes to that is not there."""

_FILTERED = ("objective", "relevance")
"""Fields that decide whether a rule is asked at all."""
_SILENT = ("name", "description", "category", "severity", "text", "moderation", "renamed")
"""Fields that change no outcome."""


@dataclass(frozen=True, slots=True)
class Move:
    """One rule of an example that comes to something else."""

    example: Example
    rule: str
    """Its id, the new one if it was renamed."""
    was: str
    """What it came to by the old constitution."""
    now: str
    """What it comes to."""
    edits: tuple[Change, ...]
    """Those that may have moved it; none where the model answers otherwise."""
    alone: bool = False
    """Whether each of them is known to move it without the others (`single_edits`)."""

    @property
    def expected(self) -> str | None:
        """What it should come to, where somebody said."""
        violated = self.example.violated.get(self.rule)
        return None if violated is None else ("not_violated", "violated")[violated]

    def record(self) -> JSON:
        """Make JSON of it."""
        return {
            "rule": self.rule,
            "was": self.was,
            "now": self.now,
            "edits": [{"kind": e.kind, "old": e.old, "new": e.new} for e in self.edits],
            "each_alone": self.alone or len(self.edits) == 1,
        }


def moves(
    examples: Sequence[Example],
    before: Sequence[Result],
    after: Sequence[Result],
    edits: Sequence[Change],
) -> list[Move]:
    """List what moved, in the order of the examples.

    `before` and `after` are the results by the old constitution and by the new, of which `edits`
    are the changes. An example that could not be judged moves nowhere.
    """
    renamed = {e.old: e.rule for e in edits if e.kind == "renamed" and e.old is not None}
    return [
        move
        for example, old, new in zip(examples, before, after, strict=True)
        if not isinstance(old, Failure) and not isinstance(new, Failure)
        for move in _of_rules(
            example, {renamed.get(rule, rule): v for rule, v in old.rules.items()}, new.rules, edits
        )
    ]


def _of_rules(
    example: Example,
    old: dict[str, RuleVerdict],
    new: dict[str, RuleVerdict],
    edits: Sequence[Change],
) -> Iterator[Move]:
    for rule in dict.fromkeys((*new, *old)):
        pair = old.get(rule), new.get(rule)
        was, now = (NO_RULE if verdict is None else verdict.outcome for verdict in pair)
        if outcome_of(was) == outcome_of(now):
            continue
        of_rule = [e for e in edits if e.rule == rule and changes_outcomes(e)]
        yield Move(example, rule, was, now, tuple(_blamed(of_rule, *pair)))


def changes_outcomes(edit: Change) -> bool:
    """Whether an edit may change what a rule comes to."""
    return edit.kind not in _SILENT


def outcome_of(outcome: str) -> str:
    """What an outcome comes to for an image: a rule that is skipped, or not there, is none."""
    return "not_violated" if outcome in ("not_relevant", NO_RULE) else outcome


def _blamed(
    edits: Sequence[Change], old: RuleVerdict | None, new: RuleVerdict | None
) -> list[Change]:
    """Choose the edits that may have moved a rule."""
    if old is None or new is None:
        return [e for e in edits if e.kind in ("rule added", "rule removed")]
    if "not_relevant" in (old.outcome, new.outcome):
        return [e for e in edits if e.kind in _FILTERED] or [*edits]
    of_condition = [e for e in edits if e.kind not in _FILTERED]
    asked = {answer.statement for verdict in (old, new) for answer in verdict.preconditions}
    return [e for e in of_condition if _touches(e, asked)] or of_condition


def _touches(edit: Change, asked: Iterable[str]) -> bool:
    """Whether an edit concerns a statement that was asked, or how statements combine or are put."""
    if edit.kind in ("operator", "look_at", "contrast", "reworded"):
        return True
    words = f"{edit.old or ''}\n{edit.new or ''}"
    return any(statement in words for statement in asked)
