"""`safejudge judge --estimate`: what a run would take, in a table and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.cli.exits import DONE
from safejudge.cli.probe import BYTES, PROBE, PROCESSOR, SECONDS, SEED, WARM_UP, Estimate, estimate
from safejudge.evals.stats.binomial import upper
from safejudge.files.packed import is_packed_name
from safejudge.files.tally import Tally
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    import argparse

    from safejudge.cli.judge_options import Options

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def add_estimate(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--estimate",
        action="store_true",
        help=f"judge {PROBE} images drawn at random, say what all would take (questions, tokens, "
        "seconds, GB of records), and write nothing",
    )


def run_estimate(options: Options) -> int:
    """Print what the run would take."""
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    found = estimate(options)
    print_tables(console(), [table(found, options)], notes(found, options))
    return DONE


def table(found: Estimate, options: Options) -> Table:
    """One row a figure: for all images, the range of that, for one image."""
    rows = []
    for name, projection in found.figures.items():
        title = f"{name} ({_form(options)})" if name == BYTES else name
        whole = found.probed == found.images
        ends = [_told(name, end) for end in (projection.low, projection.high)]
        between = "-" if whole else " to ".join(ends)
        each = _told(name, projection.value / found.images, each=True)
        rows.append((title, _told(name, projection.value), between, each))
    drawn = "" if found.probed == found.images else f", drawn at random (seed {SEED})"
    return Table(
        f"Estimate from {found.probed} of {counted(found.images, 'image')}{drawn}",
        ("", "all images", "95 % range", "an image"),
        tuple(rows),
        "The range is that of drawing the probe. Nothing was written.",
        keys=("all images",),
    )


def notes(found: Estimate, options: Options) -> list[str]:
    """Say what a reader has to know."""
    from safejudge.show.terminal import coverage

    seconds = found.figures[SECONDS]
    warm = (
        f"after {counted(WARM_UP, 'image')} of warm-up"
        if found.warm
        else "the first image included"
    )
    whole = _duration(found.start + seconds.value)
    said = [
        (
            f"Opening the judge took {_duration(found.start)}, language priors included, and is "
            f"not counted above. With it the run takes about {whole}."
        ),
        (
            f"{found.images / seconds.value:.3g} images/s, {warm}: on this machine, by this "
            "engine, as busy as both were just now."
        ),
        "Processor seconds are those of this process: not of a server, nor of vLLM's own process.",
    ]
    if found.probed < found.images:
        rare = round(1 / upper(0, found.probed, 0.975))
        said.append(
            f"A kind of image rarer than 1 in {rare} may be missing from the probe; no range knows "
            "what it takes."
        )
    if found.failed:
        first = found.failed[0]
        share = f"{len(found.failed)} of {found.probed}"
        said.append(f"{share} images could not be judged; the first: {first.message}")
    said += [f"{line[:1].upper()}{line[1:]}." for line in coverage(found.intake, Tally())]
    if options.ray:
        said.append("Estimated here, with one engine; --actors N take about 1/N of the seconds.")
    beside = [
        name
        for name, value in (("--report", options.report), ("--journal", options.journal))
        if value is not None
    ]
    if beside:
        said.append(f"What {' and '.join(beside)} would take is not counted.")
    return said


def _form(options: Options) -> str:
    out = options.out
    if options.ray or isinstance(out, str):
        return f"{options.record}, Parquet"
    packed = out is not None and is_packed_name(out)
    return f"{options.record}, {'.zst' if packed else 'plain'}"


def _told(name: str, value: float, *, each: bool = False) -> str:
    if value == float("inf"):
        return "any number"
    if name == BYTES:
        return _size(value)
    if name in (SECONDS, PROCESSOR):
        return f"{value:.3g} s" if each else _duration(value)
    return f"{value:,.1f}" if each else f"{value:,.0f}"


def _size(count: float) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size / 10:
            return (
                f"{count / size:.3g} {unit}"
                if count < 1000 * size
                else f"{count / size:,.0f} {unit}"
            )
    return f"{count:.0f} B"


def _duration(seconds: float) -> str:
    """Write seconds as people do: 43 s, 12 min, 3.4 h, 2.1 days."""
    for unit, size, limit in (
        ("s", 1, 2 * _MINUTE),
        ("min", _MINUTE, 2 * _HOUR),
        ("h", _HOUR, 2 * _DAY),
    ):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / _DAY:,.3g} days"
