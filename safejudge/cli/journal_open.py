"""What every `safejudge journal` command begins with: its line of options, and an open journal."""

from __future__ import annotations

import getpass
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

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


def opened(name: str) -> Journal:
    """Open a journal that is there. Raises `InputError`."""
    if find_spec("sqlalchemy") is None:
        raise InputError("a journal needs sqlalchemy: pip install 'safejudge[journal]'")
    from safejudge.journal.database import is_journal
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
