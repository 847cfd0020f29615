"""`safejudge report`: the tables of an eval anew, from its records; and its files, if need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.errors import InputError
from safejudge.text import clean

EXAMPLES = """\
examples:
  safejudge report run
  safejudge report run --write
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge report`."""

    folder: Path
    """What `eval --out` wrote."""
    write: bool
    """Make the files of results anew, also where they are there."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="make the tables of an eval anew, from its records",
        description="Make the tables of a folder that eval wrote; no model is asked. Files of\n"
        "results (results.json, report.html, ...) are made where they are missing.",
        **layout(EXAMPLES),
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out named")
    parser.add_argument("--write", action="store_true", help="make those files anew in any case")
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Make the files that are missing, and print the tables."""
    from safejudge.evals import reliability, results, suites
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    name = suites.suite_of(options.folder)
    suite = suites.find_suite(name)
    if suite.report is None:
        raise InputError(f"{options.folder}: scored recorded outputs; score them again with eval")
    result = reliability.report(suite.report, options.folder)
    files: list[Path] = []
    if options.write or not all((options.folder / file).exists() for file in results.SHOWN):
        config = results.read_config(options.folder, name)
        files = results.write_results(options.folder, name, result, config)
    print_tables(console(), result.tables, result.findings, result.unread)
    if files:
        print(f"\n{', '.join(clean(str(file)) for file in files)}")
    return DONE
