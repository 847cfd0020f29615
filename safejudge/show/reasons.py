"""Why an image got its label, in a line: what it violates, what is open and why, what was refused.

Takes results; gives plain text, cleaned. What all questions of an image were answered alike is said
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.text import clean, counted, cut
from safejudge.types import Failure, Outcome

if TYPE_CHECKING:
    from safejudge.types import Judgment, People, Result, RuleVerdict

WHY_OPEN = {
    "open": "between the bounds",
    "label_mass": "neither yes nor no",
    "unreadable": "no readable answer",
    "reasoning": "unsure",
    "not_asked": "not asked",
    "program": "the program could not look",
}
"""Why a precondition is undecided, by the test that left it so."""

_VIEW_FULL = "view full: "


def reason(result: Result) -> str:
    """Say what an image violates, or why it is undecided or was not judged; "" if it is safe."""
    if isinstance(result, Failure):
        return clean(f"{result.reason}: {result.message.removeprefix(f'{result.image}: ')}")
    if result.violations:
        return ", ".join(map(clean, result.violations))
    if (note := declined(result)) is not None:
        causes = [clean(note)]
    else:
        causes = [
            f"{', '.join(map(clean, names))} ({clean(cause)})"
            for cause, names in _open_rules(result).items()
        ]
    if "frames" in result.undecided_by:
        causes.append(f"frames: {result.frames}")
    if "caption" in result.undecided_by:
        causes.append(caption_words(result))
    return "; ".join(causes)


def caption_words(judgment: Judgment) -> str:
    """Say how much of its caption an image was judged with; "" where that is all there is."""
    use = judgment.caption
    if use is None or use.shown == use.tokens:
        return ""
    if use.shown == 0:
        return f"caption of {counted(use.tokens, 'token')}: too long to be shown"
    return f"caption: the first {use.shown} of {counted(use.tokens, 'token')} shown"


def people_words(people: People) -> str:
    """Say what people decided about an image."""
    said = [
        f"{clean(rule)} {'violated' if one.verdict == 'violates' else 'not violated'} "
        f"({clean(', '.join(one.reviewers))})"
        for rule, one in people.rules.items()
    ]
    return f"people decided: {'; '.join(said)}; with that it is {people.label}"


def differs(result: Result, truth: str) -> bool:
    """Whether what is said of an image is not what is true: "safe", "unsafe (armed-child)"."""
    word, _, violations = truth.removesuffix(")").partition(" (")
    if isinstance(result, Failure) or word != result.label:
        return True
    return bool(violations) and set(violations.split(", ")) != set(result.violations)


# --- what was refused -----------------------------------------------------------------------------


def declined(judgment: Judgment) -> str | None:
    """Return why no question about an image was answered, if it is one reason for all of them."""
    asked = [rule for rule in judgment.rules.values() if rule.preconditions]
    notes = {refusal(rule) for rule in asked}
    return notes.pop() if len(notes) == 1 else None


def refusal(rule: RuleVerdict) -> str | None:
    """Return why no question of a rule was answered, if it is one reason for all; else None.

    An answer is refused by what is asked, not by what it says: the picture is none of its world, a
    server's filter, a model that fails on it.
    """
    notes = {
        verdict.note if verdict.test == "unreadable" and verdict.reasoning is None else None
        for verdict in rule.preconditions
    }
    note = notes.pop() if len(notes) == 1 else None
    return None if note is None else cut(note.removeprefix(_VIEW_FULL))


def refused_rules(judgment: Judgment) -> dict[str, list[str]]:
    """Group the undecided rules whose questions were all refused by the reason."""
    groups: dict[str, list[str]] = {}
    for name, rule in judgment.rules.items():
        if rule.outcome == "undecided" and (note := refusal(rule)) is not None:
            groups.setdefault(note, []).append(name)
    return groups


def _open_rules(judgment: Judgment) -> dict[str, list[str]]:
    """Group the undecided rules by what left them so."""
    groups: dict[str, list[str]] = {}
    for name, rule in judgment.rules.items():
        if rule.outcome == "undecided":
            groups.setdefault(refusal(rule) or _open_because(rule), []).append(name)
    return groups


def _open_because(rule: RuleVerdict) -> str:
    open_ones = (v for v in rule.preconditions if v.outcome is Outcome.UNDECIDED)
    return "; ".join(dict.fromkeys(WHY_OPEN.get(v.test, v.test) for v in open_ones))
