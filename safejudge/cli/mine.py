"""`safejudge mine`: pairs of pictures and texts -> hard negatives by a judge's scores."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

from safejudge.cli.matching import EXITS, MatchingOptions, add_matching, run_matching
from safejudge.cli.options import layout, runs

EXAMPLES = """\
examples:
  safejudge mine --queries pairs.jsonl --encoder hf:ORG/CLIP --engine hf:ORG/MODEL --out hard.jsonl
  safejudge mine --queries pairs.jsonl --query text --engine hf:sketch --out hard.jsonl --resume

Of the 50 nearest candidates those that score less than the positive are
negatives, ten of them spread over the whole (UniME-V2, arXiv 2510.13515).
Where there are none a record says why; nothing is made up.

"""


@dataclass(frozen=True, slots=True)
class Options(MatchingOptions):
    """Options of `safejudge mine`."""

    delta: float
    """Candidates at this similarity and above are not looked at."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "mine",
        help="find candidates that are near a query and do not meet it",
        description="Mine hard negatives: near by an encoder, and no match by a judge.",
        **layout(EXAMPLES + EXITS),
    )
    add_matching(parser)
    parser.add_argument(
        "--below",
        dest="delta",
        type=_below,
        default=1.0,
        metavar="DELTA",
        help="only candidates below this similarity, since nearer ones are the positive again "
        "(default: %(default)s)",
    )
    runs(parser, Options, run)


def _below(text: str) -> float:
    """Read a similarity that leaves candidates: no NaN, and above the least that there is."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > -1:
        raise argparse.ArgumentTypeError(f"{text!r} is no cosine above -1; leave it out for 1")
    return number


def run(options: Options) -> int:
    """Mine, and say how many queries have negatives."""
    from safejudge.matching.run import mine

    return run_matching(options, lambda task, tick: mine(task, options.delta, tick))
