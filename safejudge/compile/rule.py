"""One rule's way through the compiler: score, rewrite, split, verify, repair.

Takes a rule as people wrote it; gives its compiled form, or says why there is none. A flow: it
asks a model for texts and never says which model. Every reply is forced into a small schema and
validated; one that cannot be used is asked for again with what is wrong with it, and in the end
reported. What the checks still find when the rounds are over is kept with the rule, for a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from safejudge.compile import prompts
from safejudge.compile.combine import CombineError, combine
from safejudge.compile.prose import read_back
from safejudge.constitution.lint.checks import RuleForm, repairable_faults
from safejudge.constitution.lint.english import looks_english
from safejudge.constitution.lint.fidelity import (
    covers,
    gained_exceptions,
    gained_things,
    losses,
    unmentioned,
)
from safejudge.constitution.lint.words import objective_flaws, plain
from safejudge.constitution.lock import LockedRule, Version, fingerprint
from safejudge.constitution.strict_yaml import first_hidden
from safejudge.method.reasoning import validated
from safejudge.text import one_line, quoted, spelled, storable
from safejudge.types import Message, Precondition, Reasoning

if TYPE_CHECKING:
    from safejudge.constitution.lock import Compiler
    from safejudge.flow import Flow
    from safejudge.types import Condition, DraftRule

GOAL = 9
"""Objectiveness at which a wording is left alone (CLUE sec. 3.1); 10 is out of reach."""
ATTEMPTS = 3
"""How often one reply is asked for."""
MAX_STATEMENTS = 12
"""Statements of one rule."""

_REPLY_TOKENS = 1200
_LIST_TOKENS = 600

R = TypeVar("R", bound=prompts.Reply)


class UnusableError(Exception):
    """A model gave no usable reply within the attempts; the message says what was wrong."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A condition, and what the checks found."""

    condition: Condition
    remarks: tuple[str, ...]
    """What its words and operators give away: certain."""
    doubts: tuple[str, ...]
    """What a second reading found: an opinion."""


def rule_flow(rule: DraftRule, rounds: int, compiler: Compiler) -> Flow[LockedRule | str]:
    """Compile one rule; a text says why that failed. At most `rounds` rewritings and repairs."""
    versions: tuple[Version, ...] = ()
    objective = rule.objective
    review: list[str] = []
    try:
        if objective is None:
            wordings = yield from _wordings(rule.text, rounds)
            best = max(wordings, key=_Wording.rank)
            versions, objective = (
                tuple(wording.version for wording in wordings),
                best.version.objective,
            )
            review = _shortcomings(rule.text, best)
        tree = yield from _tree(objective, rounds)
    except UnusableError as error:
        return str(error)
    return LockedRule(
        id=rule.id,
        text=rule.text,
        source=rule.source(),
        compiler=compiler,
        versions=versions,
        objective=objective,
        condition=tree.condition,
        covers=tuple(covers(objective, tree.condition)),
        review=(*review, *tree.remarks, *tree.doubts),
        written=fingerprint(objective, tree.condition),
    )


# --- objective words ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wording:
    """A wording with its score, and what it lost."""

    version: Version
    rewritten: bool
    faults: tuple[str, ...] = ()
    """What its words give away."""
    doubts: tuple[str, ...] = ()
    """What a second reader says."""

    def rank(self) -> tuple[bool, int, int, int]:
        """The text itself only if there is nothing else; then what lost least; then the score."""
        return self.rewritten, -len(self.faults), -len(self.doubts), self.version.score


def _wordings(text: str, rounds: int) -> Flow[list[_Wording]]:
    """Score the rule, rewrite it as what a picture shows, and go on while under `GOAL`.

    It is rewritten once in any case: a rule says what must not be, an objective what is seen.
    """
    wordings = [_Wording((yield from _scored(text)), rewritten=False)]
    while len(wordings) <= rounds:
        last = wordings[-1]
        remarks = [last.version.explanation, *last.faults, *last.doubts]
        turn = prompts.rewrite_turn(text, last.version.objective, remarks)
        reply = yield from _reply(prompts.REWRITE, [turn], prompts.Wording, _check_wording)
        wording = one_line(reply.objective)
        if any(earlier.version.objective == wording for earlier in wordings):
            break  # the model has nothing better
        version = yield from _scored(wording)
        faults = tuple(_faults(text, wording))
        question = prompts.faithful_turn(text, wording, unmentioned(text, wording))
        doubt = yield from _read_again(prompts.FAITHFUL, question, "the wording")
        wordings.append(_Wording(version, rewritten=True, faults=faults, doubts=doubt))
        if version.score >= GOAL and not faults and not doubt:
            break
    return wordings


def _scored(wording: str) -> Flow[Version]:
    turn = prompts.rule_turn(wording)
    reply = yield from _reply(
        prompts.SCORE, [turn], prompts.Score, lambda score: _unprintable(score.explanation)
    )
    explanation = one_line(reply.explanation)
    return Version(objective=wording, score=reply.score, explanation=explanation)


def _faults(text: str, wording: str) -> list[str]:
    """What a wording lost, and whether it says what is not there."""
    problems = [lost.problem for lost in losses(text, wording)]
    if _DENIAL.search(plain(wording)):
        problems.append("it says what must not be there, not what a picture shows that breaks it")
    return problems


_DENIAL = re.compile(r"\b(?:no|not|never|nobody|nothing|none|cannot|\w+n't)\b")


def _shortcomings(text: str, best: _Wording) -> list[str]:
    """What is left for a person of the wording that was kept."""
    problems = [*best.faults, *best.doubts]
    if not best.rewritten:
        problems.append("the model gave no wording but the rule itself")
    if best.version.score < GOAL:
        problems.append(f"objectiveness {best.version.score} of 10: {best.version.explanation}")
    problems += [
        f"the objective {flaw.problem}" for flaw in objective_flaws(best.version.objective)
    ]
    if not looks_english(text):
        problems.append(
            "what the wording lost of the rule was not checked by its words: not English"
        )
        return problems
    objective = best.version.objective
    problems += [gained.problem for gained in gained_exceptions(text, objective)]
    if things := gained_things(text, objective):
        named = ", ".join(map(quoted, things))
        problems.append(f"the objective speaks of {named}, which the rule does not name")
    return problems


def _check_wording(reply: prompts.Wording) -> str | None:
    if _REFUSAL.search(reply.objective):
        return "it speaks of the task, not of a picture"
    return _unprintable(reply.objective)


_REFUSAL = re.compile(
    r"\b(?:sorry|as an? (?:ai|assistant)|i (?:am|can|will|must|would)|i'm)\b", re.IGNORECASE
)


# --- the tree -----------------------------------------------------------------------------------


def _tree(objective: str, rounds: int) -> Flow[Tree]:
    """Split a wording, check what comes out, and have it repaired while something is found."""
    begin = prompts.rule_turn(objective) + "\n" + prompts.LIST
    first = Message("user", begin)
    (plan,) = yield (Reasoning(prompts.STATEMENTS, (), (first,), max_tokens=_LIST_TOKENS),)
    planned = (first, Message("assistant", _turn_text(plan)))
    turn = prompts.FIRST
    best: Tree | None = None
    tried: set[Condition] = set()
    for _ in range(rounds):
        try:
            condition = yield from _split([*planned, Message("user", turn)])
        except UnusableError:
            if best is None:
                raise
            break
        tree = yield from _checked(objective, condition)
        if best is None or _rank(tree) < _rank(best):
            best = tree
        if _rank(tree) == (0, 0) or condition in tried:
            break
        tried.add(condition)
        turn = prompts.repair_turn(read_back(condition), [*tree.remarks, *tree.doubts])
    if best is None:
        raise UnusableError("no round was allowed")
    return best


def _rank(tree: Tree) -> tuple[int, int]:
    return len(tree.remarks), len(tree.doubts)


def _split(turns: list[Message]) -> Flow[Condition]:
    """Ask for one statement after the other, and then for how they combine."""
    statements: list[Precondition] = []

    def check(reply: prompts.Statement) -> str | None:
        words = _statement(reply).statement
        if words in [earlier.statement for earlier in statements]:
            return "the same statement came before"
        return _unprintable(words) or _unprintable(f"x{reply.look_at}")

    unfinished = True
    while unfinished and len(statements) < MAX_STATEMENTS:
        if statements:
            turns.append(Message("user", prompts.NEXT.format(number=len(statements) + 1)))
        reply = yield from _conversed(prompts.STATEMENTS, turns, prompts.Statement, check)
        statements.append(_statement(reply))
        unfinished = reply.more
    turns.append(Message("user", prompts.LOGIC.format(count=len(statements))))

    def check_logic(reply: prompts.Logic) -> str | None:
        try:
            combine(reply.combined, statements)
        except CombineError as error:
            return str(error)
        return None

    logic = yield from _conversed(prompts.STATEMENTS, turns, prompts.Logic, check_logic)
    return combine(logic.combined, statements)


def _statement(reply: prompts.Statement) -> Precondition:
    words = one_line(reply.statement).rstrip(".")
    if words[1:2].islower():
        words = words[0].lower() + words[1:]
    return Precondition(statement=words, look_at=one_line(reply.look_at) or None)


def _checked(objective: str, condition: Condition) -> Flow[Tree]:
    """Look at words and operators; where these are right, have the tree read by a second reader."""
    form = RuleForm(objective, condition, "words")
    remarks = [fault.sentence(120) for fault in repairable_faults(form)]
    doubts: tuple[str, ...] = ()
    if not remarks:
        turn = prompts.compare_turn(objective, read_back(condition))
        doubts = yield from _read_again(prompts.COMPARE, turn, "the tree")
    return Tree(condition, tuple(remarks), doubts)


def _read_again(instruction: str, turn: str, subject: str) -> Flow[tuple[str, ...]]:
    """Ask a second reader, who knows nothing of how it came about; what he finds, or nothing."""
    try:
        reply = yield from _reply(instruction, [turn], prompts.Comparison, _check_reading)
    except UnusableError as error:
        return (f"there was no second reading of {subject}: {error}",)
    if reply.verdict == "same":
        return ()
    return (f"second reading: {subject} {reply.verdict} {one_line(reply.difference)}",)


def _check_reading(reply: prompts.Comparison) -> str | None:
    if reply.verdict != "same" and one_line(reply.difference).lower().strip(".") == "nothing":
        return f"`{reply.verdict}` with no difference named"
    return _unprintable(reply.difference)


# --- asking -------------------------------------------------------------------------------------


def _reply(
    instruction: str,
    turns: list[str],
    schema: type[R],
    check: Callable[[R], str | None] = lambda _: None,
) -> Flow[R]:
    """Ask once, without a conversation before it."""
    return (yield from _conversed(instruction, [Message("user", t) for t in turns], schema, check))


def _conversed(
    instruction: str,
    turns: list[Message],
    schema: type[R],
    check: Callable[[R], str | None] = lambda _: None,
) -> Flow[R]:
    """Ask until a reply can be used, saying what is wrong; it is added to the turns.

    Raises `UnusableError`.
    """
    tries = list(turns)
    problem: str | None = None
    for _ in range(ATTEMPTS):
        (raw,) = yield (Reasoning(instruction, (), tuple(tries), schema, max_tokens=_REPLY_TOKENS),)
        reply = validated(raw, schema)
        problem = reply if isinstance(reply, str) else check(reply)
        if not isinstance(reply, str) and problem is None:
            turns.append(Message("assistant", _turn_text(raw)))
            return reply
        again = prompts.again_turn(spelled(storable(str(problem))))
        tries += [Message("assistant", _turn_text(raw)), Message("user", again)]
    raise UnusableError(f"no usable {schema.__name__.lower()}: {spelled(storable(str(problem)))}")


def _turn_text(reply: object) -> str:
    text = storable(reply).strip() if isinstance(reply, str) else ""
    return text or "(no reply)"


def _unprintable(text: str) -> str | None:
    if first_hidden(text) is not None:
        return "it has characters that nobody sees"
    return None if one_line(text) else "it is empty"
