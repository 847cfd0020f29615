"""`safejudge compare`: runs of one suite beside each other, by ranks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_path

EXAMPLES = """\
examples:
  safejudge compare run-may run-june
  safejudge compare run-a run-b run-c --by score.pearson

Without a model. Entries of one name are the same entry; runs that share none
are put in one order. Where another judge gave the marks, a warning says so.

exit codes:
  0    compared
  2    the command or a run has to be changed first
  130  stopped by Ctrl-C
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge compare`."""

    folders: tuple[Path, ...]
    """The runs."""
    by: str | None
    """The figure; None: the one that the suite names."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="put runs of eval beside each other, by ranks",
        description="Put the entries of several runs of one suite in order, and say how far the\n"
        "orders agree.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "folders",
        type=local_path,
        nargs="+",
        metavar="RUN",
        help="what eval --out named; two or more",
    )
    parser.add_argument(
        "--by", metavar="FIGURE", help="rank by this figure of results.json (default: the suite's)"
    )
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Compare, and print."""
    from safejudge.evals import compare
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console, say

    found = compare.compare(options.folders, options.by)
    for warning in found.warnings:
        say(f"warning: {warning}")
    print_tables(console(), compare.tables(found))
    return DONE
