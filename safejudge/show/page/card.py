"""One image on a page: its result, a small picture, and how it came about, as markup.

Takes a result with the rules and the policy it was made by; keeps no pixels. The markup is that of
`judged_image.html`; what others wrote passes `clean` and is escaped.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from safejudge.method import logic
from safejudge.method.rule import asked_condition
from safejudge.show import actions, reasons, wording
from safejudge.show.page.counts import LISTED, label_of, severity_of
from safejudge.show.page.evidence import evidence
from safejudge.show.page.templates import environment
from safejudge.show.page.thumbnail import Thumbnail, deciding_picture, judged_by
from safejudge.text import clean_lines, counted
from safejudge.types import AllOf, Failure, leaves, operator, parts

if TYPE_CHECKING:
    from jinja2 import Environment

    from safejudge.policy import Policy
    from safejudge.show.page.evidence import Seek
    from safejudge.types import (
        Condition,
        Constitution,
        Decision,
        ImageInput,
        People,
        Picture,
        PreconditionVerdict,
        Result,
        Rule,
        RuleVerdict,
        View,
    )


class Beside(NamedTuple):
    """What is known of an image beside its result."""

    image: ImageInput | None = None
    """Its pixels; None where they are not at hand."""
    absent: str = ""
    """Why they are not, in a word."""
    caption: str | None = None
    """What it was judged with."""
    truth: str | None = None
    """What is true of it, where somebody labelled it."""
    before: str | None = None
    """What it was called before it was judged again."""
    decision: Decision | None = None
    """What thresholds say to do with it."""
    people: People | None = None
    """What people decided about it."""


class _Row(NamedTuple):
    """One rule on one image."""

    rule: Rule
    condition: Condition
    losses: tuple[str, ...]
    verdict: RuleVerdict


class Cards:
    """Makes the markup of images that were judged by one constitution and policy."""

    def __init__(
        self, constitution: Constitution, policy: Policy | None, seek: Seek | None = None
    ) -> None:
        """Without a policy no bounds are shown; rules have the form that was asked of them.

        `seek` looks for what a violation rests on, see `evidence`.
        """
        self._rules, self._policy, self._seek = constitution.rules, policy, seek
        templates = with_trees(environment())
        self._template = templates.get_template("judged_image.html")

    def card(self, number: int, name: str, result: Result, beside: Beside) -> str:
        """Make the markup of one image; `number` is its own on the page."""
        folder, base = os.path.split(name)
        rows = [] if isinstance(result, Failure) else self._rows(result.rules)
        listed = [row for outcome in LISTED for row in rows if row.verdict.outcome == outcome]
        refused = {} if isinstance(result, Failure) else reasons.refused_rules(result)
        told = {name for names in refused.values() for name in names}
        picture = None if beside.image is None else deciding_picture(result, beside.image)
        absent = beside.absent if beside.image is None else "the frame that decided is not there"
        label = label_of(result, beside.people)
        return self._template.render(
            number=number,
            name=name,
            folder=os.path.join(folder, "") if folder else "",  # noqa: PTH118 - keeps the separator
            base=base or name,
            caption=beside.caption,
            truth=beside.truth,
            before=beside.before,
            decision=beside.decision,
            people=beside.people,
            result=result,
            policy=self._policy,
            label=label,
            severity=severity_of(result, self._rules)
            if not isinstance(result, Failure) and label == result.label
            else None,
            declined=None if isinstance(result, Failure) else reasons.declined(result),
            refused=refused,
            listed=[row for row in listed if row.rule.id not in told],
            compared=any(row.verdict.similarity is not None for row in rows),
            others=[row for row in rows if row.verdict.outcome not in LISTED],
            rules=[index for index, row in enumerate(rows) if row.verdict.outcome in LISTED],
            picture=picture and self._thumbnail(picture, listed),
            absent=absent,
            veiled=label != "safe",
        )

    def _thumbnail(self, picture: Picture, listed: list[_Row]) -> Thumbnail:
        """Shrink a picture, with boxes of what was found in it."""
        violated = [
            (row.condition, row.verdict)
            for row in listed
            if row.verdict.outcome == "violated" and judged_by(row.verdict, picture)
        ]
        found = () if self._seek is None else evidence(violated, picture, self._seek, self._policy)
        return Thumbnail.of(picture, [row.verdict for row in listed], found)

    def _rows(self, verdicts: dict[str, RuleVerdict]) -> list[_Row]:
        return [
            _Row(rule, *asked_form(rule, verdicts[rule.id], self._policy), verdicts[rule.id])
            for rule in self._rules
        ]


def with_trees(templates: Environment) -> Environment:
    """Give templates what those have to be handed that draw a rule's tree (`rule_tree.html`)."""
    templates.filters["lines"] = _lines
    templates.globals.update(
        wording=wording,
        answered=logic.answered,
        reasons=reasons,
        scale=_scale,
        settled_by=settled_by,
        told=actions.of_rule,
        counted=counted,
        operator=operator,
        parts=parts,
    )
    return templates


def asked_form(
    rule: Rule, verdict: RuleVerdict, policy: Policy | None
) -> tuple[Condition, tuple[str, ...]]:
    """Return a rule's condition as it was asked, and what that form lost of it.

    Where the policy is not known, the answers tell: the flat form has statements of its own.
    """
    flat, losses = logic.flatten(rule.condition)
    if policy is not None:
        return asked_condition(rule, policy), () if policy.tree else losses
    statements = {leaf.statement for leaf in leaves(rule.condition)}
    if all(answer.statement in statements for answer in verdict.preconditions):
        return rule.condition, ()
    return (AllOf(all=flat) if flat else rule.condition), losses


def _lines(text: str) -> Markup:
    return escape(clean_lines(text.strip()))


# --- numbers --------------------------------------------------------------------------------------


class _Scale(NamedTuple):
    """What the first tests compared, as shares of a line."""

    low: float
    high: float
    p0: float
    marks: list[tuple[View, float]]


def _scale(verdict: PreconditionVerdict, policy: Policy | None) -> _Scale | None:
    """Return what to draw of a precondition's numbers; None where the tests had none."""
    if policy is None:
        return None
    bounds = wording.bounds(verdict, policy)
    views: tuple[View, ...] = ("full", "region_crop", "region_removed")
    numbers = [(view, wording.number(verdict, view, policy)) for view in views]
    marks = [(view, number) for view, number in numbers if number is not None]
    if bounds is None or not marks:
        return None
    return _Scale(bounds.low, bounds.high, bounds.p0, marks)


def settled_by(verdict: RuleVerdict, condition: Condition) -> list[str]:
    """Name the answers that settled a rule, each with its sign."""
    answers = wording.settling(condition, logic.answered(condition, verdict.preconditions))
    return [f"{wording.SIGNS[answer.outcome]} {answer.statement}" for answer in answers]
