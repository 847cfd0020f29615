"""What many results come to on a page: the finding, and what nobody looked at.

Takes results one by one; keeps numbers alone. What it says is plain text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from safejudge.show.actions import cut_of, in_words
from safejudge.show.reasons import differs
from safejudge.show.terminal import left_out
from safejudge.text import counted
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.show.actions import Cut
    from safejudge.types import Decision, Intake, Judgment, People, Result, Rule

LABELS = ("unsafe", "undecided", "failed", "safe")
"""In the order in which a person wants to see them."""
LISTED = ("violated", "undecided")
"""Outcomes of the rules that are shown in full."""

_SEVERITIES = ("low", "medium", "high", "critical")
_DECISIVE = {"unsafe": "violated", "undecided": "undecided"}


def label_of(result: Result, people: People | None = None) -> str:
    """Return the label that counts, by what people decided; `failed` for what was not judged."""
    if isinstance(result, Failure):
        return "failed"
    return result.label if people is None else people.label


class Harm(NamedTuple):
    """Where an image stands among others; the worst come first when these are sorted."""

    label: int
    severity: int
    score: float

    @staticmethod
    def of(result: Result, rules: Iterable[Rule], people: People | None = None) -> Harm:
        """Go by label, then by the severity of the worst rule that made it so, then by score."""
        label = LABELS.index(label_of(result, people))
        if isinstance(result, Failure):
            return Harm(label, 0, 0.0)
        worst = severity_of(result, rules)
        rank = 0 if worst is None else -1 - _SEVERITIES.index(worst)
        return Harm(label, rank, -(result.score or 0.0))


def severity_of(result: Judgment, rules: Iterable[Rule]) -> str | None:
    """Return the severity of the worst rule that is violated, or may be; None if none is."""
    outcome = _DECISIVE.get(result.label)
    found = [str(rule.severity) for rule in rules if result.rules[rule.id].outcome == outcome]
    return max(found, key=_SEVERITIES.index, default=None)


@dataclass(slots=True)
class Counts:
    """What the results so far come to."""

    labels: Counter[str] = field(default_factory=Counter)
    """Images per label; where people decided, by theirs."""
    people: int = 0
    """Images about which people decided."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Images per rule's id and outcome, as judged."""
    frames: Counter[str] = field(default_factory=Counter)
    """Of animations that were not looked at whole: how many, and frames `looked_at` and `of`."""
    captions: Counter[str] = field(default_factory=Counter)
    """Images by what was shown of a caption that was too long: its `beginning`, or `nothing`."""
    labelled: Counter[bool] = field(default_factory=Counter)
    """Images that a label is about, by whether it says the same."""
    absent: Counter[str] = field(default_factory=Counter)
    """Pictures that are not on the page, by the reason."""
    actions: Counter[str] = field(default_factory=Counter)
    """Images per action; empty where no thresholds decided."""
    rule_actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Images per rule's id and what it says to do."""
    cuts: dict[tuple[str, str], Cut] = field(default_factory=dict)
    """By rule and action, the threshold by which it acted, and its promise."""

    def add(
        self,
        result: Result,
        truth: str | None = None,
        decision: Decision | None = None,
        people: People | None = None,
    ) -> None:
        """Count one result; `truth` is what somebody labelled the image."""
        self.labels[label_of(result, people)] += 1
        self.people += people is not None
        if decision is not None:
            self._add_decision(decision)
        if truth is not None:
            self.labelled[not differs(result, truth)] += 1
        if isinstance(result, Failure):
            return
        self.outcomes.update((name, rule.outcome) for name, rule in result.rules.items())
        if result.frames is not None and not result.frames.all:
            self.frames.update(cut=1, looked_at=result.frames.looked_at, of=result.frames.of)
        use = result.caption
        if use is not None and use.shown < use.tokens:
            self.captions["beginning" if use.shown else "nothing"] += 1

    def _add_decision(self, decision: Decision) -> None:
        self.actions[decision.action] += 1
        for rule, told in decision.rules.items():
            self.rule_actions[rule, told.action] += 1
            if (cut := cut_of(told)) is not None:
                self.cuts[rule, told.action] = cut

    @property
    def total(self) -> int:
        """Images."""
        return self.labels.total()

    def finding(self) -> str:
        """Say what was found in one line: "12 images: 5 unsafe, 1 undecided, 6 safe"."""
        found = ", ".join(f"{self.labels[name]} {name}" for name in LABELS if self.labels[name])
        return f"{counted(self.total, 'image')}{f': {found}' if found else ''}"

    def to_do(self) -> str:
        """Say what thresholds want done: "1 to be blocked, ..."; "" where none decided."""
        return in_words(self.actions) if self.actions else ""

    def unsettled(self) -> list[str]:
        """Say what of these images was not looked at, or not settled, a line each."""
        lines = []
        if self.actions and (alone := self.total - self.actions.total()):
            lines.append(f"{counted(alone, 'image')} without an action: no thresholds decided")
        if self.people:
            lines.append(f"people decided about {counted(self.people, 'image')}, and that counts")
        if wrong := self.labelled[False]:
            total = counted(self.labelled.total(), "image")
            lines.append(f"{wrong} of {total} with a label judged otherwise than it says")
        if self.frames["cut"]:
            lines.append(
                f"{self.frames['looked_at']} of {self.frames['of']} frames looked at in "
                f"{counted(self.frames['cut'], 'animation')}"
            )
        if self.captions["beginning"]:
            lines.append(f"{counted(self.captions['beginning'], 'caption')} cut: too long")
        if self.captions["nothing"]:
            lines.append(f"{counted(self.captions['nothing'], 'caption')} not shown: too long")
        judged = counted(self.labels.total() - self.labels["failed"], "image")
        checks = f"of {counted(self.outcomes.total(), 'check')} ({judged}, every rule)"
        skipped, undecided = (
            sum(count for (_, outcome), count in self.outcomes.items() if outcome == wanted)
            for wanted in ("not_relevant", "undecided")
        )
        if skipped:
            lines.append(f"{skipped} {checks} skipped: the rule is not relevant to the image")
        if undecided:
            lines.append(f"{undecided} {checks} undecided")
        return lines


def came_in(intake: Intake | None, total: int) -> list[str]:
    """Say what a run was given, and what became of what is not among `total` results."""
    if intake is None:
        return ["What came in beside these images was not recorded."]
    lines = []
    if intake.wanted == total and not intake.missed:
        lines.append(f"All {counted(intake.wanted, 'image')} that came in are here.")
    elif intake.wanted != total:
        lines.append(f"The run was given {counted(intake.wanted, 'image')}; {total} are here.")
    if named := left_out(intake):
        lines.append(f"Left out: {named}.")
    if intake.repeated:
        lines.append(f"{counted(intake.repeated, 'path')} named a file once more.")
    return lines
