"""`safejudge calibrate`: thresholds with a promise from labelled records, and whether they hold."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import BROKEN, DONE, OF_CALIBRATION, OPEN
from safejudge.cli.options import layout, runs
from safejudge.cli.switches import variants
from safejudge.cli.values import local_path, local_text, path_or_journal
from safejudge.constitution.policy_file import load_policy
from safejudge.errors import InputError, OutputError
from safejudge.policy import POLICIES

if TYPE_CHECKING:
    from safejudge.decide.sample import Sample
    from safejudge.show.page.judged import About

EXAMPLES = """\
examples:
  safejudge judge photos/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --exhaustive --out judged.jsonl
  safejudge calibrate --records judged.jsonl --labels photos/labels.csv \\
      --out thresholds.yaml --report calibration.html
  safejudge judge new/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --thresholds thresholds.yaml --out decided.jsonl
  safejudge calibrate --check thresholds.yaml --records fresh.jsonl \\
      --labels fresh/labels.csv

The labels are those that `eval labelled` reads: CSV or JSONL with the columns
image, label (safe or unsafe), violations (ids of rules) and perhaps group.
Scores have to be exact, so judge with --exhaustive. A promise holds for images
like those that were labelled, and for nothing else; --check tests it on others.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge calibrate`."""

    records: Path
    """What `judge --out` wrote."""
    labels: Path
    """A file of labels."""
    out: Path | None
    """The thresholds to be written."""
    check: Path | None
    """Thresholds to be tested instead."""
    alpha: float
    """Of what is blocked, the share that may be innocent."""
    beta: float
    """Of what is passed, the share that may violate."""
    delta: float
    """The chance that a promise is broken."""
    report: Path | None
    """A page."""
    constitution: str | None
    """Of records that do not hold their rules."""
    preset: str | None
    """Of records that do not hold their policy."""
    overwrite: bool
    """Write over what is there."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "calibrate",
        help="find thresholds with a promise from labelled records, or check them",
        description="Without a model: from records and labels find for every rule above which\n"
        "score to block and below which to pass, so that the share of errors stays\n"
        "within a promise; between them a person decides. And turn scores into\n"
        "probabilities, where that is better on labels left out.",
        **layout(EXAMPLES, OF_CALIBRATION),
    )
    parser.add_argument(
        "--records",
        type=path_or_journal,
        required=True,
        metavar="R",
        help="what judge --out wrote; or a journal",
    )
    parser.add_argument(
        "--labels", type=local_path, required=True, metavar="L", help="what is true"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=local_path, metavar="FILE.yaml", help="write thresholds there")
    what.add_argument(
        "--check",
        type=local_path,
        metavar="FILE.yaml",
        help="test these thresholds on fresh labels",
    )
    for name, text in {
        "alpha": "of what is blocked, the share that may be innocent",
        "beta": "of what is passed, the share that may violate",
        "delta": "the chance that a promise is broken",
    }.items():
        parser.add_argument(
            f"--{name}",
            type=share,
            default=0.1 if name == "delta" else 0.05,
            metavar="S",
            help=f"{text} (default: %(default)s)",
        )
    parser.add_argument(
        "--report", type=local_path, metavar="FILE.html", help="with --out: a page about them"
    )
    parser.add_argument(
        "--constitution",
        type=local_text,
        metavar="C",
        help="the rules, where the records do not hold them",
    )
    parser.add_argument(
        "--policy",
        dest="preset",
        choices=POLICIES,
        help="the policy, where the records do not hold it",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over the files that are there"
    )
    runs(parser, Options, run)


def share(text: str) -> float:
    """Read a share between 0 and 1, both left out."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1, such as 0.05")
    return number


def run(options: Options) -> int:
    """Calibrate, or check what was calibrated before."""
    from safejudge.decide.sample import read_sample
    from safejudge.journal.source import open_records
    from safejudge.show.page import made_by
    from safejudge.show.terminal import say

    _check_outputs(options)
    stored = open_records(options.records)
    names = [options.preset] if options.preset is not None else list(POLICIES)
    about = made_by.about(stored, options.constitution, variants(map(load_policy, names)))
    sample = read_sample(stored, about, options.labels)
    for note in sample.notes():
        say(note)
    return (
        _calibrate(options, sample, about)
        if options.check is None
        else _check(options, sample, about)
    )


def _check_outputs(options: Options) -> None:
    from safejudge.files.atomic import check_file

    if options.check is not None and options.report is not None:
        raise InputError("--report is for --out; leave it out with --check")
    for path in (options.out, options.report):
        if path is not None and check_file(path) and not options.overwrite:
            raise OutputError(f"{path}: exists already; --overwrite writes over it")


def _calibrate(options: Options, sample: Sample, about: About) -> int:
    from safejudge.decide.calibrate import Wanted, calibrate
    from safejudge.decide.outline import findings, is_whole, table
    from safejudge.decide.page import write
    from safejudge.decide.promises import Promise
    from safejudge.decide.thresholds import dump
    from safejudge.files.records import today
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    wanted = Wanted(Promise(options.alpha, options.delta), Promise(options.beta, options.delta))
    digest = hashlib.sha256(options.labels.read_bytes()).hexdigest()
    thresholds = calibrate(sample, about, wanted, digest, today())
    if options.report is not None:
        write(options.report, sample, about, thresholds, wanted)
    if options.out is not None:
        dump(thresholds, options.out)
    print_tables(console(), [table(thresholds)], findings(thresholds, sample))
    return DONE if is_whole(thresholds) else OPEN


def _check(options: Options, sample: Sample, about: About) -> int:
    from safejudge.decide.calibrate import known_policy
    from safejudge.decide.check import check, unseen, whole
    from safejudge.decide.outline import checked_table, whole_table
    from safejudge.decide.thresholds import fit, load
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console, say

    path = options.check
    if path is None:
        raise InputError("name thresholds with --check")
    thresholds = load(path)
    policy = known_policy(about)
    rules, notes = fit(thresholds, about.constitution, about.provenance, policy)
    for note in notes:
        say(f"warning: {path}: {note}")
    if seen := unseen(sample, thresholds):
        say(f"left out: {seen} images that the thresholds were made with")
    if not sample.judged:
        raise InputError(f"{options.labels}: every image made the thresholds; label fresh ones")
    found = check(sample, rules, policy)
    if not found:
        raise InputError(f"{path}: holds no promise for these rules; calibrate with more labels")
    print_tables(console(), [checked_table(found), whole_table(whole(sample, rules, policy))])
    said = [kept.found for kept in found]
    if "broken" in said:
        return BROKEN
    return OPEN if "cannot tell" in said else DONE
