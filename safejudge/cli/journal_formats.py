"""`safejudge journal export --format label-studio`, `steps` and `inspect`: for other tools."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from safejudge.cli.exits import DONE
from safejudge.cli.journal_open import opened
from safejudge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from safejudge.journal.rows import Kept
    from safejudge.journal.store import Journal
    from safejudge.journal.stored import JournalRecords
    from safejudge.policy import Policy
    from safejudge.show.page.judged import About
    from safejudge.types import JSON

_FAILED = "images that could not be judged"
_AGAIN = "further judgments of the same image"
_UNSCORED = "images without a score, for every rule was skipped"
_NOT_OPEN = "images of which nothing is open"
_NO_SIZE = "images whose boxes have no place in percent, for their files are not here"


@dataclass(frozen=True, slots=True)
class Tasks:
    """What a user says of tasks."""

    open: bool
    images: str | None
    overwrite: bool
    steps: bool
    """A task for each step of a trace, not for each image."""


def label_studio(address: str, head: int | None, out: Path, wanted: Tasks) -> int:
    """Write tasks, and the labeling config beside them."""
    from safejudge.files.atomic import replacing, writing
    from safejudge.files.recordfile import check_output
    from safejudge.journal.queue import open_images

    config = out.with_suffix(".xml")
    if config == out:
        raise InputError(f"{out}: .xml is for the labeling config; name a .json file")
    check_output(config, overwrite=wanted.overwrite)
    left_out: Counter[str] = Counter()
    with opened(address) as journal:
        stored, about = _read(address, head)
        chosen = open_images(journal) if wanted.open else None
        config_text, make = _maker(journal, about, wanted, left_out)
        with writing(out), replacing(out) as new, new.open("w", encoding="utf-8") as stream:
            judged = _judged(journal, stored, chosen, left_out)
            count = _write(stream, (task for kept in judged for task in make(kept)))
            _check(count, address, left_out)
    with writing(config), replacing(config) as new:
        new.write_text(config_text, encoding="utf-8")
    return _told(count, "task", f"{out}, {config}", left_out)


def _write(stream: TextIO, tasks: Iterable[JSON]) -> int:
    count = 0
    stream.write("[")
    for task in tasks:
        stream.write(",\n" if count else "\n")
        stream.write(json.dumps(task))
        count += 1
    stream.write("\n]\n")
    return count


def _maker(
    journal: Journal, about: About, wanted: Tasks, left_out: Counter[str]
) -> tuple[str, Callable[[Kept], Iterable[JSON]]]:
    """Return the labeling config, and what makes tasks of a judgment."""
    from safejudge.journal.label_studio import TaskMaker, addressed, config_of
    from safejudge.journal.rows import rule_digests
    from safejudge.journal.trace_tasks import StepTasks, config
    from safejudge.policy import Policy

    policy = about.policy or Policy()

    def address(kept: Kept) -> str:
        if wanted.images is not None:
            return addressed(wanted.images, kept.image)
        small = journal.thumbnail(kept.id)
        if small is None:
            return kept.image
        return f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"

    model = f"{about.provenance.model} {about.provenance.revision[:12]}"
    if wanted.steps:
        return config(), StepTasks(about.constitution, model, address).tasks
    digests = rule_digests(about.constitution)
    maker = TaskMaker(digests, model, address, lambda kept: _size(kept, policy))

    def one(kept: Kept) -> list[JSON]:
        task, boxless = maker.task(kept)
        left_out[_NO_SIZE] += boxless
        return [task]

    return config_of(about.constitution), one


def _size(kept: Kept, policy: Policy) -> tuple[int, int] | None:
    """Width and height of a picture that still lies where it was judged."""
    from safejudge.errors import ImageError
    from safejudge.images.load import load_image
    from safejudge.images.named import find_bytes

    content = find_bytes(kept.image, None, kept.image_id, policy.max_bytes)
    if isinstance(content, str):
        return None
    try:
        picture = load_image(content, name=kept.image, policy=policy).pictures[0]
    except ImageError:
        return None
    height, width = picture.pixels.shape[:2]
    return width, height


def inspect(address: str, head: int | None, out: Path) -> int:
    """Write scores."""
    from safejudge.files.atomic import replacing, writing
    from safejudge.journal.inspect_scores import score_of
    from safejudge.journal.labels import names_of
    from safejudge.show.page.recorded import result_of_content
    from safejudge.types import Judgment

    if out.suffix.lower() != ".jsonl":
        raise InputError(f"{out}: inspect_ai tells JSON lines by their name; name a .jsonl file")
    left_out: Counter[str] = Counter()
    count = 0
    with opened(address) as journal:
        stored, about = _read(address, head)
        names = names_of(journal, [one.image_id for one in journal.search(heads=stored.numbers)])
        with writing(out), replacing(out) as new, new.open("w", encoding="utf-8") as stream:
            for kept in _judged(journal, stored, None, left_out):
                judgment = result_of_content(kept.record, about.provenance)
                assert isinstance(judgment, Judgment)  # noqa: S101 - failures are left out
                line = score_of(judgment, names[kept.image_id], about.provenance)
                left_out[_UNSCORED] += line is None
                if line is not None:
                    stream.write(json.dumps(line, allow_nan=False) + "\n")
                    count += 1
            _check(count, address, left_out)
    return _told(count, "score", f"{out}", left_out)


def _read(address: str, head: int | None) -> tuple[JournalRecords, About]:
    from safejudge.journal.stored import JournalRecords
    from safejudge.show.page import made_by

    stored = JournalRecords(address, head)
    return stored, made_by.about(stored, None, ())


def _judged(
    journal: Journal, stored: JournalRecords, chosen: set[str] | None, left_out: Counter[str]
) -> Iterator[Kept]:
    """Yield a judgment of each image; one with several captions has several, and one is enough."""
    from safejudge.journal.rows import FAILED

    seen: set[str] = set()
    for kept in journal.search(heads=stored.numbers):
        if kept.label == FAILED:
            left_out[_FAILED] += 1
        elif chosen is not None and kept.image_id not in chosen:
            left_out[_NOT_OPEN] += 1
        elif kept.image_id in seen:
            left_out[_AGAIN] += 1
        else:
            seen.add(kept.image_id)
            yield kept


def _check(count: int, address: str, left_out: Counter[str]) -> None:
    if not count:
        why = ", ".join(f"{number} {what}" for what, number in left_out.items() if number)
        raise InputError(f"{address}: has nothing to write ({why or 'no judgment'})")


def _told(count: int, what: str, where: str, left_out: Counter[str]) -> int:
    from safejudge.show.terminal import say
    from safejudge.text import counted

    for why, number in left_out.items():
        if number:
            say(f"left out: {number} {why}")
    print(f"{counted(count, what)} in {where}")
    return DONE
