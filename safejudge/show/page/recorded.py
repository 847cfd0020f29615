"""Stored records -> results on pages, with their pictures where they still lie unchanged.

Takes records as `files.stored` reads them; validates each, and finds its picture by its name. A
picture is shown only if its bytes are those that were judged.
"""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING

from pydantic import ValidationError

from safejudge.errors import ImageError, OutputError
from safejudge.files.records import DECISION, FORM, PEOPLE
from safejudge.files.standing import UNREAD
from safejudge.files.stored import need_full
from safejudge.images.load import load_image
from safejudge.images.named import find_bytes
from safejudge.policy import Policy
from safejudge.show.page.card import Beside
from safejudge.show.page.counts import Harm
from safejudge.show.page.thumbnail import deciding_picture
from safejudge.types import Decision, Failure, Judgment, People

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safejudge.files.stored import Stored, StoredRecord
    from safejudge.show.page.judged import Report
    from safejudge.types import JSON, Constitution, ImageInput, Provenance, Result

_BESIDE = (DECISION, PEOPLE, UNREAD, FORM)
"""What a record holds beside the judgment."""


def add_worst(report: Report, stored: Stored, most: int) -> None:
    """Show the `most` worst of some records, and count all. Raises `InputError`."""
    need_full(stored, "show")
    rules = report.about.constitution.rules
    made = (report.about.constitution, report.about.provenance)
    harms = (
        (Harm.of(result, rules, people_of(record)), n)
        for n, (record, result) in enumerate(results(stored, *made))
    )
    chosen = {number for _, number in heapq.nsmallest(most, harms)}
    for number, (record, result) in enumerate(results(stored, *made)):
        if number in chosen:
            add(report, record, result)
        else:
            truth = _truth(report, record, result)
            report.count_only(result, truth, decision_of(record), people_of(record))


def add_all(report: Report, stored: Stored, captions: Mapping[str, str | None]) -> None:
    """Show all records, with the captions that are known by their names. Raises `InputError`."""
    need_full(stored, "show")
    about = report.about
    for record, result in results(stored, about.constitution, about.provenance):
        add(report, record, result, captions.get(result.image))


def results(
    stored: Stored, constitution: Constitution, provenance: Provenance
) -> Iterator[tuple[StoredRecord, Result]]:
    """Validate every record. Raises `OutputError` for one of another form than is written now."""
    ids = {rule.id for rule in constitution.rules}
    for record in stored:
        try:
            result = result_of(record, provenance)
            decision_of(record)
            people_of(record)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            raise OutputError(
                f"{record.where}: is not as this version of safejudge writes records, so no report "
                "can show it; take the version that wrote it, or judge the image again"
            ) from error
        if isinstance(result, Judgment) and set(result.rules) != ids:
            raise OutputError(
                f"{record.where}: was judged by other rules than {constitution.name} has; name the "
                "constitution that it was judged by"
            )
        yield record, result


def result_of(record: StoredRecord, provenance: Provenance) -> Result:
    """Read a record. Raises what reading another form of it raises: `ValueError` and the like."""
    return result_of_content(record.content, provenance)


def result_of_content(content: JSON, provenance: Provenance) -> Result:
    """Read what a record holds; raises as `result_of` does."""
    if content.get("error") is not None:
        return Failure(image=content["image"], id=content.get("id"), **content["error"])
    judged = {name: value for name, value in content.items() if name not in _BESIDE}
    return Judgment.model_validate({**judged, "provenance": provenance})


def decision_of(record: StoredRecord) -> Decision | None:
    """Read what thresholds said to do; None where none were given. Raises `ValueError`."""
    held = record.content.get(DECISION)
    return None if held is None else Decision.model_validate(held)


def people_of(record: StoredRecord) -> People | None:
    """Read what people decided; None where nobody did. Raises `ValueError`."""
    held = record.content.get(PEOPLE)
    return None if held is None else People.model_validate(held)


def add(  # noqa: PLR0913, PLR0917 - what stands beside one record
    report: Report,
    record: StoredRecord,
    result: Result,
    caption: str | None = None,
    before: str | None = None,
    decision: Decision | None = None,
    people: People | None = None,
) -> None:
    """Show one record, with its picture if that is still there and the same.

    `before` says what it was called before it was judged again: then what was to be done with it
    counts no more. `decision` is what is to be done now, and `people` what they settled.
    """
    image, absent = None, ""
    if isinstance(result, Judgment):
        found = _image(record, result, report.about.policy or Policy())
        image, absent = (None, found) if isinstance(found, str) else (found, "")
    truth = _truth(report, record, result)
    decision = decision_of(record) if before is None else decision
    people = people_of(record) if before is None else people
    beside = Beside(image, absent, caption, truth, before, decision, people)
    report.add(result.image, result, beside)


def _truth(report: Report, record: StoredRecord, result: Result) -> str | None:
    return report.truth_of(os.path.join(record.folder or "", result.image))  # noqa: PTH118 - text


def _image(record: StoredRecord, result: Judgment, policy: Policy) -> ImageInput | str:
    """Find and decode what was judged, or say why not."""
    content = find_bytes(result.image, record.folder, result.id, policy.max_bytes)
    if isinstance(content, str):
        return content
    try:
        image = load_image(content, name=result.image, policy=policy)
        if deciding_picture(result, image) is None and policy.max_frames is not None:
            # Which frames are sampled hangs on a seed that no record tells.
            every = policy.model_copy(update={"max_frames": None})
            image = load_image(content, name=result.image, policy=every)
    except ImageError:
        return "cannot be read"
    return image
