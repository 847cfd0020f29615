"""`safejudge judge --ray`: its options, and what of the others it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.cli.exits import INTERRUPTED, of_run
from safejudge.cli.values import amount, positive
from safejudge.engines.open import AUTO
from safejudge.errors import InputError
from safejudge.files.records import SHORT

if TYPE_CHECKING:
    import argparse

    from safejudge.cli.judge_options import Options
    from safejudge.scale.run import RayOptions


def add_ray(parser: argparse.ArgumentParser) -> None:
    """Add what `--ray` takes."""
    parser.add_argument(
        "--ray",
        action="store_true",
        help="judge with Ray: PATH may be or hold .tar and .parquet files, --out is a folder "
        "of Parquet files",
    )
    parser.add_argument(
        "--actors",
        type=positive,
        metavar="N",
        help="with --ray: how many engines to open (default: one per GPU, or one)",
    )
    parser.add_argument(
        "--gpus-per-actor",
        type=amount,
        metavar="G",
        help="with --ray: GPUs for each of them; 0.5 lets two share one (default: 1 if there are "
        "any)",
    )
    parser.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="with --ray: a cluster that runs; auto: the one of this machine (default: "
        "$RAY_ADDRESS, or this machine alone)",
    )


def judge_with_ray(options: Options) -> int:
    """Judge the images with Ray; the code counts earlier runs on the same output too."""
    from safejudge.scale.run import judge

    chosen = ray_options(options)
    tally, intake = judge(options.judge.spec(), chosen)
    if tally is None:
        return INTERRUPTED
    return of_run(tally, intake, frames_named=options.judge.frames is not None)


def refuse_ray_options(options: Options) -> None:
    """Refuse what means nothing without Ray."""
    values = {
        "--actors": options.actors,
        "--gpus-per-actor": options.gpus_per_actor,
        "--ray-address": options.ray_address,
    }
    stray = [name for name, value in values.items() if value is not None]
    if stray:
        raise InputError(
            f"{', '.join(stray)}: means nothing without --ray; add it, or leave it out"
        )


def ray_options(options: Options) -> RayOptions:
    """Say what Ray is told. Raises `InputError` for options that it cannot take."""
    from safejudge.decide.thresholds import load
    from safejudge.scale.run import RayOptions

    if options.judge.engine == AUTO:
        raise InputError(
            "--engine auto looks at the memory of this machine, and --ray may use others; name the "
            "model: --engine hf:ORG/MODEL or vllm:ORG/MODEL"
        )
    if options.series is not None or options.at is not None:
        raise InputError("--series and --at go without --ray; leave --ray out")
    if options.shadow is not None:
        raise InputError("--shadow goes without --ray; replay --ask does the same with its records")
    if options.journal is not None:
        raise InputError(
            "--journal goes without --ray; leave it out, and take the records in afterwards: "
            f"safejudge journal import JOURNAL {options.out or 'DIR'}"
        )
    if options.report is not None:
        raise InputError(
            "--report goes without --ray; leave it out, and make the page of the records "
            f"afterwards: safejudge report {options.out or 'DIR'}"
        )
    if options.out is None:
        raise InputError("--ray writes Parquet files into a folder; name it with --out DIR")
    return RayOptions(
        paths=options.paths,
        out=options.out,
        thresholds=None if options.thresholds is None else load(options.thresholds),
        prompts=options.prompts,
        ignore=options.ignore,
        limit=options.batching.limit,
        window=options.batching.window,
        short=options.record == SHORT,
        resume=options.mode.resume,
        overwrite=options.mode.overwrite,
        actors=options.actors,
        gpus_per_actor=options.gpus_per_actor,
        address=options.ray_address,
    )
