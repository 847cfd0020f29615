"""Results as one page that a browser opens from the disk; nothing in it is fetched from anywhere.

Takes results as a run streams them, with the rules and the policy they were made by, and decodes
each image once more for a small picture of it; gives one HTML file. Only that picture and the
finished markup of an image are kept, never its pixels. `judged.html` is the page,
`judged_image.html` one image on it; what others wrote passes `clean` and is escaped.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape
from pydantic import ValidationError

from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import check_file, replacing, writing
from safejudge.files.records import image_name
from safejudge.images.load import load_images
from safejudge.method import logic
from safejudge.method.verdict import asked_condition
from safejudge.show import terminal as show
from safejudge.show import wording
from safejudge.show.page.templates import environment
from safejudge.show.page.thumbnail import Thumbnail, deciding_picture
from safejudge.text import clean_lines, counted
from safejudge.types import Failure, Judgment, operator, parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.policy import Policy
    from safejudge.types import (
        JSON,
        Condition,
        Constitution,
        ImageInput,
        PreconditionVerdict,
        Provenance,
        Result,
        Rule,
        RuleVerdict,
        View,
    )

LABELS = ("unsafe", "undecided", "failed", "safe")
"""In the order in which a person wants to see them."""

_MARK = b"<!doctype html>\n<!-- safejudge report -->\n"
"""What such a page begins with."""
_LISTED = ("violated", "undecided")
"""Outcomes of the rules that are shown in full."""


# --- files ----------------------------------------------------------------------------------------


def check(path: Path, *, out: Path | None, resume: bool, overwrite: bool) -> None:
    """Raise, before any image is judged, where a page cannot be or must not be written to `path`.

    An existing file is replaced with `overwrite`, and with `resume` if it is such a page: the
    records that it showed are those that the run goes on from.
    """
    if out is not None and _absolute(out) == _absolute(path):
        raise InputError(f"{path}: --out and --report name the same file; give them two names")
    if not check_file(path):
        return
    if resume and not _is_page(path):
        raise OutputError(f"{path}: exists already and is no report of safejudge; name another")
    if not resume and not overwrite:
        raise OutputError(f"{path}: exists already; --overwrite begins it anew, or name another")


def _absolute(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_page(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MARK)) == _MARK
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from error


# --- the page -------------------------------------------------------------------------------------


class _RuleRow(NamedTuple):
    """One rule on one image."""

    rule: Rule
    condition: Condition
    losses: tuple[str, ...]
    verdict: RuleVerdict


class Report:
    """A page that grows with a run and is written when it ends."""

    def __init__(
        self,
        path: Path,
        constitution: Constitution,
        policy: Policy,
        provenance: Provenance,
        *,
        replace: bool = False,
    ) -> None:
        """Begin a page about results of this constitution, policy and provenance.

        A file that exists by the time the page is written stays as it is without `replace`.
        """
        self.path = path
        self._replace = replace
        self._constitution, self._policy, self._provenance = constitution, policy, provenance
        self._rules = [
            (
                rule,
                asked_condition(rule, policy),
                () if policy.tree else logic.flatten(rule.condition)[1],
            )
            for rule in constitution.rules
        ]
        self._labels: Counter[str] = Counter()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._images: list[str] = []
        templates = environment()
        templates.filters["lines"] = _lines
        templates.globals.update(
            wording=wording,
            show=show,
            scale=_scale,
            settled_by=settled_by,
            counted=counted,
            operator=operator,
            parts=parts,
        )
        self._page = templates.get_template("judged.html")
        self._image = templates.get_template("judged_image.html")

    @property
    def count(self) -> int:
        """How many images are on the page."""
        return len(self._images)

    def add_file(self, path: str, result: Result, caption: str | None = None) -> None:
        """Add the result of the image at `path`, which is decoded once more.

        It stands without a picture if it cannot be read, or is not what was judged any more.
        """
        (loaded,) = load_images([path], self._policy)
        if isinstance(loaded, Failure) or loaded.id != result.id:
            self.add(path, result, None, caption)
        else:
            self.add(path, result, loaded, caption)

    def add_recorded(self, file: Path, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Add what a file of records holds that a run with this provenance goes on with.

        `pairs` are the paths of that run with their captions; other paths are taken from the file.
        Raises `OutputError` for a record that another version of safejudge wrote in another form.
        """
        chosen = {image_name(path): (path, caption) for path, caption in pairs}
        with file.open(encoding="utf-8") as stream:
            next(stream, None)  # the header, which `RecordFile` has compared
            for number, text in enumerate(stream, start=2):
                line = json.loads(text)
                try:
                    result = _result(line, self._provenance)
                except (ValidationError, KeyError, TypeError) as error:
                    raise OutputError(
                        f"{file}:{number}: is not as this version of safejudge writes records, so "
                        "no report can show it; leave --report out"
                    ) from error
                path, caption = chosen.get(line["image"], (line["image"], None))
                self.add_file(path, result, caption)

    def add(
        self,
        name: str,
        result: Result,
        image: ImageInput | None = None,
        caption: str | None = None,
    ) -> None:
        """Add one result, with its image if there is one and the caption it was judged with."""
        folder, base = os.path.split(name)
        context = {
            "number": self.count + 1,
            "name": name,
            "folder": os.path.join(folder, "") if folder else "",  # noqa: PTH118 - keeps the separator
            "base": base or name,
            "caption": caption,
            "result": result,
            "policy": self._policy,
        }
        verdicts = {} if isinstance(result, Failure) else result.rules
        rows = [_RuleRow(*rule, verdicts[rule[0].id]) for rule in self._rules if verdicts]
        listed = [row for outcome in _LISTED for row in rows if row.verdict.outcome == outcome]
        label = "failed" if isinstance(result, Failure) else result.label
        picture = None if image is None else deciding_picture(result, image)
        self._images.append(
            self._image.render(
                context,
                label=label,
                listed=listed,
                compared=any(row.verdict.similarity is not None for row in rows),
                others=[row for row in rows if row.verdict.outcome not in _LISTED],
                rules=[index for index, row in enumerate(rows) if row.verdict.outcome in _LISTED],
                picture=picture and Thumbnail.of(picture, [row.verdict for row in listed]),
            )
        )
        self._labels[label] += 1
        self._outcomes.update((row.rule.id, row.verdict.outcome) for row in rows)

    def write(self, expected: int = 0) -> None:
        """Write the page whole or not at all; it says so if less than `expected` images are on it.

        Raises `OutputError` if it cannot be written, or exists and is not to be replaced.
        """
        parts = self._page.generate(
            constitution=self._constitution,
            policy=self._policy,
            provenance=self._provenance,
            images=map(Markup, self._images),
            labels={label: self._labels[label] for label in LABELS},
            outcomes=self._outcomes,
            total=self.count,
            missing=max(0, expected - self.count),
        )
        with writing(self.path), replacing(self.path) as new:
            with new.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(parts)
            if not self._replace and os.path.lexists(self.path):
                raise OutputError(f"{self.path}: exists by now, and was left as it is")


def _lines(text: str) -> Markup:
    return escape(clean_lines(text.strip()))


def _result(line: JSON, provenance: Provenance) -> Result:
    if "error" in line:
        return Failure(image=line["image"], id=line["id"], **line["error"])
    return Judgment.model_validate({**line, "provenance": provenance})


# --- numbers --------------------------------------------------------------------------------------


class _Scale(NamedTuple):
    """What the first tests compared, as shares of a line."""

    low: float
    high: float
    p0: float
    marks: list[tuple[View, float]]


def _scale(verdict: PreconditionVerdict, policy: Policy) -> _Scale | None:
    """Return what to draw of a precondition's numbers; None where the tests had none."""
    bounds = wording.bounds(verdict, policy)
    views: tuple[View, ...] = ("full", "region_crop", "region_removed")
    numbers = [(view, wording.number(verdict, view, policy)) for view in views]
    marks = [(view, number) for view, number in numbers if number is not None]
    if bounds is None or not marks:
        return None
    return _Scale(bounds.low, bounds.high, bounds.p0, marks)


def settled_by(verdict: RuleVerdict, condition: Condition) -> list[str]:
    """Name the answers that settled a rule, each with its sign and what decided it."""
    answers = wording.settling(condition, wording.by_precondition(verdict))
    return [f"{wording.SIGNS[v.outcome]} {v.statement} ({v.test}, {v.score:.2f})" for v in answers]
