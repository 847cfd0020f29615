"""`safejudge journal`: look into a journal, take records out and in, and let go of old ones."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from safejudge.cli import journal_moves, journal_people
from safejudge.cli.exits import DONE, INPUT
from safejudge.cli.journal_open import action, opened
from safejudge.cli.options import layout, runs
from safejudge.cli.values import positive
from safejudge.errors import InputError

if TYPE_CHECKING:
    from safejudge.journal.rows import Kept

EXAMPLES = """\
examples:
  safejudge journal search journal.db --label undecided --since 2026-11-01
  safejudge journal show journal.db 4d1f0c
  safejudge journal export journal.db --out records.jsonl
  safejudge journal import journal.db records.jsonl
  safejudge journal labels journal.db --out labels.csv
  safejudge journal prune journal.db --days 90

A journal is an SQLite file or postgresql://USER@HOST/DATABASE. replay, report
and calibrate read one as they read records. It takes
pip install 'safejudge[journal]'.

exit codes:
  0    done
  2    the journal or a file has to be changed first, or nothing was found
"""
_FEW = 50


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
    journal_moves.add(actions)
    journal_people.add(actions)


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
    parser = action(actions, "search", "list judgments, the newest first; JSON lines in a pipe")
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
    with opened(options.journal) as journal:
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
    parser = action(actions, "show", "show an image: judgments, people's decisions, changes")
    parser.add_argument("image", metavar="IMAGE", help="its SHA-256, or how it begins")
    runs(parser, Show, show)


def show(options: Show) -> int:
    """Print everything about one image."""
    from safejudge.journal.people import decisions
    from safejudge.text import clean

    with opened(options.journal) as journal:
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
