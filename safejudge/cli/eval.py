"""`safejudge eval`: one suite's run, or the score of recorded outputs; printed, and written."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import INPUT, OF_MEASURES, of_coverage
from safejudge.cli.options import Batching, JudgeOptions, OutputMode, layout, runs
from safejudge.cli.values import local_path, local_text, positive, setting
from safejudge.engines.effect import missing, refused_choices, unread_priors
from safejudge.engines.open import AUTO
from safejudge.engines.programs import idle_programs, judged_by_programs
from safejudge.errors import InputError, OutputError
from safejudge.judge import WINDOW

if TYPE_CHECKING:
    from rich.progress import Progress

    from safejudge.engines.models import Models
    from safejudge.evals.suite import EvalResult, Run, Suite
    from safejudge.types import JSON

EXAMPLES = """\
examples:
  safejudge eval labelled --data photos/ --constitution rules.yaml --engine hf:ORG/MODEL --out run
  safejudge eval mj-bench --data drawn --constitution sketch --engine hf:sketch --out run
  safejudge eval mj-bench --data drawn --engine hf:ORG/MODEL --out run \\
      --split quality --suite-arg modes=multi --suite-arg scales=1-5,1-10
  safejudge eval sketchbench --engine hf:sketch --constitution sketch --out run \\
      --limit 100 --seed 1 --variant all --repeats 2
  safejudge eval mj-bench --from-outputs their-results/ --paper
  safejudge eval mj-bench --from-outputs their-results/ --suite-arg flip=nsfw
  safejudge eval preference --data pairs.jsonl --engine hf:ORG/MODEL --out run

labels.csv has the columns image, label (safe or unsafe) and violations (ids of rules); one of the
last two may be missing. Every question is asked, so that scores are exact; verdicts are those of
safejudge judge, which skips what the relevance filter skips.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge eval`."""

    suite: str
    data: str | None
    """A folder, a file, or a data set of the hub."""
    splits: tuple[str, ...]
    """Only these parts of the data; all if empty."""
    seed: int | None
    """Draws what `--limit` lets in; None: the first."""
    labels: Path | None
    """The file of labels, if it is not in the data."""
    ignore: tuple[str, ...]
    """Patterns of pictures that need no label."""
    from_outputs: Path | None
    """Recorded outputs to be scored; None: judge."""
    paper: bool
    """With the choices of the published tables."""
    suite_args: tuple[tuple[str, Any], ...]
    """Options of the suite's own: name and value."""
    variants: tuple[str, ...]
    """Changes with which to judge again."""
    repeats: int
    """So often is judged again without a change."""
    judge: JudgeOptions
    out: Path | None
    """A folder of records and results."""
    mode: OutputMode
    batching: Batching


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "eval",
        help="measure a judge on images whose labels are known, or score recorded outputs",
        description="Judge the labelled images of a folder and compare, or score the outputs that\n"
        "somebody's judges left in a folder. `safejudge suites` lists what there is.",
        **layout(EXAMPLES, OF_MEASURES),
    )
    parser.add_argument(
        "suite", metavar="SUITE", help="labelled, mj-bench, ...; see safejudge suites"
    )
    _add_data(parser)
    parser.add_argument(
        "--variant",
        dest="variants",
        action="append",
        default=[],
        metavar="NAME",
        help="judge again with this change: blind, jpeg-30, half, grey, flip, ..., or all; "
        "longer: with an answer blown up, where answers are judged",
    )
    parser.add_argument(
        "--repeats", type=positive, default=0, metavar="N", help="judge again N times, unchanged"
    )
    JudgeOptions.add(parser)
    parser.add_argument(
        "--out", type=local_path, metavar="DIR", help="write results, samples and records here"
    )
    OutputMode.add(parser, resume="judge only what --out lacks", overwrite="begin --out anew")
    Batching.add(
        parser,
        WINDOW,
        limited="judge only the first N of the images",
        windowed="images judged, shown and saved together",
    )
    runs(parser, Options, run)


def _add_data(parser: argparse.ArgumentParser) -> None:
    """Add what is judged, or scored."""
    parser.add_argument(
        "--data",
        type=local_text,
        metavar="DIR",
        help="what to judge: a folder, a file of pairs (preference), or ORG/NAME of the hub "
        "(mj-bench)",
    )
    parser.add_argument(
        "--split",
        dest="splits",
        action="append",
        default=[],
        metavar="NAME",
        help="only this part of the data",
    )
    parser.add_argument(
        "--seed", type=int, metavar="S", help="with --limit: N drawn by lot, not the first N"
    )
    parser.add_argument(
        "--labels", type=local_path, metavar="FILE", help="the labels, if they are not in --data"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="pictures in --data that need no label, such as 'drafts/*' or '*_thumb.jpg'",
    )
    parser.add_argument(
        "--from-outputs",
        type=local_path,
        metavar="DIR",
        help="score what is recorded in this folder",
    )
    parser.add_argument(
        "--paper", action="store_true", help="with the choices of the published tables"
    )
    parser.add_argument(
        "--suite-arg",
        dest="suite_args",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="an option of the suite, such as decision=ratings; may be given several times",
    )


def run(options: Options) -> int:
    """Judge a suite's samples, or score recorded outputs; print, and write to `--out`."""
    from safejudge.evals import reliability, results, suites
    from safejudge.show.tables import print_end, print_tables
    from safejudge.show.terminal import console, say

    suite, out = suites.find_suite(options.suite), options.out
    _check_panel(suite, options)
    if out is not None and not options.mode.resume:
        results.check_folder(out, overwrite=options.mode.overwrite)
    if options.from_outputs is not None:
        result, config = _score(suite, options, options.from_outputs)
    elif suite.report is None:
        raise InputError(f"{options.suite} only scores recorded outputs: --from-outputs DIR")
    elif out is None:
        raise InputError("name a folder for records and results with --out DIR")
    else:
        config = _judge(suite, options, out)
        result = reliability.report(suite.report, out)
    # Files first: whoever reads the tables through a pipe may close it.
    files = [] if out is None else results.write_results(out, options.suite, result, config)
    code = of_coverage(result.coverage)
    if code == INPUT:
        say("error: nothing could be judged; see the findings")
    print_tables(console(), result.tables, result.findings, result.unread)
    print_end(console(), result.headline, files)
    return code


def _check_panel(suite: Suite, options: Options) -> None:
    """Refuse second opinions where a suite would not ask for them."""
    judge = options.judge
    judge.check_panel()
    if (judge.also or judge.escalate_to is not None) and not suite.panel:
        stray = "--also" if judge.also else "--escalate-to"
        raise InputError(
            f"{stray}: {options.suite} puts questions of its own to one engine; leave it out, or "
            "measure with labelled or sketchbench"
        )


# --- recorded outputs -----------------------------------------------------------------------------


def _score(suite: Suite, options: Options, folder: Path) -> tuple[EvalResult, JSON]:
    """Score recorded outputs; return the result, and how it was made."""
    if suite.from_outputs is None:
        raise InputError(f"{options.suite} scores no recorded outputs; give images with --data")
    live = {
        "data": options.data,
        "split": options.splits,
        "seed": options.seed,
        "ignore": options.ignore,
        "limit": options.batching.limit,
        "variant": options.variants,
        "repeats": options.repeats,
        "resume": options.mode.resume,
    }
    for name, value in live.items():
        if value:
            raise InputError(f"--{name}: recorded outputs are scored whole and as they are")
    if not folder.is_dir():
        raise InputError(f"--from-outputs {folder}: there is no such folder")
    args = dict(options.suite_args)
    result = suite.from_outputs(folder, paper=options.paper, args=args)
    if not result.samples:
        raise InputError(f"--from-outputs {folder}: holds nothing that this suite can read")
    config = {
        "from_outputs": str(folder),
        "paper": options.paper,
        "args": args,
    }
    return result, config


# --- judging --------------------------------------------------------------------------------------


def _judge(suite: Suite, options: Options, out: Path) -> JSON:
    """Judge with every question asked, then again for each change; the records are in `out`.

    Data, labels and rules are read before any model is opened.
    """
    from safejudge.evals import harness, results, suites, variants
    from safejudge.evals.late import LateModels
    from safejudge.show.progress import progress_bar
    from safejudge.show.terminal import say

    if options.paper:
        raise InputError("--paper: is how published outputs were scored; give --from-outputs DIR")
    judge = suite.judge
    if judge is None:
        raise InputError(f"{options.suite} only scores recorded outputs: --from-outputs DIR")
    _check_engine(suite, options)
    changes = variants.chosen(options.variants, options.suite, texts=suite.texts)
    with closing(LateModels(lambda: _opened(options, bar))) as models, progress_bar() as bar:
        plain = _plain_run(options, out, models, bar)
        suites.begin(out, options.suite)
        harness.check_records(plain)
        if options.mode.overwrite:
            _remove_variants(out)
        begun = results.read_config(out, options.suite) if options.mode.resume else {}
        config = judge(plain) | _made_by(options, plain, begun)
        results.write_config(out, config)
        for name, changed in variants.runs(plain, changes, options.repeats).items():
            say(f"again: {name}")
            suites.begin(changed.out, options.suite)
            judge(changed)
    return config


def _check_engine(suite: Suite, options: Options) -> None:
    """Refuse a run without the engine or the rules that its suite needs, and one with a stray."""
    engine = options.judge.engine
    if not suite.asks and engine is not None:
        raise InputError(f"--engine {engine}: {options.suite} asks no model; leave it out")
    if suite.constitution or (suite.asks and engine is None):
        options.judge.check()


def _made_by(options: Options, run: Run, begun: JSON) -> JSON:
    """What a reader wants to know first of a run, in words."""
    from safejudge.files import records

    rules = run.constitution
    model = options.judge.engine
    if model == AUTO:
        model = begun.get("model") or run.models.engine.card.uri
    return {
        "date": begun.get("date") or records.today(),
        "model": model,
        "constitution": None if rules is None else rules.name,
    }


def _opened(options: Options, bar: Progress) -> Models:
    """Open the models, and tell the user of stages without one and of priors that are none."""
    from safejudge.show.terminal import say

    bar.stop()  # `auto` may ask a person, and what a live bar prints waits for the end of a line
    try:
        models, policy = options.judge.models(), options.judge.policy()
    finally:
        bar.start()
    if options.judge.constitution is not None:
        notes = [
            *missing(policy, models),
            *idle_programs(options.judge.rules(), models, policy),
            *judged_by_programs(options.judge.rules(), policy),
            *refused_choices(options.judge.rules(), models, policy),
            *unread_priors(options.judge.rules(), models, policy),
        ]
        for note in notes:
            say(f"note: {note}")
    return models


def _remove_variants(out: Path) -> None:
    """Remove the changed runs of the run that is overwritten; they are not about the new one."""
    from safejudge.evals import suites, variants

    for folder in variants.folders(out).values():
        if (folder / suites.MARK).is_file():
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be removed ({error.strerror})") from error


def _plain_run(options: Options, out: Path, models: Models, bar: Progress) -> Run:
    """Return the run without a change, with every question asked, so that scores are exact."""
    from safejudge.evals.suite import Run

    def progress(total: int) -> Callable[[int], None]:
        task = bar.add_task("", total=total or None, rate="", counts="")
        return lambda count: bar.update(task, advance=count)

    return Run(
        out=out,
        models=models,
        policy=options.judge.policy().exhaustively(),
        constitution=None if options.judge.constitution is None else options.judge.rules(),
        data=options.data,
        labels=options.labels,
        ignore=options.ignore,
        splits=options.splits,
        limit=options.batching.limit,
        seed=options.seed,
        window=options.batching.window,
        resume=options.mode.resume,
        overwrite=options.mode.overwrite,
        args=dict(options.suite_args),
        progress=progress,
    )
