"""What a list of records comes to: labels, questions, frames, captions, rules.

Takes records; gives counts, for a run that is under way, for its last lines, and for pages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.files.records import DECISION, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import JSON


@dataclass(slots=True)
class Tally:
    """What a list of records comes to."""

    labels: Counter[str] = field(default_factory=Counter)
    """Images per label: safe, unsafe, undecided; `failed` for those that were not judged. Where
    people decided, theirs counts."""
    people: Counter[str] = field(default_factory=Counter)
    """Images about which people decided, by what the judge said."""
    failures: Counter[str] = field(default_factory=Counter)
    """Images that were not judged, by reason."""
    first_failed: str | None = None
    """The first of them."""
    probes: int = 0
    """Questions, over all images."""
    reasoning_calls: int = 0
    """Replies, over all images."""
    detector_calls: int = 0
    """Searches of the detector, over all images."""
    looks: int = 0
    """Looks of programs, over all images."""
    by_programs: int = 0
    """Rules that programs settled, over all images, so that nothing was asked; where the records
    that were counted hold them."""
    blind: Counter[str] = field(default_factory=Counter)
    """Why programs could not look, with how often; there too."""
    actions: Counter[str] = field(default_factory=Counter)
    """Images per action: block, pass, person; empty where no thresholds were given."""
    frames: Counter[str] = field(default_factory=Counter)
    """Of animations that were not looked at whole: how many (`cut`), and frames `looked_at` and
    `of`, as in `types.Frames`."""

    captions: Counter[str] = field(default_factory=Counter)
    """Captions by how they were shown: `whole`, `cut`, `hidden` for those that were too long."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rules by outcome, over all images, where the records that were counted hold them."""

    unanswered: Counter[str] = field(default_factory=Counter)
    """Statements that got neither yes nor no of an image (too little label mass), by what the
    model wanted to say instead; where the records that were counted hold them."""

    engines: dict[str, Counter[str]] = field(default_factory=dict)
    """Where a judge has several engines: `questions` and `reasonings` of each, and statements that
    it gave no answer to (`silent`)."""
    statements: Counter[str] = field(default_factory=Counter)
    """There too: the answers to statements of each image by each rule, `all` and those that another
    engine was asked about after the others (`escalated`)."""

    def add(self, record: JSON) -> None:
        """Count one record."""
        label = record.get("label", "failed")
        if isinstance(people := record.get(PEOPLE), dict):
            self.people[label] += 1
            label = people["label"]
        self.labels[label] += 1
        if isinstance(decision := record.get(DECISION), dict):
            self.actions[str(decision["action"])] += 1
        if isinstance(error := record.get("error"), dict):
            self.failures[str(error.get("reason"))] += 1
            self.first_failed = self.first_failed or record.get("image")
        usage = record.get("usage", {})
        self.probes += usage.get("probes", 0)
        self.reasoning_calls += usage.get("reasoning_calls", 0)
        self.detector_calls += usage.get("detector_calls", 0)
        self.looks += usage.get("looks", 0)
        for engine, spent in usage.get("by_engine", {}).items():
            self._engine(engine).update(
                questions=spent["probes"], reasonings=spent["reasoning_calls"]
            )
        if (frames := record.get("frames")) and frames["looked_at"] < frames["of"]:
            self.frames.update(frames, cut=1)
        use = record.get("caption")
        if isinstance(use, dict):  # records of an eval have a text there
            whole = use["shown"] == use["tokens"]
            self.captions["whole" if whole else "cut" if use["shown"] else "hidden"] += 1
        if isinstance(rules := record.get("rules"), dict):
            self.rules.update(rule["outcome"] for rule in rules.values())
            self.unanswered.update(_unanswered(rules))
            if "looks" in usage:
                self._add_programs(rules)
            if "by_engine" in usage:
                self._add_opinions(rules)

    def _add_programs(self, rules: JSON) -> None:
        """Count what programs settled, and why they could not look."""
        for rule in rules.values():
            answers = rule.get("preconditions", ())
            settled = answers and all(answer["test"] == "program" for answer in answers)
            self.by_programs += bool(settled and rule["outcome"] != "undecided")
            findings = (answer.get("finding") for answer in answers)
            self.blind.update(f["said"] for f in findings if f and f["holds"] is None)

    def _engine(self, name: str) -> Counter[str]:
        return self.engines.setdefault(name, Counter())

    def _add_opinions(self, rules: JSON) -> None:
        """Count whom the statements went to, and who had no answer."""
        for verdict in _answers(rules):
            escalated = "engine" in verdict
            self.statements.update(all=1, escalated=int(escalated))
            for opinion in (*verdict.get("opinions", ()), *([verdict] if escalated else ())):
                silent = opinion["test"] in _SILENT and opinion.get("reasoning") is None
                self._engine(opinion["engine"])["silent"] += silent


_SILENT = ("label_mass", "unreadable")


def _answers(rules: JSON) -> Iterator[JSON]:
    """Yield every answer to a statement, of a captioned image in both looks."""
    for rule in rules.values():
        for look in (rule, rule.get("set_aside") or {}):
            yield from look.get("preconditions", ())


def _unanswered(rules: JSON) -> list[str]:
    """What the model wanted to say, once for every statement that it did not answer."""
    wanted: dict[str, str] = {}
    for rule in rules.values():
        for verdict in rule.get("preconditions", ()):
            if verdict.get("test") == "label_mass":
                looks = [
                    read
                    for answer in (verdict, *verdict.get("opinions", ()))
                    if answer["test"] == "label_mass"
                    for read in answer["reads"]
                ]
                reads = [read for read in looks if read["view"] != "no_image"]
                wanted[verdict["statement"]] = str(reads[-1].get("top")) if reads else ""
    return list(wanted.values())
