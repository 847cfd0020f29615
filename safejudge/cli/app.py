"""The command line: parse, one library call, print. `main(argv)` returns the exit code.

Nothing here decides anything about an image. Model libraries are imported when a command needs
them, so `--help` and `lint` are quick.
"""

from __future__ import annotations

import math
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from safejudge.cli import arguments
from safejudge.cli.batch import Batch
from safejudge.cli.choices import need_choices, opening_of, policy_of
from safejudge.compile.run import Compiled, compile_constitution, open_lock
from safejudge.constitution import diff
from safejudge.constitution.load import lint, load_constitution, lock_path, shipped_constitutions
from safejudge.engines.base import survey
from safejudge.engines.models import Models
from safejudge.engines.open import open_encoder, open_engine
from safejudge.errors import EngineError, InputError, OutputError, SafejudgeError
from safejudge.files import records
from safejudge.images.captions import captions_for
from safejudge.images.load import find_images, load_images
from safejudge.judge import WINDOW, Judge, missing
from safejudge.method.relevance import calibrated, relevance_text
from safejudge.policy import Policy
from safejudge.scale import run as scale
from safejudge.show import compiled as compile_text
from safejudge.show import diff as diff_text
from safejudge.show import terminal as show
from safejudge.show import trace
from safejudge.show.terminal import INTERRUPTED
from safejudge.text import clean
from safejudge.types import Failure, ImageInput

if TYPE_CHECKING:
    from collections.abc import Sequence


if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from safejudge.types import Constitution

INPUT, ENGINE, OPEN, BROKEN_PIPE = 2, 3, 4, 141


def entry() -> NoReturn:
    """Run as the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal has its own encoding; what goes into a pipe or a file is UTF-8 everywhere.
        encoding = None if stream.isatty() else "utf-8"
        stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = main()
    except Exception:  # noqa: BLE001 - a bug; Python's own exit code 1 would read as "unsafe"
        traceback.print_exc()
        code = ENGINE
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see `examples.EXIT_CODES`. A pipe that is closed early gives 141."""
    try:
        options = arguments.parse(argv)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _COMMANDS[options.command](options)
            sys.stdout.flush()
        except EngineError as error:
            show.say(f"error: {error}")
            return ENGINE
        except SafejudgeError as error:
            show.say(f"error: {error}")
            return INPUT
        except KeyboardInterrupt:
            show.say("stopped")
            return INTERRUPTED
        except BrokenPipeError:
            # The interpreter flushes stdout once more when it ends; that must not fail as well.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    show.say(f"warning: {message}")


# --- judge ----------------------------------------------------------------------------------------


def _judge(options: argparse.Namespace) -> int:
    from safejudge.show.page import judged as report

    need_choices(options)
    if scale.wanted(options):
        return scale.judge(options, opening_of(options))
    out = None if options.out is None else Path(options.out)
    if out is None and (options.resume or (options.overwrite and options.report is None)):
        raise InputError("--resume and --overwrite speak of a file; name it with --out FILE.jsonl")
    if out is not None:
        records.check_output(out, resume=options.resume, overwrite=options.overwrite)
    page = None if options.report is None else Path(options.report)
    if page is not None:
        report.check(page, out=out, resume=options.resume, overwrite=options.overwrite)
    # One by one: a path that is named twice is judged twice.
    images = [image for path in options.paths for image in find_images([path])]
    prompts, captions, unmatched = captions_for(options.prompts, images)
    for problem in unmatched:
        show.say(f"warning: {problem}")
    pairs = list(zip(images, prompts, strict=True))[: options.limit]
    with ExitStack() as stack:
        judge = stack.enter_context(_load(options))
        file = None
        if out is not None:
            version = metadata.version("safejudge")
            head = records.header(version, judge.provenance, captions)
            file = stack.enter_context(
                records.RecordFile(out, head, resume=options.resume, overwrite=options.overwrite)
            )
        shown = None
        if page is not None:
            about = (judge.constitution, judge.policy, judge.provenance)
            shown = report.Report(page, *about, replace=options.resume or options.overwrite)
            if options.resume and out is not None:
                shown.add_recorded(out, pairs)
        return Batch(judge, pairs, options.window, file, shown).go()


# --- the other commands ---------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> int:
    need_choices(options)
    constitution = load_constitution(options.constitution)
    ids = [rule.id for rule in constitution.rules]
    if options.rule is not None and options.rule not in ids:
        raise InputError(f"--rule {options.rule}: there is no such rule; choose {', '.join(ids)}")
    with _load(options, constitution) as judge:
        (result,) = judge([options.image], [options.prompt])
        policy = judge.policy
    if isinstance(result, Failure):
        print(f"{clean(result.image)}: failed\n{show.why(result)}")
    else:
        rules = [rule for rule in constitution.rules if options.rule in (None, rule.id)]
        _print_trimmed(trace.explanation(result, rules, policy))
    tally = records.Tally()
    tally.add(records.record(options.image, result))
    return tally.exit_code


def _print_trimmed(what: RenderableType) -> None:
    """Print in at most 100 columns, without the spaces that fill lines up."""
    console = show.console()
    with console.capture() as drawn:
        console.print(what, width=min(console.width, 100))
    print("\n".join(line.rstrip() for line in drawn.get().rstrip().split("\n")))


def _relevance(options: argparse.Namespace) -> int:
    rules = load_constitution(options.constitution).rules
    texts = [relevance_text(rule) for rule in rules]
    paths = find_images(options.paths)
    encoder = open_encoder(options.encoder)
    columns: list[list[float]] = [[] for _ in rules]
    unread: list[Failure] = []
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    with bar:
        task = bar.add_task("", total=len(paths), rate="", counts="")
        for start in range(0, len(paths), WINDOW):
            loaded = load_images(paths[start : start + WINDOW], Policy())
            unread += [image for image in loaded if isinstance(image, Failure)]
            pictures = [image.pictures[0] for image in loaded if isinstance(image, ImageInput)]
            found = survey(encoder, texts, pictures)
            for place, column in enumerate(columns):
                column += [s for s in found[place :: len(rules)] if math.isfinite(s)]
            bar.update(task, advance=len(loaded))
    if unread:
        show.say(
            f"warning: {len(unread)} of {len(paths)} images could not be read (the first: "
            f"{clean(unread[0].image)}: {show.why(unread[0])})"
        )
    pairs = [similarity for column in columns for similarity in column]
    threshold = calibrated(pairs, options.keep)
    show.console().print(show.kept_table([rule.id for rule in rules], columns, threshold))
    print(
        f"threshold {threshold:.4f}: above it lie {options.keep:.0%} of {len(pairs)} pairs of "
        f"{len(columns[0])} images and {len(rules)} rules"
    )
    return 0


def _compile(options: argparse.Namespace) -> int:
    if not Path(options.file).is_file() and options.file in shipped_constitutions():
        raise InputError(f"{options.file} is a shipped constitution, compiled by hand; name a file")
    beside = lock_path(options.file)
    place = beside if options.out is None else Path(options.out)
    draft = open_lock(options.file, options.out).draft
    wanted = [rule.id for rule in draft.rules if rule.condition is None]
    if not wanted:
        print(f"{clean(options.file)}: every rule has a condition of its own; nothing to do")
        return 0
    engine = open_engine(options.llm, **dict(options.engine_arg))
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    try:
        with bar:
            task = bar.add_task("", total=len(wanted), rate="", counts="")

            def done(news: Sequence[Compiled]) -> None:
                bar.update(task, advance=len(news))

            results = compile_constitution(
                options.file, engine, out=options.out, rounds=options.max_rounds, done=done
            )
    except (EngineError, KeyboardInterrupt):
        there = f"what was compiled is in {place}" if place.exists() else "nothing was compiled"
        show.say(f"stopped; {there}, and the same command goes on")
        raise
    finally:
        engine.close()
    _print_trimmed(compile_text.shown(results))
    print(compile_text.summary(results, place))
    if place.resolve() != beside.resolve():
        show.say(f"note: judge and lint read only {beside}; move the lock there to use it")
    return 0 if all(result.clean for result in results) else OPEN


def _lint(options: argparse.Namespace) -> int:
    errors = warned = 0
    for file in options.files:
        for finding in lint(file):
            where = file if finding.line is None else f"{file}:{finding.line}"
            print(clean(f"{where}: {finding.level}: {finding.problem}"))
            if finding.instead:
                print(clean(f"  instead: {finding.instead}"))
            errors += finding.level == "error"
            warned += finding.level == "warning"
    print(f"files: {len(options.files)}, errors: {errors}, warnings: {warned}")
    return INPUT if errors else 0


def _diff(options: argparse.Namespace) -> int:
    old, new = load_constitution(options.old), load_constitution(options.new)
    found = diff.changes(old, new)
    if found:
        _print_trimmed(diff_text.shown(found))
        return 1
    print("no change" if old == new else "no change but in order or nesting")
    return 0


def _eval(options: argparse.Namespace) -> int:
    from safejudge.cli import eval as eval_command

    return eval_command.measure(options)


def _report(options: argparse.Namespace) -> int:
    from safejudge.cli import eval as eval_command

    return eval_command.report(options)


def _suites(options: argparse.Namespace) -> int:
    from safejudge.cli import eval as eval_command

    return eval_command.list_suites(options)


def _annotate(options: argparse.Namespace) -> int:
    from safejudge.cli import preference_command

    return preference_command.annotate(options)


def _train_scorer(options: argparse.Namespace) -> int:
    from safejudge.cli import preference_command

    return preference_command.train_scorer(options)


def _sketch_scenes(options: argparse.Namespace) -> int:
    from safejudge.sketch.bench.bench import write_bench
    from safejudge.sketch.scenes import write_scenes

    out, again = Path(options.out), options.overwrite
    try:
        if options.bench:
            count = write_bench(out, options.per_rule, options.plain, overwrite=again)
        else:
            count = write_scenes(out, options.count, options.seed, overwrite=again)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror})") from error
    print(f"{count} scenes and facts.jsonl in {clean(str(out))}")
    return 0


def _sketch_mjbench(options: argparse.Namespace) -> int:
    from safejudge.sketch.mjbench import write_mjbench

    out = Path(options.out)
    try:
        rows = write_mjbench(out, options.count, options.seed, overwrite=options.overwrite)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror})") from error
    told = ", ".join(f"{name} {count}" for name, count in rows.items())
    print(f"{told} in {clean(str(out))}")
    return 0


def _sketch_bench(options: argparse.Namespace) -> int:
    from safejudge.engines.cached import CachedEngine
    from safejudge.sketch.bench import report as bench_report

    items = bench_report.draw_bench(options.per_rule, options.plain)
    models = Models.opened(options.engine, options.encoder, options.detector, None)
    if options.answers is not None:
        models.engine = CachedEngine(models.engine, Path(options.answers))
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    with bar, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what the flat form drops, rule by rule
        task = bar.add_task("", total=bench_report.work(models, len(items)), rate="", counts="")
        _, text = bench_report.run(models, items, lambda count: bar.update(task, advance=count))
    print(f"{len(items)} scenes, {models.engine.card.uri}\n\n{text}")
    return 0


def _load(options: argparse.Namespace, rules: Constitution | None = None) -> Judge:
    """Open the chosen judge, with these rules or with the chosen ones."""
    judge = opening_of(options, rules).open()
    for note in missing(policy_of(options), judge.models):
        show.say(f"note: {note}")
    return judge


_COMMANDS = {
    "judge": _judge,
    "explain": _explain,
    "relevance": _relevance,
    "compile": _compile,
    "lint": _lint,
    "diff": _diff,
    "eval": _eval,
    "report": _report,
    "suites": _suites,
    "annotate": _annotate,
    "train-scorer": _train_scorer,
    "sketch bench": _sketch_bench,
    "sketch mj-bench": _sketch_mjbench,
    "sketch scenes": _sketch_scenes,
}
