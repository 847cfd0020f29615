"""What the method is compared with: one question about everything, or no debiasing at all.

The paper's two baselines put the whole constitution into one question, answered with a word or
after reasoning (sec. 4.2). The other two it lacks: each rule as one question and each precondition
as one, both cut at 1/2, are a constitution or a policy of their own and run through the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge import prompts
from safejudge.flow import Flow, ask
from safejudge.method import reasoning
from safejudge.policy import Policy
from safejudge.types import Constitution, Message, Outcome, Precondition, Probe, Reasoning

if TYPE_CHECKING:
    from safejudge.types import Picture


def half() -> Policy:
    """Yes above 1/2, no below: no prior, no regions, no reasoning, no filter."""
    return Policy(
        name="half", prior=False, reject_factor=0.0, accept_factor=0.0, open_means="undecided",
        crop=False, region=False, relevance=False,
    )  # fmt: skip


def whole_rules(constitution: Constitution) -> Constitution:
    """Put each rule as one statement, its objective wording."""
    rules = (
        rule.model_copy(update={"condition": Precondition(statement=rule.objective)})
        for rule in constitution.rules
    )
    return constitution.model_copy(update={"rules": tuple(rules)})


def one_word_flow(constitution: Constitution, picture: Picture) -> Flow[Outcome]:
    """Ask once whether any rule is violated; yes above 1/2."""
    question = prompts.rules_question([rule.objective for rule in constitution.rules])
    (answer,) = yield from ask(Probe(prompts.RULES, (picture,), question))
    if answer.score is None or answer.score == 0.5:
        return Outcome.UNDECIDED
    return Outcome.YES if answer.score > 0.5 else Outcome.NO


def reasoned_flow(constitution: Constitution, picture: Picture) -> Flow[Outcome]:
    """Reason about all rules at once, then read the rating."""
    text = prompts.rules_question([rule.objective for rule in constitution.rules])
    question = Message("user", text)
    (thought,) = yield (Reasoning(prompts.REASON_RULES, (picture,), (question,)),)
    turns = (question, Message("assistant", str(thought)), Message("user", prompts.SUMMARISE))
    (reply,) = yield (
        Reasoning(prompts.REASON_RULES, (picture,), turns, schema=prompts.ReasonedAnswer),
    )
    return reasoning.outcome_of(reasoning.read_reply(str(thought), reply), Policy())
