"""`safejudge arena`: ratings of players from games of two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE, OPEN
from safejudge.cli.options import layout, runs
from safejudge.cli.values import count, local_path
from safejudge.errors import OutputError

EXAMPLES = """\
examples:
  safejudge arena run/pairs.jsonl
  safejudge arena run/pairs.jsonl --by rubric --bootstrap 2000
  safejudge arena Pair_JUDGE_rubric.json --without NEWCOMER --out ratings.json

A game is a line {"first": "A", "second": "B", "choice": 0}: 0 the first won, 1
neither, 2 the second. Ratings are Bradley and Terry's by maximum likelihood,
with the mean 1500 and Elo's scale; the order of the games does not matter.
Where a player never lost, or groups have no game between them, there is none.

exit codes:
  0    every list has its ratings
  2    the command or the file has to be changed first
  4    a list has no rating
  130  stopped by Ctrl-C
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge arena`."""

    path: Path
    """The games."""
    by: str | None
    """A field that parts them."""
    without: tuple[str, ...]
    """Players whose games do not count."""
    bootstrap: int
    """How often games are drawn anew."""
    seed: int
    out: Path | None
    """A file of the numbers."""
    overwrite: bool


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "arena",
        help="rate generators, or whoever was compared, from games of two",
        description="Without a model: rate players from games of two, with intervals.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "path", type=local_path, metavar="FILE", help="the games: JSON, JSON lines, CSV"
    )
    parser.add_argument("--by", metavar="FIELD", help="a list for each value of this field")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="PLAYER",
        help="leave this player's games out; may be given several times",
    )
    parser.add_argument(
        "--bootstrap",
        type=count,
        default=1000,
        metavar="N",
        help="draws for the intervals (default: 1000; 0: none)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws (default 0)")
    parser.add_argument(
        "--out", type=local_path, metavar="FILE.json", help="write the numbers here"
    )
    parser.add_argument("--overwrite", action="store_true", help="begin --out anew")
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Rate, print, and write to `--out`."""
    from safejudge.evals import arena
    from safejudge.evals.results import plain
    from safejudge.files.atomic import check_file, replacing, writing
    from safejudge.show.tables import print_end, print_tables
    from safejudge.show.terminal import console

    out = options.out
    if out is not None and check_file(out) and not options.overwrite:
        raise OutputError(f"{out}: exists already; --overwrite writes over it")
    found = arena.arena(
        options.path,
        by=options.by,
        without=options.without,
        resamples=options.bootstrap,
        seed=options.seed,
    )
    if out is not None:
        text = json.dumps(plain(arena.numbers(found)), indent=1, ensure_ascii=False)
        with writing(out), replacing(out) as new:
            new.write_text(f"{text}\n", encoding="utf-8")
    print_tables(console(), arena.tables(found), arena.findings(found), found.unread)
    print_end(console(), "", [] if out is None else [out])
    return OPEN if any(ratings.reasons for ratings in found.ratings.values()) else DONE
