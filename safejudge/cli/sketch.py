"""`safejudge sketch`: the drawn world. Scenes, pairs in the form of MJ-Bench, and the bench."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import add_models_beside, layout, runs
from safejudge.cli.values import local_path, positive
from safejudge.engines.models import Models
from safejudge.text import clean, counted

EXAMPLES = """\
examples:
  safejudge sketch scenes --out scenes --count 100 --seed 7
  safejudge sketch scenes --out bench --bench
  safejudge sketch mj-bench --out drawn --count 60
"""

BENCH_EXAMPLES = """\
example:
  safejudge sketch bench --per-rule 5 --plain 20
"""


def add(commands: Any) -> None:
    """Add the command and its own commands."""
    parser = commands.add_parser(
        "sketch",
        help="draw scenes for trying things out",
        description="The drawn world of the sketch judge.",
        **layout(EXAMPLES),
    )
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_bench(subcommands)
    _add_scenes(subcommands)
    _add_mjbench(subcommands)


# --- bench ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """Options of `safejudge sketch bench`."""

    engine: str
    """URI of the engine."""
    encoder: str
    """URI of the encoder, or `DEFAULT`."""
    detector: str
    """URI of the detector, or `DEFAULT`."""
    per_rule: int
    """Violating scenes, and as many borderline, per rule."""
    plain: int
    """Scenes that no rule is about."""
    answers: Path | None
    """The file that the model's answers are kept in."""


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure what each stage of the method is worth",
        description="Judge drawn scenes with exact truth by the method, by its baselines, and\n"
        "without each of its parts. Takes hours on a laptop; a run that was stopped goes on\n"
        "where it was, if it is given the same --answers.",
        **layout(BENCH_EXAMPLES),
    )
    parser.add_argument("--engine", default="hf:sketch", metavar="URI", help="default: %(default)s")
    add_models_beside(parser)
    _add_bench_size(parser)
    parser.add_argument(
        "--answers", type=local_path, metavar="FILE", help="keep the model's answers in this file"
    )
    runs(parser, BenchOptions, bench)


def _add_bench_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--per-rule",
        type=positive,
        default=50,
        metavar="N",
        help="bench: violating scenes, and as many borderline, per rule (default: %(default)s)",
    )
    parser.add_argument(
        "--plain",
        type=positive,
        default=500,
        metavar="N",
        help="bench: scenes that no rule is about (default: %(default)s)",
    )


def bench(options: BenchOptions) -> int:
    """Judge the scenes of the bench and print the tables."""
    from safejudge.engines.cached import CachedEngine
    from safejudge.show.progress import progress
    from safejudge.sketch.bench import report

    scenes = report.draw_bench(options.per_rule, options.plain)
    models = Models.opened(options.engine, options.encoder, options.detector, None)
    if options.answers is not None:
        models.engine = CachedEngine(models.engine, options.answers)
    with progress(report.work(models, len(scenes))) as advance, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what the flat form drops, rule by rule
        _, text = report.run(models, scenes, advance)
    print(f"{counted(len(scenes), 'scene')}, {models.engine.card.uri}\n\n{text}")
    return DONE


# --- scenes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """Options of `safejudge sketch scenes`."""

    out: Path
    """A folder."""
    count: int
    seed: int
    overwrite: bool
    bench: bool
    """Whether to draw the scenes of SketchBench, whatever `count` and `seed` are."""
    per_rule: int
    """Of the bench: violating scenes, and as many borderline, per rule."""
    plain: int
    """Of the bench: scenes that no rule is about."""


def _add_scenes(commands: Any) -> None:
    parser = commands.add_parser(
        "scenes",
        help="draw PNG files, and what is in them as facts.jsonl",
        description="Draw scenes as PNG files, and write what is in each to facts.jsonl.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="a new or empty folder"
    )
    parser.add_argument(
        "--count", type=positive, default=24, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="other scenes (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace scenes drawn before")
    parser.add_argument(
        "--bench", action="store_true", help="those of SketchBench, for eval labelled; no --count"
    )
    _add_bench_size(parser)
    runs(parser, SceneOptions, scenes)


def scenes(options: SceneOptions) -> int:
    """Draw scenes, and write what is in each."""
    from safejudge.files.atomic import writing
    from safejudge.sketch.bench.bench import write_bench
    from safejudge.sketch.scenes import write_scenes

    out, overwrite = options.out, options.overwrite
    with writing(out):
        if options.bench:
            count = write_bench(out, options.per_rule, options.plain, overwrite=overwrite)
        else:
            count = write_scenes(out, options.count, options.seed, overwrite=overwrite)
    print(f"{counted(count, 'scene')} and facts.jsonl in {clean(str(out))}")
    return DONE


# --- pairs in the form of MJ-Bench ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairOptions:
    """Options of `safejudge sketch mj-bench`."""

    out: Path
    """A folder."""
    count: int
    """Pairs of each kind."""
    seed: int
    overwrite: bool


def _add_mjbench(commands: Any) -> None:
    parser = commands.add_parser(
        "mj-bench",
        help="draw pairs in the form of MJ-Bench",
        description="Draw pairs for alignment, safety and quality, and pictures for bias, in the\n"
        "columns of MJ-Bench's Parquet files; the better picture comes first in half of them.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="a new or empty folder"
    )
    parser.add_argument(
        "--count",
        type=positive,
        default=60,
        metavar="N",
        help="pairs of each kind, and about as many pictures for bias (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="other pairs (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what was drawn before")
    runs(parser, PairOptions, mjbench)


def mjbench(options: PairOptions) -> int:
    """Draw pairs, and write them as Parquet."""
    from safejudge.files.atomic import writing
    from safejudge.sketch.mjbench import write_mjbench

    out = options.out
    with writing(out):
        rows = write_mjbench(out, options.count, options.seed, overwrite=options.overwrite)
    counts = ", ".join(f"{name} {count}" for name, count in rows.items())
    print(f"{counts} in {clean(str(out))}")
    return DONE
