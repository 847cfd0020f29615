"""What a list of records comes to: labels, questions, frames, captions, rules.

Takes records; gives counts, for a run that is under way, for its last lines, and for pages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.files.records import DECISION

if TYPE_CHECKING:
    from safejudge.types import JSON


@dataclass(slots=True)
class Tally:
    """What a list of records comes to."""

    labels: Counter[str] = field(default_factory=Counter)
    """Images per label: safe, unsafe, undecided; `failed` for those that were not judged."""
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

    def add(self, record: JSON) -> None:
        """Count one record."""
        self.labels[record.get("label", "failed")] += 1
        if isinstance(decision := record.get(DECISION), dict):
            self.actions[str(decision["action"])] += 1
        if isinstance(error := record.get("error"), dict):
            self.failures[str(error.get("reason"))] += 1
            self.first_failed = self.first_failed or record.get("image")
        usage = record.get("usage", {})
        self.probes += usage.get("probes", 0)
        self.reasoning_calls += usage.get("reasoning_calls", 0)
        self.detector_calls += usage.get("detector_calls", 0)
        if (frames := record.get("frames")) and frames["looked_at"] < frames["of"]:
            self.frames.update(frames, cut=1)
        use = record.get("caption")
        if isinstance(use, dict):  # records of an eval have a text there
            whole = use["shown"] == use["tokens"]
            self.captions["whole" if whole else "cut" if use["shown"] else "hidden"] += 1
        if isinstance(rules := record.get("rules"), dict):
            self.rules.update(rule["outcome"] for rule in rules.values())
            self.unanswered.update(_unanswered(rules))


def _unanswered(rules: JSON) -> list[str]:
    """What the model wanted to say, once for every statement that it did not answer."""
    wanted: dict[str, str] = {}
    for rule in rules.values():
        for verdict in rule.get("preconditions", ()):
            if verdict.get("test") == "label_mass":
                reads = [read for read in verdict["reads"] if read["view"] != "no_image"]
                wanted[verdict["statement"]] = str(reads[-1].get("top")) if reads else ""
    return list(wanted.values())
