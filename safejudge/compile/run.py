"""The compiler: what people write -> what a model can check, in a lock that people review.

Takes a constitution file and an engine that reads text; rules without a condition of their own
are compiled (`compile.rule`), and the lock beside the file is written, a few rules at a time, so
that a run that was killed goes on where it was. Entries that are up to date are left alone, and
so is what a person changed in them. At temperature 0 the same model gives the same bytes.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.compile import ROUNDS
from safejudge.compile import prompts as compile_prompts
from safejudge.compile.disk import open_lock
from safejudge.compile.rule import rule_flow
from safejudge.compile.trial import trial_flow
from safejudge.constitution.lint.fidelity import covers, differences
from safejudge.constitution.lint.rewording import edit_faults
from safejudge.constitution.lock import (
    Compiler,
    LockedRule,
    Superseded,
    fingerprint,
)
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.flow import drive, gather
from safejudge.text import counted, quoted
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, Reasoning, leaves

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.flow import Answer, Answerer, Flow, Request
    from safejudge.types import Draft, DraftRule

WINDOW = 8
"""Rules compiled together; the lock is written after each window."""


State = Literal["kept", "compiled", "failed"]


class Step(NamedTuple):
    """One step of one rule, for whoever waits."""

    rule: str
    """The rule's id."""
    text: str
    """What was done: "wording 2 of 4, score 1, 0 faults"."""
    state: State | None = None
    """What became of the rule, at its last step."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of one rule without a condition."""

    id: str
    """The rule."""
    state: State
    """`kept`: its entry was up to date; `failed`: there is no new entry."""
    entry: LockedRule | None
    """Its entry in the lock."""
    problem: str | None = None
    """Why it failed."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is left for a person to look at: what stayed open, and what an edit contradicts."""
        if self.entry is None or self.state == "failed":
            return (self.problem or "",)
        entry = self.entry
        if not entry.edited:
            return entry.review
        found = edit_faults(entry.text, entry.objective, entry.condition)
        return (*entry.review, *(f"edited: {difference.problem}" for difference in found))

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to look at."""
        return not self.remarks


def compile_constitution(  # noqa: PLR0913 - what is compiled, by whom, and how
    source: str | os.PathLike[str],
    engine: Engine,
    *,
    out: str | os.PathLike[str] | None = None,
    rounds: int = ROUNDS,
    self_test: bool = True,
    tell: Callable[[Step], None] = lambda _: None,
) -> list[Compiled]:
    """Compile the rules of a file that have no condition, and write the lock.

    `out` is where the lock goes (default: beside the file), `rounds` the most rewritings of a
    wording and repairs of a tree; `tell` is called at every step of every rule. Before the first
    rule the model is put to the test with the example of its own instructions (`self_test`).
    Returns one result per rule without a condition, in the file's order.

    Raises `ConstitutionError`, `OutputError`, `EngineSetupError` for a model that fails its test,
    and `EngineCallError` where the engine fails: what was compiled by then is in the lock.
    """
    lock = open_lock(source, out)
    todo = [rule for rule in lock.draft.rules if rule.condition is None]
    stale = [rule for rule in todo if not lock.fresh(rule)]
    results = {rule.id: Compiled(rule.id, "kept", None) for rule in todo if rule not in stale}
    for name in results:
        tell(Step(name, "kept", "kept"))
    if stale and self_test:
        _test(engine)
    compiler = _compiler(engine)
    for start in range(0, len(stale), WINDOW):
        rules = stale[start : start + WINDOW]
        flows = [_told(rule, rounds, compiler, tell) for rule in rules]
        compiled = zip(rules, drive(gather(flows), _answerer(engine)), strict=True)
        news = [_result(rule, outcome, lock.entries.get(rule.id)) for rule, outcome in compiled]
        lock.entries |= {new.id: new.entry for new in news if new.entry is not None}
        lock.write()
        results |= {new.id: new for new in news}
    fresh = {name for name, result in results.items() if result.state == "compiled"}
    lock.entries = _unified(lock.draft, lock.entries, fresh)
    lock.write()
    return [
        Compiled(r.id, results[r.id].state, lock.entries.get(r.id), results[r.id].problem)
        for r in todo
    ]


def _compiler(engine: Engine) -> Compiler:
    card = engine.card
    return Compiler(
        model=card.uri,
        revision=card.revision or None,
        prompts=compile_prompts.digest(),
        safejudge=metadata.version("safejudge"),
    )


def _test(engine: Engine) -> None:
    """Refuse a model that cannot even split the example of its own instructions."""
    problem = drive(trial_flow(), _answerer(engine))
    if problem is not None:
        raise EngineSetupError(
            f"{engine.card.uri}: this model is too small to compile rules. The example of its own "
            f"instructions, {quoted(compile_prompts.EXAMPLE, 80)}, should come back as two "
            f"statements, and does not: {problem}. Name a larger model, write the conditions by "
            "hand, or go on all the same with --no-self-test (`self_test=False`)"
        )


def _answerer(engine: Engine) -> Answerer:
    def answer(requests: Sequence[Request]) -> Sequence[Answer]:
        texts = [request for request in requests if isinstance(request, Reasoning)]
        replies = engine.reason(texts)
        if len(replies) != len(requests):
            raise EngineCallError(
                f"{engine.card.uri} gave {len(replies)} replies to {len(requests)} requests"
            )
        return replies

    return answer


def _told(
    rule: DraftRule, rounds: int, compiler: Compiler, tell: Callable[[Step], None]
) -> Flow[LockedRule | str]:
    """Compile one rule, and tell its steps and what became of it."""
    outcome = yield from rule_flow(rule, rounds, compiler, lambda text: tell(Step(rule.id, text)))
    if isinstance(outcome, str):
        tell(Step(rule.id, f"failed: {outcome}", "failed"))
    else:
        open_count = len(outcome.review)
        left = f"{counted(open_count, 'remark')} for review" if open_count else "nothing left open"
        tell(Step(rule.id, f"compiled, {left}", "compiled"))
    return outcome


def _result(rule: DraftRule, outcome: LockedRule | str, old: LockedRule | None) -> Compiled:
    if isinstance(outcome, str):
        return Compiled(rule.id, "failed", old, outcome)
    if old is not None and (old.edited or old.superseded):
        left = Superseded(objective=old.objective, condition=old.condition)
        changed = {
            "superseded": left if old.edited else old.superseded,
            "review": (*outcome.review, "a person had changed an earlier form: see `superseded`"),
        }
        outcome = outcome.model_copy(update=changed)
    return Compiled(rule.id, "compiled", outcome)


# --- equal statements -----------------------------------------------------------------------------


def _unified(
    draft: Draft, entries: Mapping[str, LockedRule], fresh: Collection[str]
) -> dict[str, LockedRule]:
    """Give statements that differ in articles or in how they say "visible" one wording.

    Then they are one question. Only rules in `fresh` are reworded: as rules that a person wrote or
    looked at have it, else as the first of them. No tree loses a statement by it, and none says
    anything else than before.
    """
    by_people = [rule.condition for rule in draft.rules if rule.condition is not None]
    listed = [entries[rule.id] for rule in draft.rules if rule.id in entries]
    unchanged = [entry.condition for entry in listed if entry.id not in fresh]
    new = [entry.condition for entry in listed if entry.id in fresh]
    first: dict[str, str] = {}
    for leaf in (
        leaf for condition in (*by_people, *unchanged, *new) for leaf in leaves(condition)
    ):
        first.setdefault(_wording(leaf.statement), leaf.statement)
    unified = dict(entries)
    for entry in (entry for entry in listed if entry.id in fresh):
        condition = _replaced(entry.condition, first)
        before, after = (len(set(leaves(tree))) for tree in (entry.condition, condition))
        if before == after and len(differences(entry.objective, condition)) <= len(
            differences(entry.objective, entry.condition)
        ):
            changed = {
                "condition": condition,
                "covers": tuple(covers(entry.objective, condition)),
                "written": fingerprint(entry.objective, condition),
            }
            unified[entry.id] = entry.model_copy(update=changed)
    return unified


def _wording(statement: str) -> str:
    """What is left of a statement without articles and ways to say "visible"."""
    text = _VISIBLE.sub(r"\1 visible", unicodedata.normalize("NFC", statement))
    return " ".join(_ARTICLES.sub(" ", f" {text}").split())


_ARTICLES = re.compile(r"(?<=\s)(?:a|an|the)(?=\s+[a-z])|^\s(?:A|An|The)(?=\s)")
"""Before a small letter only: in "the letter A" and "a Nazi flag" they are no filling."""
_VISIBLE = re.compile(
    r"\b(is|are) (?:seen|shown|present|depicted|to be seen|in the (?:picture|image|photo))\b"
)


def _replaced(condition: Condition, first: Mapping[str, str]) -> Condition:
    match condition:
        case Precondition(statement=statement):
            return condition.model_copy(update={"statement": first[_wording(statement)]})
        case AllOf(all=parts):
            return AllOf(all=tuple(_replaced(part, first) for part in parts))
        case AnyOf(any=parts):
            return AnyOf(any=tuple(_replaced(part, first) for part in parts))
        case NoneOf(none=parts):
            return NoneOf(none=tuple(_replaced(part, first) for part in parts))
