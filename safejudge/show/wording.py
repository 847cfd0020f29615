"""What is said of a verdict, in words and numbers: the same on a terminal and on a page.

Takes verdicts with the policy they were made by; gives plain text. What others wrote is handed on
as it is: whoever shows it spells out or escapes what could do harm there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.method import logic
from safejudge.method.debias import NO_PRIOR
from safejudge.show.reasons import WHY_OPEN
from safejudge.types import (
    AllOf,
    Condition,
    Confirmation,
    NoneOf,
    Outcome,
    Precondition,
    PreconditionVerdict,
    ReasoningTrace,
    Rule,
    RuleVerdict,
    parts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.policy import Policy
    from safejudge.types import Box, View

SIGNS = {Outcome.YES: "✓", Outcome.NO: "✗", Outcome.UNDECIDED: "?", None: "·"}
"""How conditions are marked; None: not settled, or not asked."""

SIGNS_MEAN = {"✓": "holds", "✗": "does not", "?": "undecided", "·": "not asked"}
"""What the signs say."""

NUMBERS_MEAN = (
    "M: share of yes in the model's answer; p0: the same without the picture; M removed: without "
    "the object; label mass: how much of the answer was yes or no at all"
)
"""What the numbers of a statement say."""

NOT_ASKED = "not asked (already settled)"
"""Said of a precondition without a verdict."""

_BOUND_WORDS = {"exact": "", "upper": "at most ", "lower": "at least "}
_FOUND = 12
"""So many of what a program read or counted."""
_PLACES = 3
"""So many places of an object are written out; the record and the picture have all of them."""
_VIEWS = {
    "full": "M", "no_image": "p0", "region_removed": "M removed", "region_crop": "M crop",
    "mirrored": "M mirrored",
}  # fmt: skip


# --- rules ----------------------------------------------------------------------------------------


def score_in_words(verdict: RuleVerdict) -> str | None:
    """Write a rule's score, and on which side of it the full one lies; None for a skipped rule."""
    return None if verdict.score is None else f"{_BOUND_WORDS[verdict.bound]}{verdict.score:.2f}"


def not_relevant(verdict: RuleVerdict) -> str:
    """Say what the relevance filter did to a rule."""
    if verdict.unfiltered is None:
        return "not asked: the relevance filter skipped this rule"
    outcome = verdict.unfiltered.replace("_", " ")
    return f"counts for nothing: the relevance filter skips this rule; without it: {outcome}"


def filtered(threshold: float) -> str:
    """Say of skipped rules what the filter compared, and how to have them asked all the same."""
    return (
        f"not relevant: a rule whose similarity to the picture is {threshold:.2f} or less is "
        "skipped, unless it is the likest; --no-relevance asks every rule"
    )


def rule_facts(rule: Rule, verdict: RuleVerdict) -> list[str]:
    """List what stands beside a rule's name but for the score."""
    facts = [f"({rule.category}, {rule.severity})"]
    if verdict.similarity is not None:
        facts.append(f"similarity {verdict.similarity:.2f}")
    if verdict.frame is not None:
        facts.append(f"frame {verdict.frame} (the first is 0)")
    if verdict.background is not None:
        facts.append(f"on {verdict.background}")
    if verdict.captioned is not None:
        facts.append("with its caption" if verdict.captioned else "without its caption")
    if (other := verdict.set_aside) is not None:
        which = "with" if other.captioned else "without"
        facts.append(f"({which}: {other.outcome.replace('_', ' ')}, {score_in_words(other)})")
    return facts


def settled(
    condition: Condition, verdicts: Mapping[Precondition, PreconditionVerdict]
) -> Outcome | None:
    """Return what a condition came to; None if it was not settled."""
    low, high = logic.possible(condition, {leaf: v.outcome for leaf, v in verdicts.items()})
    return low if low == high else None


def settling(
    condition: Condition, verdicts: Mapping[Precondition, PreconditionVerdict]
) -> list[PreconditionVerdict]:
    """Return as few answers as suffice for what the condition came to, in listed order.

    Empty where it holds or fails by none: it is undecided, or nothing was asked.
    """
    outcome = settled(condition, verdicts)
    if isinstance(condition, Precondition):
        return [verdicts[condition]] if condition in verdicts else []
    if outcome not in (Outcome.YES, Outcome.NO):
        return []
    needed = outcome
    if isinstance(condition, NoneOf):
        needed = Outcome.NO if outcome is Outcome.YES else Outcome.YES
    one_is_enough = needed is (Outcome.NO if isinstance(condition, AllOf) else Outcome.YES)
    fitting = [part for part in parts(condition) if settled(part, verdicts) is needed]
    deciding = fitting[:1] if one_is_enough else fitting
    return list(dict.fromkeys(v for part in deciding for v in settling(part, verdicts)))


# --- preconditions --------------------------------------------------------------------------------


def reads_in_words(verdict: PreconditionVerdict) -> str:
    """Write every look of the model as a number."""
    numbers = []
    for read in verdict.reads:
        number = "none" if read.score is None else f"{read.score:.2f}"
        bound = "" if read.exact else ", a bound"
        numbers.append(f"{_VIEWS[read.view]} {number} (label mass {read.label_mass:.2f}{bound})")
    return ", ".join(numbers)


def boxes_in_words(verdict: PreconditionVerdict) -> str | None:
    """Say where the central object was found, in pixels, the surest places; None: not sought."""
    if verdict.boxes is None:
        return None
    surest = sorted(verdict.boxes, key=lambda box: -box.confidence)
    descriptions = list(map(_place, surest[:_PLACES]))
    if further := surest[_PLACES:]:
        descriptions.append(f"and {len(further)} more, {further[0].confidence:.2f} at most")
    return f"found: {'; '.join(descriptions) or f'no {verdict.look_at}'}"


def _place(box: Box) -> str:
    return f"{box.word} {box.confidence:.2f} at {box.left},{box.top} to {box.right},{box.bottom}"


def finding_in_words(verdict: PreconditionVerdict) -> list[str]:
    """Write what a program was asked and what it found, and where, in pixels."""
    finding = verdict.finding
    if finding is None:
        return []
    told = "could not look: " if finding.holds is None else ""
    lines = [f"program {finding.call.text} (version {finding.version}): {told}{finding.said}"]
    if finding.boxes:
        places = "; ".join(map(_place, finding.boxes[:_FOUND]))
        further = len(finding.boxes) - _FOUND
        lines.append(f"there: {places}" + (f"; and {further} more" if further > 0 else ""))
    return lines


_SURE = {
    "accept": "sure: yes, because the model says yes to this picture far more than without it",
    "reject": "sure: no, because the model says yes to this picture far less than without it",
}
_SURE_WITHOUT_PRIOR = {
    "accept": "sure: yes, because the model says so of this picture",
    "reject": "sure: no, because the model says so of this picture",
}
_UNSURE = {
    "open": "unsure: the model says neither clearly yes nor clearly no",
    "label_mass": "no answer: the model says something else than yes or no",
    "unreadable": "no answer",
    "reasoning": "unsure, after reasoning too",
    "not_asked": "not asked: the records that were replayed do not say",
}


_NO_LOOK = "the program could not look"
_TAKEN_BACK = {
    "contrast": "no, because “{}” fits the picture far better",
    "reworded": "no, because the model denies the same in other words: “{}”",
}
"""Said of a yes that a confirmation took back."""


def plainly(verdict: PreconditionVerdict) -> str:
    """Say without a number what was answered, how surely, and because of what."""
    if verdict.test == "program" and verdict.finding is not None:
        how = f"{verdict.outcome}, by a program" if verdict.finding.holds is not None else _NO_LOOK
        return f"{how}: {verdict.finding.said}"
    several = len(verdict.answers)
    if several > 1 and verdict.test in ("accept", "reject"):
        return f"sure: {verdict.outcome}, by the mean of {several} engines"
    said = _plainly(verdict)
    if verdict.engine is not None and verdict.opinions:
        return f"{verdict.engine} was asked after the others: {said}"
    return said


def _plainly(verdict: PreconditionVerdict) -> str:
    if verdict.outcome is Outcome.UNDECIDED:
        if verdict.reasoning is not None and verdict.reasoning.rating is None:
            return "unsure, and what it reasoned could not be read"
        return _UNSURE.get(verdict.test, "unsure")
    if verdict.test == "open_no":
        return "no, because the model says neither clearly yes nor clearly no"
    if verdict.test in _TAKEN_BACK or verdict.test == "region":
        return _dearly(verdict)
    if verdict.reasoning is not None:
        return f"unsure at first; {verdict.outcome} after reasoning"
    prior = any(read.view == "no_image" and read.score is not None for read in verdict.reads)
    words = _SURE if prior else _SURE_WITHOUT_PRIOR
    return words.get(verdict.test, str(verdict.outcome))


def _dearly(verdict: PreconditionVerdict) -> str:
    """Say what a test decided that not every statement is put to."""
    if verdict.test == "region":
        return (
            f"{verdict.outcome}, because without the {verdict.look_at} the model no longer says so"
        )
    scores = {c.statement: c.score for c in verdict.confirmations if c.by == verdict.test}
    against = min(scores, key=lambda statement: 1.0 if (s := scores[statement]) is None else s)
    return _TAKEN_BACK[verdict.test].format(against)


def confirmations_in_words(verdict: PreconditionVerdict) -> list[str]:
    """Say what was asked beside a statement that made its rule violated, and what came of it."""
    return [_confirmation(confirmation) for confirmation in verdict.confirmations]


def _confirmation(confirmation: Confirmation) -> str:
    numbers = ["none" if read.score is None else f"{read.score:.2f}" for read in confirmation.reads]
    score = confirmation.problem or "no answer"
    if confirmation.score is not None:
        score = f"score {confirmation.score:.2f}"
    score += _view_note(confirmation.shown or "full")
    if confirmation.by == "contrast":
        first, last = numbers
        return (
            f"contrast with “{confirmation.statement}”: {score} "
            f"(named first {first}, the other named first {last})"
        )
    views = (_VIEWS[read.view] for read in confirmation.reads)
    named = ", ".join(f"{name} {number}" for name, number in zip(views, numbers, strict=True))
    if confirmation.by == "mirrored":
        return f"mirrored: {score} ({named})"
    return f"in other words “{confirmation.statement}”: {score} ({named})"


def rating_in_words(trace: ReasoningTrace) -> str:
    """Say how the reasoning ended."""
    rating = f"rated {trace.rating}" if trace.rating else "no rating"
    return f"{rating}: {trace.rationale}" if trace.rationale else rating


class Bounds(NamedTuple):
    """What the numbers of a picture are compared with (CLUE, arXiv 2501.00192, sec. 3.4)."""

    p0: float
    """The language prior, or the 1/2 that stands for it."""
    low: float
    """Below it the statement is rejected."""
    high: float
    """Above it the statement is accepted."""


def bounds(verdict: PreconditionVerdict, policy: Policy) -> Bounds | None:
    """Return what the first two tests compare with; None where the prior could not be read."""
    p0 = number(verdict, "no_image", policy)
    if p0 is None:
        if policy.prior and not _half_stood_in(verdict):
            return None
        p0 = NO_PRIOR
    return Bounds(p0, (1 - policy.reject_factor) * p0, p0 + policy.accept_factor * (1 - p0))


def _half_stood_in(verdict: PreconditionVerdict) -> bool:
    """Whether the first tests went on without a prior: one that could not be asked ends them."""
    return verdict.test not in ("label_mass", "not_asked") and (
        verdict.test != "unreadable" or verdict.reasoning is not None
    )


def number(verdict: PreconditionVerdict, view: View, policy: Policy) -> float | None:
    """Return what was read of a view, if the tests may use it."""
    read = next((read for read in verdict.reads if read.view == view), None)
    return None if read is None or read.label_mass < policy.minimum_label_mass else read.score


def tests_in_words(verdict: PreconditionVerdict, policy: Policy | None) -> list[str]:
    """Write the tests with their numbers, in the order taken; the last one decided, if any did.

    Where the policy is not known, only what decided.
    """
    if policy is None:
        return [f"decided by: {verdict.test.replace('_', ' ')}"]
    if verdict.test == "not_asked":
        return [f"not asked: {verdict.note}"]
    if verdict.test == "program":
        return [] if verdict.outcome is Outcome.UNDECIDED else ["decided by: program"]
    if len(verdict.answers) > 1:
        return [_mean_in_words(verdict)]
    *open_views, last = _tested(verdict, policy)
    decided = _first_decision(verdict, last, policy)
    lines = [
        _first_tests(verdict, view, policy, _confirmed(verdict, view, policy))
        for view in open_views
    ]
    lines.append(_first_tests(verdict, last, policy, decided))
    if decided is None:
        lines += _region_test(verdict, policy)
    if verdict.test == "open" and not verdict.reasoning and decided is None and policy.reasons:
        lines[-1] += "; not reasoned through (already settled)"
    if verdict.test == "open_no":
        lines[-1] += "; counts as no"
    return lines


def _first_decision(
    verdict: PreconditionVerdict, view: View, policy: Policy
) -> Literal["reject", "accept"] | None:
    """Say what the first two tests decided; a confirmation comes after a yes of theirs, too."""
    if verdict.test in ("reject", "accept"):
        return "reject" if verdict.test == "reject" else "accept"
    return _confirmed(verdict, view, policy)


def _confirmed(
    verdict: PreconditionVerdict, view: View, policy: Policy
) -> Literal["accept"] | None:
    """Say whether the first two tests said yes by a view before something was asked once more."""
    limits, m = bounds(verdict, policy), number(verdict, view, policy)
    accepted = limits is not None and m is not None and m > limits.high
    return "accept" if verdict.confirmations and accepted else None


def opinions_in_words(verdict: PreconditionVerdict, policy: Policy | None) -> list[str]:
    """Write what each of several engines answered, a line each, and who was asked after them."""
    if policy is not None:  # nobody reasons about one opinion
        policy = policy.model_copy(update={"open_means": "undecided"})
    lines = [
        f"{opinion.engine}: {reads_in_words(opinion)}; "
        f"{'; '.join(tests_in_words(opinion, policy))} → {opinion.outcome}, "
        f"score {opinion.score:.2f}"
        for opinion in verdict.opinions
    ]
    return lines if verdict.engine is None or not lines else [*lines, f"then {verdict.engine}:"]


def _mean_in_words(verdict: PreconditionVerdict) -> str:
    """Write the mean of the engines' log-odds, or why there is none."""
    if any(opinion.test in ("label_mass", "unreadable") for opinion in verdict.opinions):
        return "no mean: an engine gave no answer"
    margins = [opinion.margin for opinion in verdict.opinions]
    told = ", ".join(f"{margin:.2f}" for margin in margins)
    mean = f"mean of the log-odds {told}: {sum(margins) / len(margins):.2f}"
    return f"{mean}; counts as no" if verdict.test == "open_no" else mean


def _tested(verdict: PreconditionVerdict, policy: Policy) -> list[View]:
    """List the views that the first two tests were put to: a crop stands in for the full view.

    By default after it, if that left the answer open; with `locate_first` from the start, unless
    the crop could not be read.
    """
    crops = [read for read in verdict.reads if read.view == "region_crop"]
    if not crops or (policy.locate_first and crops[0].score is None):
        return ["full"]
    return ["region_crop"] if policy.locate_first else ["full", "region_crop"]


def _first_tests(
    verdict: PreconditionVerdict,
    view: View,
    policy: Policy,
    decided: Literal["reject", "accept"] | None,
) -> str:
    limits, m = bounds(verdict, policy), number(verdict, view, policy)
    if limits is None or m is None:
        return f"no test{_view_note(view)}: {_why_no_number(verdict, (view, 'no_image'))}"
    name, low, high = _VIEWS[view], limits.low, limits.high
    read = number(verdict, "no_image", policy) is not None
    prior = "p0" if read else f"{limits.p0:g}"
    low_formula = f"{1 - policy.reject_factor:.2f}·{prior} = "
    high_formula = f"{policy.accept_factor:.2f} + {1 - policy.accept_factor:.2f}·{prior} = "
    if decided == "reject":
        digits = _digits(m, low)
        return f"reject: {name} {m:.{digits}f} < {low_formula}{low:.{digits}f}"
    if decided == "accept":
        digits = _digits(m, high)
        return f"accept: {name} {m:.{digits}f} > {high_formula}{high:.{digits}f}"
    digits = max(_digits(m, low), _digits(m, high))
    number_between = f"≤ {name} {m:.{digits}f} ≤"
    return f"open: {low_formula}{low:.{digits}f} {number_between} {high_formula}{high:.{digits}f}"


def _view_note(view: View) -> str:
    return "" if view == "full" else " of the crop"


def _region_test(verdict: PreconditionVerdict, policy: Policy) -> list[str]:
    """Write the third test, which compares with the whole picture, never with a crop."""
    if all(read.view != "region_removed" for read in verdict.reads):
        return []
    m, masked = number(verdict, "full", policy), number(verdict, "region_removed", policy)
    if m is None or masked is None:
        return [f"no region test: {_why_no_number(verdict, ('full', 'region_removed'))}"]
    fall, margin = m - masked, policy.region_margin
    digits = _digits(fall, margin)
    compared = ">" if fall > margin else "≤"
    numbers = f"M {m:.{digits}f} - M removed {masked:.{digits}f} = {fall:.{digits}f}"
    return [f"region: {numbers} {compared} {margin:.{digits}f}"]


def _why_no_number(verdict: PreconditionVerdict, views: tuple[View, ...]) -> str:
    unread = any(read.score is None for read in verdict.reads if read.view in views)
    return WHY_OPEN["unreadable" if unread else "label_mass"]


def _digits(left: float, right: float) -> int:
    """How many decimals it takes to see which of two numbers is the larger."""
    return next((n for n in (2, 3, 4, 6) if f"{left:.{n}f}" != f"{right:.{n}f}"), 9)
