"""Results as pages that a browser opens from the disk; nothing in them is fetched from anywhere.

Takes results as a run streams them or as records hold them, with the rules and the policy they were
made by; gives HTML files, the worst images first. What is drawn of an image waits on the disk, so
memory holds a few numbers of each. `judged.html` is a page, `card` draws one image on it, `sheets`
writes the files.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from safejudge.files.atomic import writing
from safejudge.images.load import load_images
from safejudge.policy import Policy
from safejudge.show import actions, wording
from safejudge.show.page import sheets
from safejudge.show.page.card import Beside, Cards
from safejudge.show.page.counts import LABELS, LISTED, Counts, Harm, came_in, label_of
from safejudge.show.page.sheets import MOST, PAGE, check
from safejudge.show.page.templates import environment
from safejudge.text import counted
from safejudge.types import Failure, needs_no_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from safejudge.images.load import ImageSource
    from safejudge.show.page.evidence import Seek
    from safejudge.show.terminal import TruthOf
    from safejudge.types import Constitution, Decision, Intake, People, Provenance, Result

__all__ = ["About", "Report", "check"]


@dataclass(frozen=True, slots=True)
class About:
    """What made the results, and what is known of their run."""

    constitution: Constitution
    policy: Policy | None
    """None where it is not known: then no bounds are drawn."""
    provenance: Provenance
    date: str | None = None
    """The day on which the run was begun: 2026-11-29."""
    intake: Intake | None = None
    """What came in."""
    notes: tuple[str, ...] = ()
    """What else a reader should know of them, a sentence each."""


class _Waiting(NamedTuple):
    """One image that was drawn, and where its markup waits."""

    harm: Harm
    number: int
    label: str
    action: str
    """What is to be done with it; "" where no thresholds decided."""
    outcomes: tuple[tuple[str, str], ...]
    """Rules that are violated or undecided."""
    start: int
    size: int


class Report:
    """Pages that grow with a run and are written when it ends."""

    def __init__(  # noqa: PLR0913 - what pages are, and how they are written
        self,
        path: Path,
        about: About,
        *,
        replace: bool = False,
        expected: int = 0,
        most: int = MOST,
        truth_of: TruthOf = lambda _: None,
        seek: Seek | None = None,
    ) -> None:
        """Begin pages about results of this constitution, policy and provenance, at `path`.

        A file that exists by the time they are written stays as it is without `replace`. `expected`
        images are to come; `most` of all are shown; `truth_of` a path says what is true there;
        `seek` looks in a picture for what a violation rests on.
        Raises `OutputError` where somebody else's file has the name of a further page.
        """
        self.path, self.about = path, about
        self.counts = Counts()
        self._replace, self._most = replace, most
        self.truth_of = truth_of
        self._cards = Cards(about.constitution, about.policy, seek)
        self._waiting: list[_Waiting] = []
        self._markup = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the report
        sheets.check_further(path, sheets.count(min(expected, most)))

    @property
    def count(self) -> int:
        """How many results were added or counted."""
        return self.counts.total

    def add_file(  # noqa: PLR0913, PLR0917 - what stands beside one result
        self,
        path: str,
        result: Result,
        caption: str | None = None,
        decision: Decision | None = None,
        people: People | None = None,
        source: ImageSource | None = None,
    ) -> None:
        """Add the result of the image at `path`, which is decoded once more.

        `source` is what is decoded where it is no file. It stands without a picture if it cannot be
        read, or is not what was judged any more.
        """
        image, absent = None, ""
        if not isinstance(result, Failure):
            what = path if source is None else source
            (loaded,) = load_images([what], self.about.policy or Policy())
            if isinstance(loaded, Failure):
                absent = "missing"
            elif loaded.id != result.id:
                absent = "changed"
            else:
                image = loaded
        truth = self.truth_of(path)
        beside = Beside(image, absent, caption, truth, decision=decision, people=people)
        self.add(path, result, beside)

    def add(self, name: str, result: Result, beside: Beside | None = None) -> None:
        """Add one result, with what is known beside it."""
        beside = beside or Beside()
        number = len(self._waiting) + 1
        markup = self._cards.card(number, name, result, beside).encode()
        start = self._markup.tell()
        with writing(self.path):
            self._markup.write(markup)
        verdicts = {} if isinstance(result, Failure) else result.rules
        self._waiting.append(
            _Waiting(
                harm=Harm.of(result, self.about.constitution.rules, beside.people),
                number=number,
                label=label_of(result, beside.people),
                action="" if beside.decision is None else beside.decision.action,
                outcomes=tuple((n, v.outcome) for n, v in verdicts.items() if v.outcome in LISTED),
                start=start,
                size=len(markup),
            )
        )
        self.counts.add(result, beside.truth, beside.decision, beside.people)
        if beside.image is None and not isinstance(result, Failure):
            self.counts.absent[beside.absent or "not at hand"] += 1

    def count_only(
        self,
        result: Result,
        truth: str | None = None,
        decision: Decision | None = None,
        people: People | None = None,
    ) -> None:
        """Count one result that is not to be shown."""
        self.counts.add(result, truth, decision, people)

    def write(self, expected: int = 0) -> None:
        """Write all pages or none, once; the first says if less than `expected` images came.

        Raises `OutputError` if they cannot be written, or exist and are not to be replaced.
        """
        shown = sorted(self._waiting)[: self._most]
        groups = [shown[start : start + PAGE] for start in range(0, len(shown), PAGE)] or [[]]
        template = environment()
        template.globals.update(wording=wording, counted=counted, actions=actions)
        page = template.get_template("judged.html")
        common = {
            "about": self.about,
            "constitution": self.about.constitution,
            "policy": self.about.policy,
            "provenance": self.about.provenance,
            "by_programs": [
                rule.id for rule in self.about.constitution.rules if needs_no_model(rule.condition)
            ],
            "counts": self.counts,
            "arrived": came_in(self.about.intake, self.counts.total),
            "missing": max(0, expected - self.count),
            "shown": len(shown),
            "kind": sheets.KIND,
            "files": [
                sheets.address(sheets.sheet(self.path, number + 1)) for number in range(len(groups))
            ],
        }
        pages = [
            page.generate(common, **self._of_page(number, group))
            for number, group in enumerate(groups, start=1)
        ]
        with self._markup:
            sheets.write(self.path, pages, replace=self._replace)

    def _of_page(self, number: int, group: Sequence[_Waiting]) -> dict[str, object]:
        """What one page has of its own."""
        labels = Counter(waiting.label for waiting in group)
        return {
            "page": number,
            "first": 1 + (number - 1) * PAGE,
            "images": self._images(group),
            "on_page": len(group),
            "to_do": Counter(waiting.action for waiting in group),
            "labels": {label: labels[label] for label in LABELS},
            "outcomes": Counter(pair for waiting in group for pair in waiting.outcomes),
        }

    def _images(self, group: Iterable[_Waiting]) -> Iterator[Markup]:
        for waiting in group:
            self._markup.seek(waiting.start)
            yield Markup(self._markup.read(waiting.size).decode())  # noqa: S704 - escaped
