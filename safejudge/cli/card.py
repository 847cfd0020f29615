"""`safejudge card`: a model card of a run of eval, for people and for ROOST's Coop."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import add_policy, layout, runs
from safejudge.cli.switches import variants
from safejudge.cli.values import local_path
from safejudge.constitution.policy_file import load_policy
from safejudge.errors import OutputError
from safejudge.policy import POLICIES

EXAMPLES = """\
examples:
  safejudge card run
  safejudge card run --out card.md
  safejudge card run --thresholds thresholds.yaml --out card.json

Every figure is the run's; what it does not tell is said to be unknown. The JSON
is a model card as ROOST's Coop takes it, with its seven sections; `safejudge`
in it holds the numbers. Figures at the thresholds are of images that they were
not found with, where the run has some.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge card`."""

    folder: Path
    """The folder that `eval --out` wrote."""
    out: Path | None
    """The card; None: Markdown, printed."""
    thresholds: Path | None
    """What `calibrate` wrote; None: not calibrated."""
    base: str | None
    """The run's policy, where it is no preset."""
    settings: tuple[tuple[str, str], ...]
    """Fields of that policy."""
    overwrite: bool
    """Write over what is there."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "card",
        help="make a model card of a run of eval",
        description="Without a model: say what a judge is, by which rules it was measured on\n"
        "what, how good it was, what it cannot do, and which thresholds are recommended.",
        **layout(EXAMPLES),
    )
    parser.add_argument("folder", type=local_path, metavar="RUN", help="what eval --out named")
    parser.add_argument(
        "--out", type=card_file, metavar="FILE", help="the card: FILE.md or FILE.json"
    )
    parser.add_argument(
        "--thresholds",
        type=local_path,
        metavar="FILE.yaml",
        help="what calibrate wrote: two recommended scores of each rule, and what they do here",
    )
    add_policy(parser, default=None)
    parser.add_argument(
        "--overwrite", action="store_true", help="write over the file that is there"
    )
    runs(parser, Options, run)


def card_file(text: str) -> Path:
    """Read the name of a card."""
    path = local_path(text)
    if path.suffix not in (".md", ".json"):
        raise argparse.ArgumentTypeError(f"{text!r} ends neither with .md nor with .json")
    return path


def run(options: Options) -> int:
    """Read the run, and write or print its card."""
    from safejudge.cards.acted import calibrated
    from safejudge.cards.card import card_of, to_json, to_markdown
    from safejudge.cards.recommended import at_thresholds
    from safejudge.cards.run import read_run
    from safejudge.files.atomic import check_file, replacing, writing

    out = options.out
    if out is not None and check_file(out) and not options.overwrite:
        raise OutputError(f"{out}: exists already; --overwrite writes over it")
    names = list(POLICIES) if options.base is None else [options.base]
    policies = list(variants(load_policy(name, options.settings) for name in names))
    facts = read_run(options.folder, policies)
    found = None
    if options.thresholds is not None:
        found = calibrated(options.folder, facts, options.thresholds, policies)
    card = card_of(facts, found)
    if out is not None and out.suffix == ".json":
        text = to_json(card)
    else:
        acted = () if found is None else (at_thresholds(found),)
        text = to_markdown(card, (*facts.result.tables, *acted))
    if out is None:
        print(text, end="")
        return DONE
    with writing(out), replacing(out) as new:
        new.write_text(text, encoding="utf-8")
    return DONE
