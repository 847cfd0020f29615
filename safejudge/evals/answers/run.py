"""A live run of a benchmark of answers beside a picture, recorded item by item.

One record per item holds what every way of judging said, or why its picture was not shown to
anybody. A run that was stopped goes on. Tables are made from the records alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import ImageError, InputError
from safejudge.evals import harness, recorded
from safejudge.evals.answers import protocols as live
from safejudge.evals.answers.pictures import Pictures
from safejudge.evals.answers.prompts import digest
from safejudge.evals.answers.protocols import REASONS, Item
from safejudge.evals.pictures import load_pictures
from safejudge.evals.prompts import Reading  # noqa: TC001 - pydantic reads it
from safejudge.evals.suite import options_of
from safejudge.files import records
from safejudge.show.figures import Table
from safejudge.types import JSON, Failure, Picture

if TYPE_CHECKING:
    from safejudge.evals.answers.protocols import Way
    from safejudge.evals.recorded import Lines
    from safejudge.evals.suite import Run


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    readings: tuple[Reading, ...] = ("written", "weighted")
    """By what the judge writes, by the probabilities of the labels, or both."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a folder holds of a benchmark."""

    items: tuple[Item, ...]
    """Every one that can be judged, in the order of the files."""
    left_out: Mapping[str, int]
    """Why records were left out, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, with the reason."""


# --- what is judged -----------------------------------------------------------------------------


def arguments(given: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    values = {k: v.split(",") if isinstance(v, str) else v for k, v in given.items()}
    if strange := [name for name in given if name != "readings"]:
        raise InputError(f"--suite-arg {strange[0]}: a live run of this suite takes readings")
    args = options_of(Args, values)
    if not args.readings:
        raise InputError("--suite-arg readings=: name written, weighted or both")
    return Args(tuple(dict.fromkeys(args.readings)))


def folder_of(run: Run, suite: str, what: str) -> Path:
    """The folder of the data. Raises `InputError`."""
    if run.data is None:
        raise InputError(f"{suite} needs its data: --data DIR with {what}, and the pictures")
    folder = Path(run.data)
    if not folder.is_dir():
        raise InputError(f"{run.data}: is no folder; name the one that holds {what}")
    return folder


def gather(
    folder: Path, item_of: Callable[[JSON], Item | str | None], what: str, check: Sequence[str]
) -> Data:
    """Read every record below a folder.

    `item_of` makes an item, or says why the record is left out; None for one that is no `what`.
    A folder without a single item is an `InputError`, and so is a `check`ed part that none has.
    """
    items: list[Item] = []
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for lines in recorded.read_folder(folder):
        unread += [f"{lines.file}: {problem}" for problem in lines.problems]
        made = [item_of(record) for record in lines.records]
        unread += _strange(lines, made.count(None), what)
        left_out.update(one for one in made if isinstance(one, str))
        items += [one for one in made if isinstance(one, Item)]
    once = list(_once(items))
    if len(once) < len(items):
        left_out["stands twice, word by word"] += len(items) - len(once)
    if not once:
        why = "".join(f"; {n} left out: {reason}" for reason, n in left_out.items())
        raise InputError(f"{folder}: holds no {what} that can be judged{why}")
    parts = {item.part for item in once}
    if strange := [name for name in check if name not in parts]:
        raise InputError(f"--split {strange[0]}: this data has {', '.join(sorted(parts))}")
    return Data(tuple(once), dict(left_out), tuple(unread))


def _strange(lines: Lines, count: int, what: str) -> list[str]:
    there = len(lines.records)
    return [f"{lines.file}: {count} of {there} records are no {what}"] if count else []


def _once(items: Sequence[Item]) -> list[Item]:
    """Every item once, with a key of its own: files number their items anew."""
    seen: Counter[str] = Counter()
    found: dict[str, Item] = {}
    for item in items:
        same = json.dumps([item.key, item.image, item.question, item.answers, item.truth])
        if same in found:
            continue
        seen[item.key] += 1
        number = f" ({seen[item.key]})" if seen[item.key] > 1 else ""
        about = item.about | {"repeat": seen[item.key] - 1}
        found[same] = replace(item, key=f"{item.key}{number}", about=about)
    return [*found.values()]


# --- judging ------------------------------------------------------------------------------------


def judge_items(run: Run, suite: str, data: Data, ways: Callable[[Item], Sequence[Way]]) -> JSON:
    """Judge every chosen item that has no record yet; what made the answers."""
    items = [data.items[row] for row in harness.sampled([item.part for item in data.items], run)]
    names, prompts = sorted({way.name for item in data.items for way in ways(item)}), digest()
    made_by = harness.provenance(run, names, prompts, engine_alone=True)
    about = {"ways": names, "left_out": dict(data.left_out), "unread": list(data.unread)}
    pictures = Pictures(Path(run.data or ""))
    with harness.record_file(run, made_by, _source(run, suite, data)) as file:
        run.write_json(harness.DATA, about)
        harness.record(
            run,
            file,
            items,
            lambda item: item.key,
            lambda window: _judged(window, pictures, ways, run),
        )
    return about | {"data": run.data, "prompts": prompts}


def _source(run: Run, suite: str, data: Data) -> str:
    """What the records are about: other words under the same keys are other data."""
    texts = [[one.key, one.image, one.question, one.answers, one.truth] for one in data.items]
    return harness.digest(suite, run.data, texts)


def _judged(
    window: Sequence[Item], pictures: Pictures, ways: Callable[[Item], Sequence[Way]], run: Run
) -> list[JSON]:
    """The record of each item: what was said, or why its picture was not shown to anybody."""
    loaded = _load(window, pictures, run)
    shown = [(item, one) for item, one in zip(window, loaded, strict=True)
             if isinstance(one, Picture)]  # fmt: skip
    said = iter(live.say(run.models, ways, shown))
    made = []
    for item, one in zip(window, loaded, strict=True):
        record: JSON = {"image": records.image_name(item.key), "picture": item.image,
                        "truth": item.truth, "about": item.about}  # fmt: skip
        if isinstance(one, Picture):
            made.append(record | {"label": item.truth, "said": next(said)})
        else:
            error = {"reason": one.reason, "message": one.message}
            made.append(record | {"error": error})
    return made


def _load(window: Sequence[Item], pictures: Pictures, run: Run) -> list[Picture | Failure]:
    """The picture of each item, decoded once where several share it."""
    places: dict[str, Path | Failure] = {}
    for told in dict.fromkeys(item.image for item in window):
        try:
            places[told] = pictures.find(told)
        except ImageError as error:
            places[told] = Failure(image=told, reason=error.reason, message=str(error))
    paths = list(dict.fromkeys(one for one in places.values() if isinstance(one, Path)))
    decoded = dict(zip(paths, load_pictures(paths, run), strict=True))
    found = [places[item.image] for item in window]
    return [decoded[one] if isinstance(one, Path) else one for one in found]


# --- what was recorded --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What `judge_items` left in a folder."""

    model: str
    """The engine's URI."""
    judged: tuple[JSON, ...]
    """The records of items that were judged."""
    left_out: Mapping[str, int]
    """As in `Data`."""
    unread: tuple[str, ...]
    """As in `Data`."""
    findings: tuple[str, ...]
    """Items that nobody was asked about, as sentences."""


def kept(out: Path) -> Kept:
    """Read a folder that `judge_items` wrote. Raises `InputError`."""
    found = list(harness.recorded(out).values())
    judged = tuple(record for record in found if "said" in record)
    lost = [record["error"]["message"] for record in found if "error" in record]
    told = (
        f"{len(lost)} of {len(found)} items were not asked about: their picture cannot be shown "
        f"(the first: {lost[0]})."
    ) if lost else ""  # fmt: skip
    about = harness.data_of(out)
    return Kept(
        _model(out / harness.RECORDS), judged, about.get("left_out", {}),
        tuple(about.get("unread", ())), (told,) if told else (),
    )  # fmt: skip


def _model(place: Path) -> str:
    with place.open(encoding="utf-8") as lines:
        try:
            return str(json.loads(next(lines, ""))["provenance"]["model"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{place}: does not begin with what made it; judge again with --overwrite"
            ) from error


def unread_table(judged: Sequence[JSON]) -> list[Table]:
    """Why answers of the judge are none; nothing where all could be read."""
    whys: dict[str, list[str]] = {}
    for record in judged:
        for name, entries in record["said"].items():
            part = f"{record['about']['kind']}: {name}" if "kind" in record["about"] else name
            whys.setdefault(part, []).extend(one.get("why", "") for one in entries)
    rows = tuple(
        (name, str(len(some)), *(str(some.count(why)) for why in REASONS))
        for name, some in sorted(whys.items())
        if any(some)
    )
    note = "Counted by reply; each is no answer, neither a score nor a guess."
    return [Table("What could not be read", ("", "replies", *REASONS), rows, note)] if rows else []
