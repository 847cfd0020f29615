"""What `safejudge mine` and `safejudge rerank` share: their arguments, and the run behind a bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, OPEN
from safejudge.cli.options import Batching, OutputMode, add_engine_args, notes_of
from safejudge.cli.values import local_path
from safejudge.engines.models import DEFAULT
from safejudge.errors import EngineError, InputError
from safejudge.text import clean, counted

if TYPE_CHECKING:
    import argparse

    from safejudge.matching.pool import Side
    from safejudge.matching.run import Task
    from safejudge.types import JSON

EXITS = """\
FILE has a row {"image": "a.png", "text": "..."} for every pair that belongs
together: JSON lines or CSV. Pictures lie beside it or below.

exit codes:
  0    every query was asked about, and everything was read
  2    the command or a file has to be changed first
  3    a model failed; --resume goes on
  4    something could not be read; --resume asks it again
  130  stopped by Ctrl-C; --resume goes on
"""


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """Options of both commands."""

    queries: Path
    """Pictures and texts that belong together."""
    query: Side
    """Which of both is the query."""
    encoder: str | None
    """URI of the encoder, or `DEFAULT`."""
    engine: str
    engine_args: tuple[tuple[str, Any], ...]
    yes: bool
    """Whether `auto` may download without asking."""
    out: Path
    """A file."""
    mode: OutputMode
    batching: Batching


def add_matching(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--queries",
        type=local_path,
        required=True,
        metavar="FILE",
        help="pictures with their texts",
    )
    parser.add_argument(
        "--query",
        choices=("image", "text"),
        default="image",
        help="which of both is the query; the others are its candidates (default: %(default)s)",
    )
    parser.add_argument(
        "--encoder",
        default=DEFAULT,
        metavar="URI",
        help="which candidates are near: a CLIP or SigLIP, hf:ORG/MODEL (default: what the engine "
        "comes with; only sketch has one)",
    )
    parser.add_argument(
        "--engine", required=True, metavar="URI", help="which meet the query: hf:ORG/MODEL, ..."
    )
    add_engine_args(parser)
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="FILE.jsonl", help="a record a query"
    )
    OutputMode.add(parser, resume="ask only what --out lacks", overwrite="begin --out anew")
    Batching.add(
        parser, 8, limited="only the first N queries", windowed="queries asked and saved together"
    )


def run_matching(
    options: MatchingOptions, work: Callable[[Task, Callable[[int], None]], None]
) -> int:
    """Ask about every query that has no record yet, and say what came of all of them."""
    from safejudge.cli.choice import named
    from safejudge.engines.models import Models
    from safejudge.files.recordfile import check_output
    from safejudge.files.records import image_name, read_records
    from safejudge.matching.pool import read_pool
    from safejudge.matching.run import Task
    from safejudge.policy import Policy
    from safejudge.show.progress import progress
    from safejudge.show.terminal import say

    pool = read_pool(options.queries, options.query)
    check_output(options.out, resume=options.mode.resume, overwrite=options.mode.overwrite)
    engine, engine_args = named(options.engine, dict(options.engine_args), yes=options.yes)
    with closing(Models.opened(engine, options.encoder, None, None, engine_args)) as models:
        if models.encoder is None:
            raise InputError("no encoder is assumed; choose one with --encoder: hf:ORG/MODEL")
        for note in notes_of(models):
            say(f"note: {note}")
        task = Task(
            pool, models, Policy(), options.out, options.batching.window, options.batching.limit,
            resume=options.mode.resume, overwrite=options.mode.overwrite,
        )  # fmt: skip
        with progress(len(pool.queries[: task.limit])) as advance:
            try:
                work(task, advance)
            except (EngineError, KeyboardInterrupt):
                say(f"stopped; the same command with --resume goes on from {options.out}")
                raise
    names = set(map(image_name, pool.queries[: task.limit]))
    rows = [row for name, row in read_records(options.out).items() if name in names]
    for line in told(rows):
        print(clean(line))
    print(clean(f"{options.out}"))
    return OPEN if any(row.get("error") or row["unread"] for row in rows) else DONE


def told(rows: list[JSON]) -> list[str]:
    """Say what came of the queries, and how much of it was not read."""
    labels = Counter(row["label"] for row in rows if not row.get("error"))
    lines = [f"queries {what}: {n}" for what, n in labels.items()]
    whys = Counter(row["why"] for row in rows if row.get("why") and not row.get("error"))
    lines += [f"  {why}: {n}" for why, n in whys.items()]
    if failed := [row for row in rows if row.get("error")]:
        lines.append(f"{len(failed)} not asked about: {failed[0]['error']['message']}")
    unread = sum(len(row["unread"]) for row in rows)
    if unread:
        row = next(row for row in rows if row["unread"])
        problems = row["unread"]
        first = problems[0] if isinstance(problems, list) else next(iter(problems.values()))
        lines.append(f"{counted(unread, 'answer')} not read; the first: {first}")
    return lines
