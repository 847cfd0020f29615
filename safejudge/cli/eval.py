"""`safejudge eval`, `report` and `suites`: options -> one suite's run or its tables, printed."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from safejudge.cli.choices import need_choices, policy_of
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.engines.priors import PriorCache
from safejudge.errors import InputError, OutputError
from safejudge.evals import reliability, results, suites, variants
from safejudge.evals.suite import Run
from safejudge.judge import missing
from safejudge.show import tables as eval_text
from safejudge.show import terminal as show
from safejudge.text import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from rich.progress import Progress

    from safejudge.evals.suite import EvalResult, Judging, Suite
    from safejudge.types import JSON


def measure(options: argparse.Namespace) -> int:
    """Judge a suite's items, or score what somebody's judges left; print, and write to `--out`."""
    suite = suites.find_suite(options.suite)
    out = None if options.out is None else Path(options.out)
    if out is not None and not options.resume:
        results.check_folder(out, overwrite=options.overwrite)
    if options.from_outputs is not None:
        scored, config = _from_outputs(suite, options)
    elif suite.judge is None or suite.report is None:
        raise InputError(f"{options.suite} only scores recorded outputs: --from-outputs DIR")
    elif out is None:
        raise InputError("name a folder for records and results with --out DIR")
    else:
        config = _live(suite.judge, options, out, needs_rules=suite.constitution)
        scored = reliability.report(suite.report, out)
    eval_text.print_tables(show.console(), scored.tables, scored.findings, scored.unread)
    if out is not None:
        pictures = Path(config["data"]) if "data" in config else None
        files = results.write_results(out, options.suite, scored, config, pictures)
        print(f"\n{', '.join(clean(str(file)) for file in files)}")
    return 0


def report(options: argparse.Namespace) -> int:
    """Print the tables of a folder that `eval --out` wrote."""
    folder = Path(options.folder)
    suite = suites.find_suite(suites.suite_of(folder))
    if suite.report is None:
        raise InputError(f"{folder}: scored recorded outputs; score them again with eval")
    scored = reliability.report(suite.report, folder)
    eval_text.print_tables(show.console(), scored.tables, scored.findings, scored.unread)
    return 0


def list_suites(_: argparse.Namespace) -> int:
    """Print every suite there is, a line each."""
    for name in suites.names():
        try:
            about = suites.find_suite(name).summary
        except InputError as error:
            about = str(error)
        print(clean(f"{name:24}{about}"))
    return 0


def _from_outputs(suite: Suite, options: argparse.Namespace) -> tuple[EvalResult, JSON]:
    if suite.from_outputs is None:
        raise InputError(f"{options.suite} scores no recorded outputs; give images with --data")
    for name in ("data", "split", "seed", "limit", "variant", "repeats", "resume"):
        if getattr(options, name):
            raise InputError(f"--{name}: recorded outputs are scored whole and as they are")
    folder = Path(options.from_outputs)
    if not folder.is_dir():
        raise InputError(f"--from-outputs {folder}: there is no such folder")
    args = dict(options.suite_arg)
    scored = suite.from_outputs(folder, paper=options.paper, args=args)
    if not scored.samples:
        raise InputError(f"--from-outputs {folder}: holds nothing that this suite can read")
    return scored, {"from_outputs": str(folder), "paper": options.paper, "args": args}


def _live(judge: Judging, options: argparse.Namespace, out: Path, *, needs_rules: bool) -> JSON:
    """Judge with every question asked, then again for each change; the records are in `out`."""
    if options.paper:
        raise InputError("--paper: is how published outputs were scored; give --from-outputs DIR")
    if needs_rules or options.engine is None:
        need_choices(options)
    changes = _changes(options.variant)
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    with closing(_models(options)) as models, bar:
        suites.begin(out, options.suite)
        if options.overwrite:
            _forget_variants(out)
        plain = _run(options, out, models, bar)
        for note in missing(plain.policy, models) if plain.constitution else ():
            show.say(f"note: {note}")
        config = judge(plain)
        for name, run in variants.runs(plain, changes, options.repeats).items():
            show.say(f"again: {name}")
            suites.begin(run.out, options.suite)
            judge(run)
    return config


def _changes(given: list[str]) -> list[str]:
    if strange := [name for name in given if name not in {*variants.VARIANTS, "all"}]:
        known = ", ".join(["all", *variants.VARIANTS])
        raise InputError(f"--variant {strange[0]}: there is no such change; choose from {known}")
    return list(variants.VARIANTS) if "all" in given else given


def _forget_variants(out: Path) -> None:
    """Take away the changed runs of the run that is overwritten; they are not about the new one."""
    for folder in variants.folders(out).values():
        if (folder / suites.MARK).is_file():
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be removed ({error.strerror})") from error


def _models(options: argparse.Namespace) -> Models:
    policy = policy_of(options)
    return Models.opened(
        options.engine,
        options.encoder if policy.relevance else None,
        options.detector if policy.locates else None,
        PriorCache(PriorCache.default_path()),
        dict(options.engine_arg),
    )


def _run(options: argparse.Namespace, out: Path, models: Models, bar: Progress) -> Run:
    def progress(total: int) -> Callable[[int], None]:
        task = bar.add_task("", total=total or None, rate="", counts="")
        return lambda count: bar.update(task, advance=count)

    rules = None if options.constitution is None else load_constitution(options.constitution)
    return Run(
        out=out,
        models=models,
        policy=policy_of(options).exhaustively(),
        constitution=rules,
        data=options.data,
        labels=None if options.labels is None else Path(options.labels),
        splits=tuple(options.split),
        limit=options.limit,
        seed=options.seed,
        window=options.window,
        resume=options.resume,
        overwrite=options.overwrite,
        args=dict(options.suite_arg),
        progress=progress,
    )
