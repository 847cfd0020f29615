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
from safejudge.method.rule import asked_condition
from safejudge.show import wording
from safejudge.show.reasons import caption_words, differs, refused_rules
from safejudge.show.terminal import STYLES
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
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from safejudge.policy import Policy
    from safejudge.types import Provenance, Usage

    Verdicts = Mapping[Precondition, PreconditionVerdict]

_SIGN_STYLES = {
    Outcome.YES: "bold cyan",
    Outcome.NO: "bold",
    Outcome.UNDECIDED: "bold yellow",
    None: "dim",
}

_IN_FULL = ("violated", "undecided")
"""Outcomes of which the tree is shown also where there are several rules."""


def explanation(
    judgment: Judgment, rules: Iterable[Rule], policy: Policy, truth: str | None = None
) -> RenderableType:
    """Show a judgment as a person reads it: these rules, the violated ones first, with the trace.

    Each rule's tree is drawn with ✓ (holds), ✗ (does not), ? (undecided) or · (not asked, because
    the rule was settled without it). `truth` is what somebody labelled the image.
    """
    verdicts = judgment.rules
    rules = list(rules)
    parts: list[RenderableType] = [_heading(judgment, policy, truth)]
    shown = Notes()
    refused = _refused(judgment, rules)
    told = {rule.id for group in refused.values() for rule in group}
    in_full = [r for r in rules if len(rules) == 1 or verdicts[r.id].outcome in _IN_FULL]
    if any(verdicts[r.id].preconditions for r in in_full if r.id not in told):
        parts.append(Text(wording.NUMBERS_MEAN, "dim"))
    parts.append(Text())
    for note, group in refused.items():
        parts += [_refusal(note, group), Text()]
    for outcome in ("violated", "undecided", "not_violated", "not_relevant"):
        group = [r for r in rules if verdicts[r.id].outcome == outcome and r.id not in told]
        for rule in group:
            parts.append(_title(rule, verdicts[rule.id]))
            if rule in in_full:
                parts += [_rule(rule, verdicts[rule.id], policy, shown), Text()]
        if outcome == "not_relevant" and group and policy.relevance_threshold is not None:
            parts.append(Text(wording.filtered(policy.relevance_threshold), "dim"))
    return Group(*parts)


class Notes:
    """The notes that were shown already: each is written out once."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def line(self, note: str) -> str:
        """Write a note the first time, and later that it is the same."""
        again = note in self._shown
        self._shown.add(note)
        return "note: as above" if again else f"note: {clean(note)}"


def _refused(judgment: Judgment, rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Group those of the rules of which no question was answered, by the reason."""
    by_id = {rule.id: rule for rule in rules}
    groups = {
        note: [by_id[name] for name in names if name in by_id]
        for note, names in refused_rules(judgment).items()
    }
    return {note: group for note, group in groups.items() if group}


def _refusal(note: str, rules: Sequence[Rule]) -> Text:
    """Say once of several rules that nobody could answer their questions."""
    names = ", ".join(clean(rule.id) for rule in rules)
    return Text.assemble(
        ("undecided", STYLES["undecided"]), " ", (names, "bold"), f"\n  no answer: {clean(note)}"
    )


def _heading(judgment: Judgment, policy: Policy, truth: str | None) -> Text:
    provenance, usage = judgment.provenance, judgment.usage
    head = Text.assemble(
        (clean(judgment.image), "bold"),
        ": ",
        (judgment.label, STYLES[judgment.label]),
        ", no rule is relevant\n" if judgment.score is None else f", score {judgment.score:.2f}\n",
    )
    head.append(
        f"{_engines(provenance)}, policy {clean(policy.name)}, constitution "
        f"{provenance.constitution[:12]}, image {judgment.id[:12]}\n"
        f"{counted(usage.probes, 'question')}, "
        f"{counted(usage.reasoning_calls, 'reasoning call')}{_looks(usage)}; "
        + "  ".join(f"{sign} {meaning}" for sign, meaning in wording.SIGNS_MEAN.items()),
        "dim",
    )
    if truth is not None:
        style = "bold yellow" if differs(judgment, truth) else ""
        head.append(f"\nlabelled: {clean(truth)}", style)
    if judgment.frames is not None:
        head.append(f"\nframes: {judgment.frames}")
    if words := caption_words(judgment):
        head.append(f"\n{words}", "yellow")
    return head


def _looks(usage: Usage) -> str:
    return f", {counted(usage.looks, 'look')} of programs" if usage.looks else ""


def _engines(provenance: Provenance) -> str:
    """Name who was asked."""
    panel = provenance.panel
    named = " and ".join(map(clean, panel.engines))
    after = "" if panel.escalation is None else f", then {clean(panel.escalation)}"
    return f"engine{'s' if len(panel.engines) > 1 else ''} {named}{after}"


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


def _rule(rule: Rule, verdict: RuleVerdict, policy: Policy, shown: Notes) -> RenderableType:
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
        condition = asked_condition(rule, policy)
        verdicts = logic.answered(condition, verdict.preconditions)
        parts.append(_tree(condition, verdicts, policy, shown))
    return Padding(Group(*parts), (0, 0, 0, 2))


def _tree(condition: Condition, verdicts: Verdicts, policy: Policy, shown: Notes) -> Tree:
    node = Tree(_node(condition, verdicts, policy, shown), guide_style="dim")
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            node.children = [_tree(part, verdicts, policy, shown) for part in parts]
        case Precondition():
            pass
    return node


def _node(condition: Condition, verdicts: Verdicts, policy: Policy, shown: Notes) -> RenderableType:
    outcome = wording.settled(condition, verdicts)
    sign = (f"{wording.SIGNS[outcome]} ", _SIGN_STYLES[outcome])
    if not isinstance(condition, Precondition):
        return Text.assemble(sign, operator(condition))
    head = Text.assemble(sign, clean(condition.statement))
    if condition.program is not None and condition.is_asked:
        head.append(f" (program {clean(condition.program.text)})", "dim")
    if condition not in verdicts:
        return Text.assemble(head, (f"\n{wording.NOT_ASKED}", "dim"))
    return Group(head, Padding(_leaf(verdicts[condition], policy, shown), (0, 0, 0, 2)))


def _leaf(verdict: PreconditionVerdict, policy: Policy, shown: Notes) -> Text:
    """Say what was read, which test decided, and what the reasoning said."""
    lines = [clean(line) for line in wording.finding_in_words(verdict)]
    lines += [clean(line) for line in wording.opinions_in_words(verdict, policy)]
    lines += [wording.reads_in_words(verdict)] if verdict.reads else []
    lines += wording.tests_in_words(verdict, policy)
    lines += map(clean, wording.confirmations_in_words(verdict))
    boxes, trace = wording.boxes_in_words(verdict), verdict.reasoning
    if boxes is not None:
        lines.append(clean(boxes))
    if trace is not None:
        lines.append(f"reasoning: {clean(one_line(trace.text))}")
        lines.append(clean(wording.rating_in_words(trace)))
    if verdict.note and verdict.test != "program":
        lines.append(shown.line(verdict.note))
    lines.append(f"→ {verdict.outcome}, score {verdict.score:.2f}")
    return Text("\n".join(lines))
