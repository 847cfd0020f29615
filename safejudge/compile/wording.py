"""A rule as people wrote it -> wordings that a picture settles: scored, rewritten, compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.compile import prompts
from safejudge.compile.asking import read_again, single_reply, unprintable
from safejudge.constitution.lint.english import looks_english
from safejudge.constitution.lint.rewording import (
    gained_counts,
    gained_exceptions,
    gained_things,
    loses_rule,
    lost_words,
    rewording_faults,
    unmentioned,
)
from safejudge.constitution.lint.words import objective_flaws
from safejudge.constitution.lock import Version
from safejudge.text import counted, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.compile.asking import Tell
    from safejudge.flow import Flow

GOAL = 9
"""Objectiveness at which a wording is left alone (CLUE sec. 3.1); 10 is out of reach."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A wording with its score, and what it lost."""

    version: Version
    rewritten: bool
    faults: tuple[str, ...] = ()
    """What its words give away."""
    doubts: tuple[str, ...] = ()
    """What a second reader says."""
    loses_rule: bool = False
    """Whether it is of something else than the rule, as far as words tell."""

    def rank(self) -> tuple[bool, bool, int, int, int]:
        """The text itself only if no other kept the rule; then what lost least; then the score."""
        kept = not self.loses_rule
        faults, doubts = -len(self.faults), -len(self.doubts)
        return kept, self.rewritten, faults, doubts, self.version.score


def wordings_flow(text: str, rounds: int, tell: Tell) -> Flow[list[Wording]]:
    """Score the rule, rewrite it as what a picture shows, and go on while under `GOAL`.

    It is rewritten once in any case: a rule says what must not be, an objective what is seen.
    """
    wordings = [Wording((yield from _scored(text)), rewritten=False)]
    tell(f"as it stands, score {wordings[0].version.score}")
    while len(wordings) <= rounds:
        last = wordings[-1]
        remarks = [last.version.explanation, *last.faults, *last.doubts]
        turn = prompts.rewrite_turn(text, last.version.objective, remarks)
        reply = yield from single_reply(prompts.REWRITE, [turn], prompts.Wording, _check_wording)
        wording = one_line(reply.objective)
        if any(earlier.version.objective == wording for earlier in wordings):
            break  # the model has nothing better
        version = yield from _scored(wording)
        faults = tuple(fault.problem for fault in rewording_faults(text, wording))
        question = prompts.faithful_turn(text, wording, unmentioned(text, wording))
        doubt = yield from read_again(prompts.FAITHFUL, question, "the wording")
        lost = loses_rule(text, wording)
        wordings.append(Wording(version, True, faults, doubt, lost))
        found = counted(len(faults) + len(doubt), "fault")
        tell(f"wording {len(wordings) - 1} of {rounds}, score {version.score}, {found}")
        if version.score >= GOAL and not faults and not doubt:
            break
    return wordings


def _scored(wording: str) -> Flow[Version]:
    turn = prompts.rule_turn(wording)
    reply = yield from single_reply(
        prompts.SCORE, [turn], prompts.Score, lambda score: unprintable(score.explanation)
    )
    explanation = one_line(reply.explanation)
    return Version(objective=wording, score=reply.score, explanation=explanation)


def _refused(wordings: Sequence[Wording]) -> list[str]:
    """Why the rule's own text had to stay: what every rewriting lost."""
    rewritings = [wording for wording in wordings if wording.rewritten]
    if not rewritings:
        return ["the model gave no wording but the rule itself"]
    best = max(rewritings, key=Wording.rank)
    wording = quoted(best.version.objective, 200)
    return [
        f"the rule stands as it is, for no rewriting kept it, such as {wording}: {fault}"
        for fault in best.faults
    ]


def shortcomings(text: str, best: Wording, wordings: Sequence[Wording]) -> list[str]:
    """What is left for a person of the wording that was kept."""
    problems = [*best.faults, *best.doubts]
    if not best.rewritten:
        problems += _refused(wordings)
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
    if words := [] if best.loses_rule else lost_words(text, objective):
        named = ", ".join(map(quoted, words))
        problems.append(f"the rule speaks of {named}, which the objective does not name")
    if counts := gained_counts(text, objective):
        named = ", ".join(map(quoted, counts))
        problems.append(f"the objective counts to {named}, and the rule does not count")
    return problems


def _check_wording(reply: prompts.Wording) -> str | None:
    if _REFUSAL.search(reply.objective):
        return "it speaks of the task, not of a picture"
    return unprintable(reply.objective)


_REFUSAL = re.compile(
    r"\b(?:sorry|as an? (?:ai|assistant)|i (?:am|can|will|must|would)|i'm)\b", re.IGNORECASE
)
