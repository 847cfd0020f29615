"""`safejudge report`: the tables of an eval anew, from its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.errors import InputError

EXAMPLES = """\
example:
  safejudge report run
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge report`."""

    folder: Path
    """What `eval --out` wrote."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="make the tables of an eval anew, from its records",
        description="Make the tables of a folder that eval wrote; no model is asked.",
        **layout(EXAMPLES),
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out named")
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Print the tables."""
    from safejudge.evals import reliability, suites
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    suite = suites.find_suite(suites.suite_of(options.folder))
    if suite.report is None:
        raise InputError(f"{options.folder}: scored recorded outputs; score them again with eval")
    result = reliability.report(suite.report, options.folder)
    print_tables(console(), result.tables, result.findings, result.unread)
    return DONE
