"""`safejudge rerank`: the nearest candidates of every query, in a judge's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.cli.matching import EXITS, MatchingOptions, add_matching, run_matching
from safejudge.cli.options import layout, runs

if TYPE_CHECKING:
    from safejudge.matching.run import By

EXAMPLES = """\
examples:
  safejudge rerank --queries pairs.jsonl --encoder hf:ORG/CLIP --engine hf:ORG/MODEL \\
      --out ranked/by-scores.jsonl
  safejudge rerank --queries pairs.jsonl --engine hf:ORG/MODEL --encoder hf:ORG/CLIP \\
      --by choice --out ranked/by-choice.jsonl
  safejudge eval retrieval --from-outputs ranked/

"""


@dataclass(frozen=True, slots=True)
class Options(MatchingOptions):
    """Options of `safejudge rerank`."""

    by: By
    """How the order is found."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rerank",
        help="put the nearest candidates of a query in a judge's order",
        description="Find the nearest ten candidates by an encoder, and have a judge order them.",
        **layout(EXAMPLES + EXITS),
    )
    add_matching(parser)
    parser.add_argument(
        "--by",
        choices=("scores", "choice"),
        default="scores",
        help="scores: a question about each; choice: one request with all of them, numbered "
        "(default: %(default)s)",
    )
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Rank, and say of how many queries."""
    from safejudge.matching.run import rerank

    return run_matching(options, lambda task, tick: rerank(task, options.by, tick))
