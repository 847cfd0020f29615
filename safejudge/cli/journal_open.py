"""What commands with a journal begin with: a line of options, and an open journal."""

from __future__ import annotations

import getpass
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from safejudge.cli.values import amount, positive
from safejudge.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping
    from contextlib import ExitStack

    from safejudge.journal.ledger import Ledger
    from safejudge.journal.store import Journal

_TOGETHER = 200
"""Records that are read or written at a time."""


def action(actions: Any, name: str, text: str, more: str = "") -> argparse.ArgumentParser:
    """Add a command about one journal; `more` stands below the first sentence of its help."""
    described = text[0].upper() + text[1:] + "." + (f" {more}" if more else "")
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=described, allow_abbrev=False
    )
    parser.add_argument("journal", metavar="JOURNAL", help="the file or address of a journal")
    return parser


def add_reviewers(parser: argparse.ArgumentParser | argparse._ArgumentGroup, meaning: str) -> None:
    """Add how many people have to agree."""
    parser.add_argument(
        "--reviewers",
        type=positive,
        default=1,
        metavar="N",
        help=f"{meaning} (default: %(default)s)",
    )


def add_people(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options of whoever keeps judgments that people look at."""
    add_reviewers(parser, "people who have to agree")
    parser.add_argument(
        "--audit",
        type=amount,
        default=0.0,
        metavar="SHARE",
        help="show people this share of all images, whatever the judge says (default: 0)",
    )


def check_people(journal: str | None, given: Mapping[str, object]) -> None:
    """Refuse options, by name, that mean nothing without a journal. Raises `InputError`."""
    named = [name for name, value in given.items() if value]
    if named and journal is None:
        raise InputError(f"{', '.join(named)}: means nothing without --journal FILE")


def ledger_of(  # noqa: PLR0913 - what a ledger is made of
    name: str,
    stack: ExitStack,
    *,
    audit: float,
    reviewers: int,
    thumbnail: int = 0,
    repeats: bool = False,
) -> Ledger:
    """Open a journal to keep judgments in; it is closed with the stack. Raises `InputError`."""
    if find_spec("sqlalchemy") is None:
        raise InputError("--journal needs sqlalchemy: pip install 'safejudge[journal]'")
    if audit > 1:
        raise InputError(f"--audit {audit} is no share; give 0 to 1, such as 0.01")
    from safejudge.journal.ledger import Ledger
    from safejudge.journal.store import Journal

    journal = stack.enter_context(Journal(name))
    return Ledger(journal, reviewers, audit, thumbnail, repeats)


def opened(name: str) -> Journal:
    """Open a journal that is there. Raises `InputError`."""
    if find_spec("sqlalchemy") is None:
        raise InputError("a journal needs sqlalchemy: pip install 'safejudge[journal]'")
    from safejudge.journal.address import is_journal
    from safejudge.journal.store import Journal

    if not is_journal(name):
        raise InputError(f"{name}: is no journal; serve --journal and judge --journal make one")
    return Journal(name)


def user() -> str:
    """Name whoever runs this, for the trail of changes."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return "unknown"


def batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield what comes, so many at a time that memory holds them."""
    while batch := list(islice(items, _TOGETHER)):
        yield batch
