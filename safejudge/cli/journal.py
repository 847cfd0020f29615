"""`safejudge journal`: look into a journal, take records out and in, and let go of old ones."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, INPUT
from safejudge.cli.options import layout, runs
from safejudge.cli.values import amount, positive
from safejudge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.journal.store import Journal, Kept, Row
    from safejudge.types import JSON

EXAMPLES = """\
examples:
  safejudge journal search journal.db --label undecided --since 2026-11-01
  safejudge journal show journal.db 4d1f0c
  safejudge journal export journal.db --out records.jsonl
  safejudge journal import journal.db records.jsonl
  safejudge journal prune journal.db --days 90

A journal is an SQLite file or postgresql://USER@HOST/DATABASE. replay, report
and calibrate read one as they read records. It takes
pip install 'safejudge[journal]'.

exit codes:
  0    done
  2    the journal or a file has to be changed first, or nothing was found
"""
_FEW = 50
_TOGETHER = 200
"""Records that are read or written at a time."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "journal",
        help="search, export and prune what serve and judge keep",
        description="Look into a journal, and look after it.",
        **layout(EXAMPLES),
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_search(actions)
    _add_show(actions)
    _add_moves(actions)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    parser.add_argument("journal", metavar="JOURNAL", help="the file or address of a journal")
    return parser


def _opened(name: str) -> Journal:
    if find_spec("sqlalchemy") is None:
        raise InputError("a journal needs sqlalchemy: pip install 'safejudge[journal]'")
    from safejudge.journal.store import Journal, is_journal

    if not is_journal(name):
        raise InputError(f"{name}: is no journal; serve --journal and judge --journal make one")
    return Journal(name)


# --- looking ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Search:
    """Options of `safejudge journal search`."""

    journal: str
    image_id: str | None
    rule: str | None
    outcome: str
    label: str | None
    since: float | None
    until: float | None
    client: str | None
    reviewer: str | None
    variant: str
    limit: int


def _add_search(actions: Any) -> None:
    parser = _action(actions, "search", "list judgments, the newest first; JSON lines in a pipe")
    parser.add_argument("--image-id", metavar="SHA256", help="of this image; a beginning is enough")
    parser.add_argument("--rule", metavar="ID", help="of which this rule has --outcome")
    parser.add_argument(
        "--outcome",
        choices=("violated", "not_violated", "undecided", "not_relevant"),
        default="violated",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--label", choices=("safe", "unsafe", "undecided", "failed"), help="with this label"
    )
    parser.add_argument("--since", type=day, metavar="DAY", help="from this day (UTC) on")
    parser.add_argument("--until", type=day, metavar="DAY", help="before this day (UTC)")
    parser.add_argument("--client", metavar="NAME", help="of this client")
    parser.add_argument("--reviewer", metavar="NAME", help="about which this person decided")
    parser.add_argument("--variant", metavar="NAME", default="", help="of this shadow")
    parser.add_argument("--limit", type=positive, default=_FEW, metavar="N", help="(default: 50)")
    runs(parser, Search, search)


def search(options: Search) -> int:
    """List what fits."""
    from safejudge.files import records
    from safejudge.show.terminal import console

    wanted = {
        name: getattr(options, name)
        for name in ("image_id", "rule", "outcome", "label", "since", "until", "client",
                     "reviewer", "variant", "limit")
    }  # fmt: skip
    with _opened(options.journal) as journal:
        found = list(journal.search(**wanted, newest=True))
    if not sys.stdout.isatty():
        for one in found:
            head = {"number": one.id, "at": one.at, "client": one.client}
            sys.stdout.write(records.to_line({**head, **one.record}))
        return DONE if found else INPUT
    from rich.table import Table

    table = Table("number", "time (UTC)", "image", "label", "violations", box=None)
    for one in found:
        violations = ", ".join(one.record.get("violations", ()))
        table.add_row(str(one.id), _time(one.at), one.image_id[:12], one.label, violations)
    console().print(table if found else "nothing fits")
    return DONE if found else INPUT


@dataclass(frozen=True, slots=True)
class Show:
    """Options of `safejudge journal show`."""

    journal: str
    image: str


def _add_show(actions: Any) -> None:
    parser = _action(actions, "show", "show an image: judgments, people's decisions, changes")
    parser.add_argument("image", metavar="IMAGE", help="its SHA-256, or how it begins")
    runs(parser, Show, show)


def show(options: Show) -> int:
    """Print everything about one image."""
    from safejudge.journal.people import decisions
    from safejudge.text import clean

    with _opened(options.journal) as journal:
        found = list(journal.search(image_id=options.image, variant=None))
        ids = {one.image_id for one in found}
        if len(ids) > 1:
            raise InputError(f"{options.image}: {len(ids)} images begin so; write more of it")
        for one in found:
            print(clean(_line(one)))
            for rule, verdict in one.record.get("rules", {}).items():
                score = verdict["score"]
                number = "" if score is None else f" {score:.2f}"
                print(clean(f"  {rule}: {verdict['outcome']}{number}"))
        for said in decisions(journal, image_ids=ids, standing=False):
            gone = "" if said.withdrawn_at is None else f", withdrawn by {said.withdrawn_by}"
            note = f": {said.note}" if said.note else ""
            print(
                clean(
                    f"decision {said.id}, {_time(said.at)}: {said.rule} {said.verdict} "
                    f"({said.reviewer}{gone}){note}"
                )
            )
    if not found:
        print(f"no image of {options.journal} begins with {options.image}", file=sys.stderr)
    return DONE if found else INPUT


def _line(one: Kept) -> str:
    variant = f" (shadow {one.variant})" if one.variant else ""
    action = f", {one.action}" if one.action else ""
    return (
        f"{one.id}, {_time(one.at)}: {one.image} {one.image_id[:12]} {one.label}{action}{variant}"
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(text: str) -> float:
    """Read a day as seconds since 1970 (UTC)."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-11-30") from error


# --- out, in, and away --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Export:
    """Options of `safejudge journal export`."""

    journal: str
    out: Path
    overwrite: bool
    head: int | None


@dataclass(frozen=True, slots=True)
class Import:
    """Options of `safejudge journal import`."""

    journal: str
    records: Path


@dataclass(frozen=True, slots=True)
class Prune:
    """Options of `safejudge journal prune`."""

    journal: str
    days: float


def _add_moves(actions: Any) -> None:
    parser = _action(actions, "export", "write judgments as judge --out does")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--overwrite", action="store_true", help="begin the file anew")
    parser.add_argument(
        "--head",
        type=positive,
        metavar="N",
        help="those of this version of rules, policy and models (default: the latest)",
    )
    runs(parser, Export, export)
    parser = _action(actions, "import", "take judgments from a file of records")
    parser.add_argument("records", type=Path, metavar="RECORDS", help="what judge --out wrote")
    runs(parser, Import, take_in)
    parser = _action(actions, "prune", "delete judgments that are older; decisions stay")
    parser.add_argument("--days", type=amount, required=True, metavar="N", help="older than this")
    runs(parser, Prune, prune)


def export(options: Export) -> int:
    """Write the judgments of one head."""
    from safejudge.files.recordfile import RecordFile, check_output
    from safejudge.journal.stored import JournalRecords
    from safejudge.text import counted

    check_output(options.out, overwrite=options.overwrite)
    _opened(options.journal).close()
    stored = JournalRecords(options.journal, options.head)
    count = 0
    with RecordFile(options.out, stored.head, resume=False, overwrite=options.overwrite) as file:
        for batch in _batches(record.content for record in stored):
            file.append(batch)
            count += len(batch)
    print(f"{counted(count, 'record')} in {options.out}")
    return DONE


def take_in(options: Import) -> int:
    """Keep the records of a file."""
    from safejudge.files.stored import open_stored
    from safejudge.journal.store import Journal
    from safejudge.show.page import made_by
    from safejudge.show.page.recorded import results
    from safejudge.text import counted

    stored = open_stored(options.records)
    about = made_by.about(stored, None, ())
    count = added = 0
    with Journal(options.journal) as journal:
        found = results(stored, about.constitution, about.provenance)
        for batch in _batches(_row(record.content, result) for record, result in found):
            count += len(batch)
            added += journal.add_made(stored.head, journal_digests(stored.head), batch)
    print(f"{counted(count, 'record')}, {added} of them new in {options.journal}")
    return DONE


def _row(content: JSON, result: Any) -> Row:
    from safejudge.files.records import DECISION
    from safejudge.journal.store import Row
    from safejudge.types import Decision

    held = content.get(DECISION)
    return Row(result, None if held is None else Decision.model_validate(held), client="import")


def journal_digests(head: JSON) -> dict[str, str]:
    """Return the digests of the rules that a head of records holds."""
    from safejudge.journal.store import rule_digest
    from safejudge.types import Constitution

    rules = Constitution.model_validate(head["constitution"])
    return {rule.id: rule_digest(rule) for rule in rules.rules}


def prune(options: Prune) -> int:
    """Delete what is old."""
    from safejudge.text import counted

    with _opened(options.journal) as journal:
        gone = journal.prune(options.days, _user())
    print(f"{counted(gone, 'judgment')} deleted")
    return DONE


def _user() -> str:
    """Name whoever runs this, for the trail of changes."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return "unknown"


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(items, _TOGETHER)):
        yield batch
