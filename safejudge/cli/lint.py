"""`safejudge lint`: problems of constitution files, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safejudge.cli.exits import DONE, INPUT
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_text
from safejudge.text import clean

EXAMPLES = """\
examples:
  safejudge lint rules.yaml more.yaml
  safejudge lint sketch

exit codes:
  0    no errors; there may be warnings
  2    at least one file would be refused, or an example by `safejudge check`
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge lint`."""

    files: tuple[str, ...]
    """Paths of constitutions, or names of shipped ones."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "lint",
        help="check constitution files",
        description="Check constitutions and say for every problem what to write instead.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "files",
        type=local_text,
        nargs="+",
        metavar="FILE",
        help="a YAML file, or the name of a shipped one",
    )
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Check the files and print every problem, a line each."""
    from safejudge.constitution.lint.findings import lint
    from safejudge.golden.examples import lint_examples

    errors = warnings = examples = 0
    for file in options.files:
        of_examples, count = lint_examples(file)
        examples += count
        for finding in [*lint(file), *of_examples]:
            location = file if finding.line is None else f"{file}:{finding.line}"
            print(clean(f"{location}: {finding.level}: {finding.problem}"))
            if finding.instead:
                print(clean(f"  instead: {finding.instead}"))
            errors += finding.level == "error"
            warnings += finding.level == "warning"
    told = f", examples: {examples}" if examples else ""
    print(f"files: {len(options.files)}, errors: {errors}, warnings: {warnings}{told}")
    return INPUT if errors else DONE
