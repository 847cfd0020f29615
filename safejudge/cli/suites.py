"""`safejudge suites`: the suites of eval, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.errors import InputError
from safejudge.text import clean


@dataclass(frozen=True, slots=True)
class Options:
    """None: `safejudge suites` takes no options."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "suites",
        help="list the suites of eval",
        description="List what eval can measure, a suite a line: its name, and what it is about. "
        "Suites of other packages are listed too.",
        **layout(),
    )
    runs(parser, Options, run)


def run(_: Options) -> int:
    """Print every suite there is, also one that cannot be loaded."""
    from safejudge.evals import suites

    for name in suites.names():
        try:
            description = suites.find_suite(name).summary
        except InputError as error:
            description = str(error)
        print(clean(f"{name:24}{description}"))
    return DONE
