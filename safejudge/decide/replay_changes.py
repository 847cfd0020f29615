"""What another constitution or policy changes, over many records.

Takes results before and after; gives counts by label and by rule, what is open and how much a run
would have to ask, as lines and a table for people.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.decide.replay import count_missing
from safejudge.method.rule import is_open
from safejudge.show.figures import Table
from safejudge.text import counted
from safejudge.types import Failure, Probe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.decide.replay import Replayed
    from safejudge.types import Result

_NONE = "not_relevant"
"""What a rule comes to that there was not, or is not any more: it counts for nothing."""
_WORDS = {
    "questions": ("question", "questions"),
    "reasonings": ("reasoning", "reasonings"),
    "searches": ("search of the detector", "searches of the detector"),
    "similarities": ("similarity", "similarities"),
}


@dataclass(slots=True)
class Changes:
    """Counts over many records."""

    images: int = 0
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Images by label before and after, where these differ and nothing about them is open."""
    changed: int = 0
    """Images of which the label or the outcome of a rule is another."""
    open: int = 0
    """Images whose label hangs on what was not asked."""
    rules: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """By rule, images by outcome before and after; after, `open` is one too."""
    missing: Counter[str] = field(default_factory=Counter)
    """What a run would ask next, by kind."""
    _priors: set[str] = field(default_factory=set)

    def add(self, before: Result, replayed: Replayed) -> bool:
        """Count a record; return whether its label or the outcome of a rule is another now."""
        after = replayed.result
        self.images += 1
        self._add_missing(replayed)
        was, now = label_of(before), label_of(after)
        self.open += now == "open"
        if now not in (was, "open"):
            self.labels[was, now] += 1
        moved = self._add_rules(before, after)
        changes = moved or now not in (was, "open")
        self.changed += changes
        return changes

    def _add_rules(self, before: Result, after: Result) -> bool:
        """Count the rules; return whether one comes to something else."""
        old = {} if isinstance(before, Failure) else before.rules
        new = {} if isinstance(after, Failure) else after.rules
        moved = False
        for rule in dict.fromkeys((*new, *old)):
            was = old[rule].outcome if rule in old else _NONE
            now = _NONE
            if rule in new:
                now = "open" if is_open(new[rule]) else new[rule].outcome
            self.rules.setdefault(rule, Counter())[was, now] += 1
            moved = moved or now not in (was, "open")
        return moved

    def _add_missing(self, replayed: Replayed) -> None:
        """Count what is missing; the language prior of a statement is the same for all images."""
        priors = {r.question for r in replayed.missing if isinstance(r, Probe) and not r.images}
        counts = count_missing(replayed.missing)
        counts["questions"] = counts.get("questions", 0) - len(priors & self._priors)
        self._priors |= priors
        self.missing.update(counts)

    def table(self) -> Table:
        """Show what changes by rule; rules of which nothing does are left out."""
        rows = []
        for rule, counts in self.rules.items():
            if all(was == now for was, now in counts):
                continue
            rows.append((rule, *map(str, _cells(counts))))
        still = len(self.rules) - len(rows)
        return Table(
            "What changes, by rule",
            ("rule", "was violated", "is", "newly", "no longer", "other", "open"),
            tuple(rows),
            f"Images. other: between not violated, undecided and not relevant. Nothing "
            f"changes of {counted(still, 'rule')}."  if still else
            "Images. other: between not violated, undecided and not relevant.",
        )  # fmt: skip

    def lines(self) -> list[str]:
        """Say what changes, in sentences."""
        moves = [f"{n} {was} -> {now}" for (was, now), n in sorted(self.labels.items())]
        said = f"{self.changed} of {counted(self.images, 'image')} change"
        lines = [f"{said}: {', '.join(moves)}" if moves else said]
        if self.open:
            lines.append(f"{counted(self.open, 'image')} open: what they hang on was not asked")
        if asked := self.questions():
            lines.append(f"a run would have to ask {asked}, and what follows from the answers")
        return lines

    def questions(self) -> str:
        """Say what a run would ask next; "" where it is nothing."""
        return ", ".join(
            f"{count} {words[count != 1]}"
            for name, words in _WORDS.items()
            if (count := self.missing[name])
        )


def _cells(counts: Counter[tuple[str, str]]) -> tuple[int, ...]:
    """Count the images of one row: violated before and now, newly, no longer, other, open."""
    moved = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    came = sum(n for (_, now), n in moved.items() if now == "violated")
    went = sum(n for (was, now), n in moved.items() if was == "violated" and now != "open")
    waiting = sum(n for (_, now), n in moved.items() if now == "open")
    went_open = sum(n for pair, n in moved.items() if pair == ("violated", "open"))
    stayed = counts["violated", "violated"]
    other = sum(moved.values()) - came - went - waiting
    return stayed + went + went_open, stayed + came, came, went, other, waiting


def label_of(result: Result) -> str:
    """Return the label, `open` where it hangs on what was not asked, or `failed`."""
    if isinstance(result, Failure):
        return "failed"
    return "open" if "not_asked" in result.undecided_by else result.label


def label_in_words(result: Result) -> str:
    """Write a label with the rules that are violated: "unsafe (armed-child)"."""
    label = label_of(result)
    names: Iterable[str] = () if isinstance(result, Failure) else result.violations
    listed = ", ".join(names)
    return f"{label} ({listed})" if listed else label
