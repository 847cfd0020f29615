"""`safejudge annotate` and `train-scorer`: options -> one run, and what it came to, printed."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from safejudge.cli.choices import need_choices, policy_of
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.engines.priors import PriorCache
from safejudge.errors import EngineError, InputError
from safejudge.evals.stats.intervals import bootstrap_sums
from safejudge.evals.suite import EvalResult
from safejudge.preference import annotate as run
from safejudge.preference.annotator import Annotator
from safejudge.preference.data import read_prompts
from safejudge.preference.recipe import Recipe
from safejudge.preference.rubrics import load_rubric
from safejudge.show import tables as eval_text
from safejudge.show import terminal as show
from safejudge.show.figures import Table
from safejudge.text import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from safejudge.evals.stats.intervals import Floats
    from safejudge.preference.train import Ranked, Trained


def annotate(options: argparse.Namespace) -> int:
    """Annotate a file of prompts, and write pairs."""
    need_choices(options)
    data, out = Path(options.data), Path(options.out)
    rows = read_prompts(data)[: options.limit]
    rules = load_constitution(options.constitution)
    names = [name for name, _ in options.rubric]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--rubric {doubled[0]}: the aspect is named twice; give it one rubric")
    rubrics = {name: load_rubric(file) for name, file in options.rubric}
    task = run.Task(
        data, out, options.margin, options.window,
        resume=options.resume, overwrite=options.overwrite,
    )  # fmt: skip
    policy = policy_of(options)
    detector = options.detector if policy.locates else None
    cache = PriorCache(PriorCache.default_path())
    args = dict(options.engine_arg)
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    with closing(Models.opened(options.engine, None, detector, cache, args)) as models, bar:
        annotator = Annotator(rules, models, policy, rubrics)
        bar_task = bar.add_task("", total=len(rows), rate="", counts="")
        try:
            done = run.annotate(annotator, rows, task, lambda n: bar.update(bar_task, advance=n))
        except (EngineError, KeyboardInterrupt):
            show.say(f"stopped; the same command with --resume goes on from what is in {out}")
            raise
    _print(_counted(done), f"{out / run.PAIRS}, {out / run.ANNOTATIONS}")
    return 0


def _counted(done: run.Summary) -> EvalResult:
    rows = tuple(
        (name, str(some["pairs"]), str(some["ties"]), str(some["unscored"]))
        for name, some in done.counts.items()
    )
    table = Table(
        "Pairs",
        ("aspect", "pairs", "ties", "without a score"),
        rows,
        "Ties differ by no more than the margin. Without a score: a picture of the two was not "
        "judged, stayed undecided, or could not be asked about.",
    )
    found = f"{done.prompts} prompts, {done.images} images, {done.failures} of them not judged"
    return EvalResult((table,), (found,), {}, ())


def train_scorer(options: argparse.Namespace) -> int:
    """Train a scorer on pairs, and say how often it is right on prompts it has not seen."""
    from safejudge.preference.train import train

    recipe = Recipe(
        options.backbone, tuple(options.aspect), options.epochs, options.layers,
        options.held_out, options.seed,
    )  # fmt: skip
    out = Path(options.out)
    bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
    with bar:
        task = bar.add_task("", total=recipe.epochs, rate="", counts="")
        done = train(
            Path(options.pairs), out, recipe,
            resume=options.resume, overwrite=options.overwrite,
            tick=lambda n: bar.update(task, advance=n),
        )  # fmt: skip
    _print(_measured(done), f"{out} (scorer:{out})")
    return 0


def _measured(done: Trained) -> EvalResult:
    aspects = dict.fromkeys(one.aspect for one in done.held_out)
    groups = {name: [one for one in done.held_out if one.aspect == name] for name in aspects}
    if len(groups) > 1:
        groups["all"] = list(done.held_out)
    rows = tuple(
        (name, str(len(some)), str(len({one.prompt for one in some})), _accuracy(some))
        for name, some in groups.items()
    )
    table = Table(
        "Held-out pairs",
        ("aspect", "pairs", "prompts", "accuracy"),
        rows,
        "Prompts that the scorer has not seen; equal scores are wrong. Intervals are 95 %, over "
        "resampled prompts.",
    )
    found = [f"Learned from {done.pairs} pairs of {done.prompts} prompts."]
    found += [f"{count} pairs left out: {reason}." for reason, count in done.left_out.items()]
    return EvalResult((table,), tuple(found), {}, ())


def _accuracy(some: Sequence[Ranked]) -> str:
    places = {prompt: i for i, prompt in enumerate(dict.fromkeys(one.prompt for one in some))}
    rows = [(float(one.margin > 0), 1.0) for one in some]
    right = sum(right for right, _ in rows) / len(rows)
    if len(places) < 2:
        return f"{right:.3f}"

    def share(sums: Floats) -> Floats:
        return sums[:, :1] / sums[:, 1:]

    ((low, high),) = bootstrap_sums(rows, [places[one.prompt] for one in some], share)
    return f"{right:.3f} [{low:.3f}, {high:.3f}]"


def _print(scored: EvalResult, where: str) -> None:
    eval_text.print_tables(show.console(), scored.tables, scored.findings, scored.unread)
    print(clean(where))
