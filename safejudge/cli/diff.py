"""`safejudge diff`: what a change of a constitution means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safejudge.cli.exits import CHANGED, DONE
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_text
from safejudge.constitution.load import load_constitution

EXAMPLES = """\
examples:
  safejudge diff rules-before.yaml rules.yaml
  safejudge diff sketch my-sketch.yaml

"can only be violated less" (or more) is said where it is certain from the
conditions, statements answered alike. Order and nesting are no change.

exit codes:
  0    nothing changed
  1    something changed
  2    a file would be refused
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge diff`: paths of constitutions, or names of shipped ones."""

    old: str
    new: str


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="show what a change of a constitution means",
        description="Compare two constitutions rule by rule: wordings, lost and new exceptions,\n"
        "and whether a rule can only be violated less, or only more.",
        **layout(EXAMPLES),
    )
    for name, role in (("old", "the rules as they were"), ("new", "the rules as they are now")):
        text = f"{role}: a YAML file, or the name of a shipped one"
        parser.add_argument(name, type=local_text, metavar=name.upper(), help=text)
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Compare the two and print the changes."""
    from safejudge.constitution.diff import changes
    from safejudge.show import diff
    from safejudge.show.terminal import print_trimmed

    old, new = load_constitution(options.old), load_constitution(options.new)
    if changed := changes(old, new):
        print_trimmed(diff.changed_rules(changed))
        return CHANGED
    print("no change" if old == new else "no change but in order or nesting")
    return DONE
