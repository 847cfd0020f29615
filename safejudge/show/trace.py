"""One judgment as a person reads it: the rules, their trees, the numbers, the test that decided.

Takes a judgment with the rules and the policy it was made by; gives a renderable for a `rich`
console. What others wrote passes `clean`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from safejudge.method import logic
from safejudge.method.verdict import asked_condition
from safejudge.show import wording
from safejudge.show.terminal import STYLES, caption_words
from safejudge.text import clean, counted, one_line
from safejudge.types import (
    AllOf,
    AnyOf,
    Condition,
    Judgment,
    NoneOf,
    Outcome,
    Precondition,
    PreconditionVerdict,
    Rule,
    RuleVerdict,
    operator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from safejudge.policy import Policy

    Verdicts = Mapping[Precondition, PreconditionVerdict]

_SIGN_STYLES = {
    Outcome.YES: "bold cyan",
    Outcome.NO: "bold",
    Outcome.UNDECIDED: "bold yellow",
    None: "dim",
}


def explanation(judgment: Judgment, rules: Iterable[Rule], policy: Policy) -> RenderableType:
    """Show a judgment as a person reads it: these rules, the violated ones first, with the trace.

    Each rule's tree is drawn with ✓ (holds), ✗ (does not), ? (undecided) or · (not asked, because
    the rule was settled without it).
    """
    verdicts = judgment.rules
    rules = list(rules)
    parts: list[RenderableType] = [_heading(judgment, policy), Text()]
    for outcome in ("violated", "undecided", "not_violated", "not_relevant"):
        group = [rule for rule in rules if verdicts[rule.id].outcome == outcome]
        short = outcome in ("not_violated", "not_relevant") and len(rules) > 1
        for rule in group:
            parts.append(_title(rule, verdicts[rule.id]))
            if not short:
                parts += [_rule(rule, verdicts[rule.id], policy), Text()]
    return Group(*parts)


def _heading(judgment: Judgment, policy: Policy) -> Text:
    provenance, usage = judgment.provenance, judgment.usage
    head = Text.assemble(
        (clean(judgment.image), "bold"),
        ": ",
        (judgment.label, STYLES[judgment.label]),
        ", no rule is relevant\n" if judgment.score is None else f", score {judgment.score:.2f}\n",
    )
    head.append(
        f"engine {clean(provenance.model)}, policy {clean(policy.name)}, constitution "
        f"{provenance.constitution[:12]}, image {judgment.id[:12]}\n"
        f"{counted(usage.probes, 'question')}, "
        f"{counted(usage.reasoning_calls, 'reasoning call')}; "
        + "  ".join(f"{sign} {meaning}" for sign, meaning in wording.SIGNS_MEAN.items()),
        "dim",
    )
    if judgment.frames is not None:
        head.append(f"\nframes: {judgment.frames}")
    if words := caption_words(judgment):
        head.append(f"\n{words}", "yellow")
    return head


def _title(rule: Rule, verdict: RuleVerdict) -> Text:
    title = Text.assemble(
        (verdict.outcome.replace("_", " "), STYLES[verdict.outcome]), " ", (clean(rule.id), "bold")
    )
    score = wording.score_in_words(verdict)
    if score is not None:
        title.append(f"  score {score}")
    for fact in wording.rule_facts(rule, verdict):
        title.append(f"  {clean(fact)}", "dim")
    return title


def _rule(rule: Rule, verdict: RuleVerdict, policy: Policy) -> RenderableType:
    lines = Text(clean(rule.text))
    if rule.objective != rule.text:
        lines.append(f"\nThat is: {clean(rule.objective)}")
    if not policy.tree:
        for loss in logic.flatten(rule.condition)[1]:
            lines.append(f"\n{clean(loss)}", "yellow")
    parts: list[RenderableType] = [lines]
    if verdict.outcome == "not_relevant":
        lines.append(f"\n{wording.not_relevant(verdict)}")
    if verdict.preconditions:
        verdicts = wording.by_precondition(verdict)
        parts.append(_tree(asked_condition(rule, policy), verdicts, policy))
    return Padding(Group(*parts), (0, 0, 0, 2))


def _tree(condition: Condition, verdicts: Verdicts, policy: Policy) -> Tree:
    node = Tree(_node(condition, verdicts, policy), guide_style="dim")
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            node.children = [_tree(part, verdicts, policy) for part in parts]
        case Precondition():
            pass
    return node


def _node(condition: Condition, verdicts: Verdicts, policy: Policy) -> RenderableType:
    outcome = wording.settled(condition, verdicts)
    sign = (f"{wording.SIGNS[outcome]} ", _SIGN_STYLES[outcome])
    if not isinstance(condition, Precondition):
        return Text.assemble(sign, operator(condition))
    head = Text.assemble(sign, clean(condition.statement))
    if condition not in verdicts:
        return Text.assemble(head, (f"\n{wording.NOT_ASKED}", "dim"))
    return Group(head, Padding(_leaf(verdicts[condition], policy), (0, 0, 0, 2)))


def _leaf(verdict: PreconditionVerdict, policy: Policy) -> Text:
    """Say what was read, which test decided, and what the reasoning said."""
    lines = [wording.reads_in_words(verdict), *wording.tests_in_words(verdict, policy)]
    boxes, trace = wording.boxes_in_words(verdict), verdict.reasoning
    if boxes is not None:
        lines.append(clean(boxes))
    if trace is not None:
        lines.append(f"reasoning: {clean(one_line(trace.text))}")
        lines.append(clean(wording.rating_in_words(trace)))
    if verdict.note:
        lines.append(f"note: {clean(verdict.note)}")
    lines.append(f"→ {verdict.outcome}, score {verdict.score:.2f}")
    return Text("\n".join(lines))
