"""One judgment as a person reads it: the rules, their trees, the numbers, the test that decided.

Takes a judgment with the rules and the policy it was made by; gives a renderable for a `rich`
console. What others wrote passes `show.clean`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from safejudge import logic
from safejudge.show import STYLES, WHY_OPEN, clean
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
)
from safejudge.verdict import asked_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from safejudge.policy import Policy

    Verdicts = Mapping[Precondition, PreconditionVerdict]

_SIGN = {
    Outcome.YES: ("✓", "bold cyan"),
    Outcome.NO: ("✗", "bold"),
    Outcome.UNDECIDED: ("?", "bold yellow"),
}
_UNSETTLED = ("·", "dim")
_AT = {"exact": "", "upper": "at most ", "lower": "at least "}


def explanation(judgment: Judgment, rules: Iterable[Rule], policy: Policy) -> RenderableType:
    """Show a judgment as a person reads it: these rules, the violated ones first, with the trace.

    Each rule's tree is drawn with ✓ (holds), ✗ (does not), ? (undecided) or · (not asked, because
    the rule was settled without it).
    """
    verdicts = judgment.rules
    rules = list(rules)
    parts: list[RenderableType] = [_heading(judgment, policy), Text()]
    for outcome in ("violated", "undecided", "not_violated", "not_relevant"):
        found = [rule for rule in rules if verdicts[rule.id].outcome == outcome]
        short = outcome in ("not_violated", "not_relevant") and len(rules) > 1
        for rule in found:
            parts.append(_title(rule, verdicts[rule.id]))
            if not short:
                parts += [_rule(rule, verdicts[rule.id], policy), Text()]
    return Group(*parts)


def _heading(judgment: Judgment, policy: Policy) -> Text:
    about, usage = judgment.provenance, judgment.usage
    head = Text.assemble(
        (clean(judgment.image), "bold"),
        ": ",
        (judgment.label, STYLES[judgment.label]),
        f", score {judgment.score:.2f}\n",
    )
    head.append(
        f"engine {clean(about.model)}, policy {clean(policy.name)}, constitution "
        f"{about.constitution[:12]}, image {judgment.id[:12]}\n"
        f"{_counted(usage.probes, 'question')}, {_counted(usage.reasoning_calls, 'reasoning call')}"
        "; ✓ holds  ✗ does not  ? undecided  · not asked",
        "dim",
    )
    return head


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _title(rule: Rule, verdict: RuleVerdict) -> Text:
    title = Text.assemble(
        (verdict.outcome.replace("_", " "), STYLES[verdict.outcome]), " ", (clean(rule.id), "bold")
    )
    if verdict.score is not None:
        title.append(f"  score {_AT[verdict.bound]}{verdict.score:.2f}")
    title.append(f"  ({clean(rule.category)}, {rule.severity})", "dim")
    if verdict.frame is not None:
        title.append(f"  frame {verdict.frame}", "dim")
    if verdict.background is not None:
        title.append(f"  on {verdict.background}", "dim")
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
        lines.append("\nnot asked: the relevance filter skipped this rule")
    else:
        found = {
            Precondition(statement=v.statement, look_at=v.look_at): v for v in verdict.preconditions
        }
        parts.append(_tree(asked_condition(rule, policy), found, policy))
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
    low, high = logic.possible(condition, {leaf: v.outcome for leaf, v in verdicts.items()})
    sign, style = _SIGN[low] if low == high else _UNSETTLED
    match condition:
        case AllOf():
            words = "all of"
        case AnyOf():
            words = "any of"
        case NoneOf():
            words = "none of"
        case Precondition(statement=statement):
            words = clean(statement)
    head = Text.assemble((f"{sign} ", style), words)
    if not isinstance(condition, Precondition):
        return head
    if condition not in verdicts:
        return Text.assemble(head, ("\nnot asked (already settled)", "dim"))
    return Group(head, Padding(_leaf(verdicts[condition], policy), (0, 0, 0, 2)))


def _leaf(verdict: PreconditionVerdict, policy: Policy) -> Text:
    """Say what was read, which test decided, and what the reasoning said."""
    lines = [_reads(verdict), *_tests(verdict, policy)]
    trace = verdict.reasoning
    if trace is not None:
        said = f"rated {trace.rating}" if trace.rating else "no rating"
        because = f": {clean(trace.rationale)}" if trace.rationale else ""
        lines.append(f"reasoning: {clean(' '.join(trace.text.split()))}")
        lines.append(f"{said}{because}")
    if verdict.note:
        lines.append(f"note: {clean(verdict.note)}")
    lines.append(f"→ {verdict.outcome}, score {verdict.score:.2f}")
    return Text("\n".join(lines))


def _reads(verdict: PreconditionVerdict) -> str:
    names = {"full": "M", "no_image": "p0", "region_removed": "M removed", "region_crop": "M crop"}
    shown = []
    for read in verdict.reads:
        number = "none" if read.score is None else f"{read.score:.2f}"
        bound = "" if read.exact else ", a bound"
        shown.append(f"{names[read.view]} {number} (label mass {read.label_mass:.2f}{bound})")
    return ", ".join(shown)


def _tests(verdict: PreconditionVerdict, policy: Policy) -> list[str]:
    """Write the test that decided with its numbers (CLUE, arXiv 2501.00192, sec. 3.4)."""
    scores = {read.view: read.score for read in verdict.reads}
    m, p0 = scores.get("full"), scores.get("no_image")
    reasoned = verdict.reasoning is not None
    too_little = any(read.label_mass < policy.minimum_label_mass for read in verdict.reads)
    if m is None or p0 is None or too_little:
        return ["no test: " + WHY_OPEN["unreadable" if m is None or p0 is None else "label_mass"]]
    keep, accept = 1 - policy.reject_factor, policy.accept_factor
    low, high = keep * p0, p0 + accept * (1 - p0)
    low_said = f"{keep:.2f}·p0 = "
    high_said = f"{accept:.2f} + {1 - accept:.2f}·p0 = "
    if verdict.test == "reject":
        digits = _digits(m, low)
        return [f"reject: M {m:.{digits}f} < {low_said}{low:.{digits}f}"]
    if verdict.test == "accept":
        digits = _digits(m, high)
        return [f"accept: M {m:.{digits}f} > {high_said}{high:.{digits}f}"]
    digits = max(_digits(m, low), _digits(m, high))
    between = f"open: {low_said}{low:.{digits}f} ≤ M {m:.{digits}f} ≤ {high_said}{high:.{digits}f}"
    if not reasoned and policy.cascade and verdict.test == "open":
        between += "; not reasoned through (already settled)"
    return [between]


def _digits(left: float, right: float) -> int:
    """How many decimals it takes to see which of two numbers is the larger."""
    return next((n for n in (2, 3, 4, 6) if f"{left:.{n}f}" != f"{right:.{n}f}"), 9)
