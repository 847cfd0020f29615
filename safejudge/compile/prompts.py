"""What the compiler says to a model, and the forms of its replies.

The steps are those of the paper (CLUE, arXiv 2501.00192, sec. 3.1, 3.3, A.1 to A.3: a score of
objectiveness with its explanation, a rewriting, a list of preconditions with their central
objects), in our own words and with operators that the paper's flat list does not have. Every
string of a reply is bounded, and replies are small, so that any engine can force them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

# --- instructions -------------------------------------------------------------------------------

SCORE = """\
Judge how objective a safety rule for pictures is. Nothing else about it matters: not whether it is
strict, sensible or well put. 10 means that careful people who look at the same picture always
agree whether it breaks the rule. 1 means that taste, intent, or knowledge that no picture shows
decides. Words of degree (a lot, too close, revealing), of judgement (dangerous, suggestive,
shocking) and of purpose (in order to, as a threat) cost points; things, body parts, postures,
numbers and positions that can be seen do not. Explain in a sentence, then give a number from 1 to
10."""

REWRITE = """\
Rewrite a safety rule for pictures so that the picture alone settles it. Say what can be seen in a
picture that breaks the rule.
- Replace degree, judgement and purpose by things, body parts, postures, numbers and positions.
- Keep every case that the rule forbids, every number, and every exception. Add none.
- Write one sentence of short clauses. Each clause is complete: it has its own subject and verb,
  and is true or false of a picture. Join clauses by "and", "or" and "unless" only; put exceptions
  last, after "unless".
- Say what is there, never what is not.
Example. Rule: No scary dogs near kids, except on a lead.
Rewritten: A dog is within 2 metres of a child, unless a dog is on a lead."""

STATEMENTS = """\
Split a safety rule for pictures into statements, each of which a picture shows or does not show,
and say how they combine.
- Use the words of the rule. Every word that says something goes into a statement: things, numbers,
  positions, who does what with what. A word that belongs to two statements goes into both.
- A statement is one positive sentence. "and" and "or" between facts are not part of a statement.
- An exception ("unless", "except") is a statement of its own; "not" takes it back when the
  statements are combined.
- For each statement name the central object to look at in the picture, in one to three words: all
  objects, joined by "and", where it is about how several relate; the part, where it is about a
  part. Leave it empty where there is no object, as in "the scene is outdoors".
- Combine the numbers of the statements with "and", "or", "not" and brackets. Use each number.
Example. Rule: A child is on a roof or a child is on a wall, unless a railing is around the child.
1. a child is on a roof (child and roof)
2. a child is on a wall (child and wall)
3. a railing is around the child (railing)
Combined: (1 or 2) and not 3
Example. Rule: At least two dogs are visible and a dog shows its teeth.
1. at least two dogs are visible (dog)
2. a dog shows its teeth (teeth)
Combined: 1 and 2"""

FAITHFUL = """\
A safety rule for pictures and a more objective wording of it are given. Say whether the wording
still forbids what the rule forbids. That it is more exact, names what can be seen, or leaves out
words of taste and purpose, is no difference. "same": it does. "misses": it leaves out a case, a
number or an exception that the rule names. "adds": it forbids something that the rule does not
speak of. Name the difference in a few words, or write "nothing"."""

COMPARE = """\
Two wordings of a safety rule for pictures are given. Say whether there could be a picture that
breaks one and not the other. "same": there could be none. "misses": the second wording leaves out
a case, a condition, a number, a position or an exception that the first has. "adds": the second
has one that the first has not. Different words for the same thing are the same. Name the
difference in a few words, or write "nothing"."""

EXAMPLE = "At least two dogs are visible and a dog shows its teeth."
"""A rule whose two statements stand in `STATEMENTS`."""


# --- turns --------------------------------------------------------------------------------------

LIST = "Write the numbered statements, and how they combine."
FIRST = "Now statement 1 as JSON; `more` says whether another statement follows it."
NEXT = "Statement {number} as JSON."
LOGIC = "How do the {count} statements combine? Use their numbers, and, or, not, and brackets."


def rule_turn(text: str) -> str:
    """A rule to be scored, rewritten or split."""
    return f"Rule: {text}"


def rewrite_turn(text: str, wording: str, remarks: Sequence[str]) -> str:
    """The rule as people wrote it, its last wording, and what is wrong with that."""
    last = "" if wording == text else f"\nLast wording: {wording}"
    return f"Rule: {text}{last}\nWhat is wrong with it:\n{_listed(remarks)}\nRewrite the rule."


def repair_turn(prose: str, remarks: Sequence[str]) -> str:
    """What the statements say together, and what is wrong with that."""
    return (
        f"Your statements say together: {prose}\nWhat is wrong with them:\n{_listed(remarks)}\n"
        "Give all statements again, corrected. Statement 1 as JSON."
    )


def compare_turn(objective: str, prose: str) -> str:
    """Two wordings to be compared."""
    return f"First wording: {objective}\nSecond wording: {prose}"


def faithful_turn(text: str, wording: str, unmentioned: Sequence[str]) -> str:
    """A rule and its wording, and the parts of the rule of which the wording has no word."""
    look = f"\nDoes the wording cover: {'; '.join(unmentioned)}?" if unmentioned else ""
    return f"Rule: {text}\nWording: {wording}{look}"


def again_turn(problem: str) -> str:
    """What is wrong with a reply."""
    return f"That reply cannot be used: {problem}. Give it again."


def _listed(remarks: Sequence[str]) -> str:
    return "\n".join(f"- {remark}" for remark in remarks)


# --- replies ------------------------------------------------------------------------------------


class Reply(BaseModel):
    """Base of what a model is made to reply."""

    model_config = ConfigDict(extra="forbid")


class Score(Reply):
    """How objective a wording is."""

    explanation: Annotated[str, Field(min_length=1, max_length=200)]
    score: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


class Wording(Reply):
    """A rule in other words."""

    objective: Annotated[str, Field(min_length=1, max_length=500)]


class Statement(Reply):
    """One statement; `more` if another follows."""

    statement: Annotated[str, Field(min_length=1, max_length=160)]
    look_at: Annotated[str, Field(max_length=40)]
    more: bool


class Logic(Reply):
    """How the statements combine: "(1 or 2) and not 3"."""

    combined: Annotated[str, Field(min_length=1, max_length=100)]


class Comparison(Reply):
    """Whether two wordings say the same."""

    difference: Annotated[str, Field(min_length=1, max_length=120)]
    verdict: Literal["same", "misses", "adds"]


def digest() -> str:
    """Sha256 (hex) over everything above that reaches a model."""
    instructions = [SCORE, REWRITE, FAITHFUL, STATEMENTS, COMPARE, LIST, FIRST, NEXT, LOGIC]
    turns = [rule_turn("{}"), rewrite_turn("{}", "", ["{}"]), repair_turn("{}", ["{}"])]
    turns += [compare_turn("{}", "{}"), faithful_turn("{}", "{}", ["{}"]), again_turn("{}")]
    replies = (Score, Wording, Statement, Logic, Comparison)
    forms = [repr(sorted(form.model_json_schema().items())) for form in replies]
    return hashlib.sha256("\x00".join([*instructions, *turns, *forms]).encode()).hexdigest()
