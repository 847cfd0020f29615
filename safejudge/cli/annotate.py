"""`safejudge annotate`: several pictures per prompt -> scores and preference pairs."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import Batching, JudgeOptions, OutputMode, layout, runs
from safejudge.cli.values import local_path
from safejudge.errors import EngineError, InputError
from safejudge.preference.pairs import MARGIN
from safejudge.preference.rubrics import NAME, OVERALL, SAFETY
from safejudge.text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.preference.annotate import Summary, Task
    from safejudge.preference.annotator import Annotator
    from safejudge.preference.data import Row
    from safejudge.show.figures import Table

EXAMPLES = """\
examples:
  safejudge annotate prompts.jsonl --constitution rules.yaml --engine hf:ORG/MODEL \\
      --rubric prompt-following=prompt-following --rubric fidelity=fidelity --out pairs
  safejudge annotate drawn/prompts.jsonl --constitution sketch --engine hf:sketch \\
      --rubric prompt-following=sketch-prompt-following --out pairs --resume

DATA has a line per prompt: prompt_id, prompt, and images, each with image_id and image, its path
from the file; or a row per picture, image and prompt. FOLDER gets annotations.jsonl, pairs.jsonl
for DPO trainers, and the pairs' pictures. An unsafe picture is never chosen over a safe one in the
pairs of `overall`.

exit codes:
  0    annotated
  2    the command or a file has to be changed first
  3    the engine failed; --resume goes on
  130  stopped by Ctrl-C; --resume goes on
"""

_PROMPTS = 8
"""Prompts that are annotated together."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge annotate`."""

    data: Path
    """Prompts and their pictures."""
    judge: JudgeOptions
    rubrics: tuple[tuple[str, str], ...]
    """Aspects, and the file or shipped name of the rubric of each."""
    out: Path
    """A folder."""
    margin: float
    """Scores in [0, 1] that differ by no more are a tie."""
    reasons: bool
    """Whether a text is asked for with every score."""
    mode: OutputMode
    batching: Batching


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "annotate",
        help="score several pictures per prompt, and make preference pairs of them",
        description="Score pictures for safety by the constitution and for other aspects by\n"
        "rubrics, and write preference pairs for DPO trainers. Every question is asked.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "data", type=local_path, metavar="DATA", help="prompts and their pictures: JSONL or CSV"
    )
    JudgeOptions.add(parser, exhaustive=True)
    parser.add_argument(
        "--rubric",
        dest="rubrics",
        action="append",
        type=_rubric,
        default=[],
        metavar="ASPECT=FILE",
        help="an aspect, and its rubric: a YAML file whose rules are good, or the name of a "
        "shipped one (prompt-following, fidelity, aesthetics); may be given several times",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="FOLDER", help="what is written"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        metavar="M",
        help="scores in [0, 1] that differ by no more are a tie (default: %(default)s)",
    )
    parser.add_argument(
        "--reasons",
        action="store_true",
        help="ask for two or three sentences on every score, one reply for each picture and "
        "aspect; scores stay what they are",
    )
    OutputMode.add(parser, resume="annotate only what --out lacks", overwrite="begin --out anew")
    Batching.add(
        parser,
        _PROMPTS,
        limited="only the first N prompts",
        windowed="prompts annotated and saved together",
    )
    runs(parser, Options, run)


def _rubric(text: str) -> tuple[str, str]:
    """Read ASPECT=FILE."""
    name, sign, file = text.partition("=")
    if not sign or not file or not NAME.fullmatch(name) or name in {SAFETY, OVERALL}:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ASPECT=FILE, with lower-case words joined by - for the aspect "
            f"(not {SAFETY} or {OVERALL})"
        )
    return name, file


def run(options: Options) -> int:
    """Annotate the prompts, write pairs, and print how many there are of each aspect."""
    from safejudge.preference import annotate
    from safejudge.preference.annotator import Annotator
    from safejudge.preference.data import read_prompts
    from safejudge.preference.rubrics import load_rubric

    options.judge.check()
    rows = read_prompts(options.data)[: options.batching.limit]
    rules = options.judge.rules()
    aspects = [aspect for aspect, _ in options.rubrics]
    if doubled := [aspect for aspect in aspects if aspects.count(aspect) > 1]:
        raise InputError(f"--rubric {doubled[0]}: the aspect is named twice; give it one rubric")
    rubrics = {aspect: load_rubric(file) for aspect, file in options.rubrics}
    task = annotate.Task(
        options.data,
        options.out,
        options.margin,
        options.batching.window,
        resume=options.mode.resume,
        overwrite=options.mode.overwrite,
    )
    policy = options.judge.policy()
    with closing(options.judge.models()) as models:
        annotator = Annotator(rules, models, policy, rubrics, reasons=options.reasons)
        summary = _annotate(annotator, rows, task)
    _print(summary)
    print(clean(f"{task.out / annotate.PAIRS}, {task.out / annotate.ANNOTATIONS}"))
    return DONE


def _annotate(annotator: Annotator, rows: Sequence[Row], task: Task) -> Summary:
    """Annotate behind a bar; a run that stops leaves its records."""
    from safejudge.preference.annotate import annotate
    from safejudge.show.progress import progress
    from safejudge.show.terminal import say

    with progress(len(rows)) as advance:
        try:
            return annotate(annotator, rows, task, advance)
        except (EngineError, KeyboardInterrupt):
            say(f"stopped; the same command with --resume goes on from what is in {task.out}")
            raise


def _print(summary: Summary) -> None:
    from safejudge.show.figures import Table
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    rows = tuple(
        (aspect, str(counts["pairs"]), str(counts["ties"]), str(counts["unscored"]))
        for aspect, counts in summary.counts.items()
    )
    table = Table(
        "Pairs",
        ("aspect", "pairs", "ties", "without a score"),
        rows,
        "Ties differ by no more than the margin. Without a score: a picture of the two was not "
        "judged, stayed undecided, or could not be asked about.",
    )
    tables = [table, *_reason_table(summary)]
    total = f"{counted(summary.prompts, 'prompt')}, {counted(summary.images, 'image')}"
    print_tables(console(), tables, (f"{total}, {summary.failures} of them not judged",))


def _reason_table(summary: Summary) -> list[Table]:
    from safejudge.show.figures import Table

    rows = tuple(
        (aspect, *(str(counts[name]) for name in ("reasons", "unread", "unscored")))
        for aspect, counts in summary.reasons.items()
    )
    heads = ("aspect", "reasons", "unread", "not asked")
    note = (
        "By picture. Unread: the reply was none, and the score stays. Not asked: without a score."
    )
    return [Table("Reasons", heads, rows, note)] if rows else []
