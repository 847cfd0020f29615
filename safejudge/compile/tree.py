"""A wording -> the tree of its statements: listed, put into form, combined, verified, repaired."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.compile import prompts
from safejudge.compile.asking import (
    UnusableError,
    conversed,
    read_again,
    turn_text,
    unprintable,
)
from safejudge.compile.combine import CombineError, combine
from safejudge.compile.prose import read_back
from safejudge.constitution.lint.checks import RuleForm, repairable_faults
from safejudge.constitution.lint.rewording import tree_faults
from safejudge.text import counted, one_line
from safejudge.types import Message, Precondition, Reasoning, leaves

if TYPE_CHECKING:
    from safejudge.compile.asking import Tell
    from safejudge.flow import Flow
    from safejudge.types import Condition

MAX_STATEMENTS = 12
"""Statements of one rule."""

_LIST_TOKENS = 60, 600
"""Of the free list of statements: so many, and one for each character of the rule; and the most.
The lists of the shipped rules take fewer, and a weak model never ends its own.
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A condition, and what the checks found."""

    condition: Condition
    remarks: tuple[str, ...]
    """What its words and operators give away: certain."""
    doubts: tuple[str, ...]
    """What a second reading found: an opinion."""


Source = Literal["person", "model", "text"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be split into statements."""

    text: str
    """The rule as people wrote it."""
    objective: str
    """The words that are split."""
    source: Source
    """Whose words they are: an objective that a person wrote, a wording of the model, or, where
    no wording kept the rule, its text."""

    def faults(self, condition: Condition) -> list[str]:
        """What a condition's words and operators give away."""
        # A rule says what must not be: its text is not repeated word for word by what breaks it.
        fidelity: Literal["words", "logic"] = "logic" if self.source == "text" else "words"
        form = RuleForm(self.objective, condition, fidelity)
        problems = [fault.sentence(120) for fault in repairable_faults(form)]
        if self.source != "person":
            lost = tree_faults(self.text, self.objective, condition)
            problems += [difference.problem for difference in lost]
        return problems


def tree_flow(subject: Subject, rounds: int, tell: Tell) -> Flow[Tree]:
    """Split a wording, check what comes out, and have it repaired while something is found."""
    planned = yield from planned_flow(subject.objective)
    turn = prompts.FIRST
    best: Tree | None = None
    tried: set[Condition] = set()
    for number in range(1, rounds + 1):
        try:
            condition = yield from split_flow([*planned, Message("user", turn)])
        except UnusableError:
            if best is None:
                raise
            break
        tree = yield from _checked(subject, condition)
        listed, found = len(list(leaves(condition))), sum(_rank(tree))
        said = f"{counted(listed, 'statement')}, {counted(found, 'fault')}"
        tell(f"condition {number} of {rounds}, {said}")
        if best is None or _rank(tree) < _rank(best):
            best = tree
        if _rank(tree) == (0, 0) or condition in tried:
            break
        tried.add(condition)
        turn = prompts.repair_turn(read_back(condition), [*tree.remarks, *tree.doubts])
    if best is None:
        raise UnusableError("no round was allowed")
    return best


def planned_flow(objective: str) -> Flow[tuple[Message, Message]]:
    """Have all statements listed as free text, which what follows puts into form."""
    begin = prompts.rule_turn(objective) + "\n" + prompts.LIST
    first = Message("user", begin)
    least, most = _LIST_TOKENS
    limit = min(least + len(objective), most)
    (plan,) = yield (Reasoning(prompts.STATEMENTS, (), (first,), max_tokens=limit),)
    return first, Message("assistant", turn_text(_unrepeated(plan)))


def _unrepeated(reply: object) -> str:
    """Cut a list at its first repeated line: from there on a weak model only goes round."""
    lines: list[str] = []
    seen: set[str] = set()
    for line in (reply if isinstance(reply, str) else "").splitlines():
        words = one_line(_NUMBERED.sub("", line)).casefold().rstrip(".,;: ")
        if words in seen:
            break
        if words:
            seen.add(words)
        lines.append(line)
    return "\n".join(lines)


_NUMBERED = re.compile(r"^[\s\d.):*-]+")
"""What stands before a statement of a list."""


def _rank(tree: Tree) -> tuple[int, int]:
    return len(tree.remarks), len(tree.doubts)


def split_flow(turns: list[Message]) -> Flow[Condition]:
    """Ask for one statement after the other, and then for how they combine."""
    statements: list[Precondition] = []

    def check(reply: prompts.Statement) -> str | None:
        words = _statement(reply).statement
        if words in [earlier.statement for earlier in statements]:
            return "the same statement came before"
        return unprintable(words) or unprintable(f"x{reply.look_at}")

    unfinished = True
    while unfinished and len(statements) < MAX_STATEMENTS:
        if statements:
            turns.append(Message("user", prompts.NEXT.format(number=len(statements) + 1)))
        reply = yield from conversed(prompts.STATEMENTS, turns, prompts.Statement, check)
        statements.append(_statement(reply))
        unfinished = reply.more
    turns.append(Message("user", prompts.LOGIC.format(count=len(statements))))

    def check_logic(reply: prompts.Logic) -> str | None:
        try:
            combine(reply.combined, statements)
        except CombineError as error:
            return str(error)
        return None

    logic = yield from conversed(prompts.STATEMENTS, turns, prompts.Logic, check_logic)
    return combine(logic.combined, statements)


def _statement(reply: prompts.Statement) -> Precondition:
    words = one_line(reply.statement).rstrip(".")
    if words[1:2].islower():
        words = words[0].lower() + words[1:]
    return Precondition(statement=words, look_at=one_line(reply.look_at) or None)


def _checked(subject: Subject, condition: Condition) -> Flow[Tree]:
    """Look at words and operators; where these are right, have the tree read by a second reader."""
    remarks = subject.faults(condition)
    doubts: tuple[str, ...] = ()
    if not remarks:
        turn = prompts.compare_turn(subject.objective, read_back(condition))
        doubts = yield from read_again(prompts.COMPARE, turn, "the tree")
    return Tree(condition, tuple(remarks), doubts)
