"""Exit codes: what a command ends with. The only place where they are named.

0 and 1 are verdicts, so nothing that goes wrong may end with them; Python's own code for an
exception is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from safejudge.evals.suite import Coverage
    from safejudge.files.tally import Tally
    from safejudge.types import Intake

DONE = 0
"""The command did what it is for; of images: every one is safe."""
UNSAFE = CHANGED = BROKEN = 1
"""At least one image is unsafe, or to be blocked where thresholds decide; of two constitutions:
something changed; of golden images: one comes out otherwise; of thresholds: a promise is broken."""
INPUT = 2
"""The command, the constitution or a file has to be changed first, or no image could be judged;
argparse's own code."""
ENGINE = 3
"""A model failed, a store of files could not be asked, or the program has a bug."""
OPEN = 4
"""Something is left for a person: an undecided image, a file that was passed over, a sample
without a label, a rule to review."""
INTERRUPTED = 130
"""Ctrl-C."""
TERMINATED = 143
"""SIGTERM."""
BROKEN_PIPE = 141
"""Whoever read the results has closed the pipe."""

OF_CALIBRATION = """\
exit codes:
  0    every rule has both thresholds; with --check: every promise is kept
  1    with --check: a promise is broken
  2    the command or a file has to be changed first
  4    a rule lacks a threshold; with --check: images are too few to tell
  130  stopped by Ctrl-C; 143: by SIGTERM
"""
"""What the help of `calibrate` says of them."""

UNANSWERED = 0.05
"""The share of questions to which a model may say neither yes nor no."""

OF_CHECK = """\
exit codes:
  0    every example comes out as expected
  1    at least one comes out otherwise
  2    the command, the constitution or an example has to be changed first, or
       no example could be judged at all
  3    the engine failed
  4    none comes out otherwise, but one is undecided or could not be read, or
       something was not looked at: a picture of the folder without a label,
       frames of an animation; or the model said neither yes nor no to more
       than 1 in 20 questions
  130  stopped by Ctrl-C; 143: by SIGTERM
"""
"""What the help of `check` says of them."""

OF_VERDICTS = """\
exit codes:
  0    every image is safe
  1    at least one image is unsafe
  2    the command, the constitution or a file has to be changed first, or no
       image could be judged at all
  3    the engine failed, or a store such as s3:// could not be asked
  4    none is unsafe, but at least one is undecided or could not be read, or
       something was not looked at: a file that is no picture, frames of an
       animation; --ignore and --frames say what need not be; or the model
       said neither yes nor no to more than 1 in 20 questions
       (with --thresholds: 1 where one is to be blocked, 4 where one is for a
       person, 0 where all are passed)
  130  stopped by Ctrl-C; 143: by SIGTERM
"""
"""What the help of a command that judges says of them."""


OF_MEASURES = """\
exit codes:
  0    measured
  2    the command or a file has to be changed first, or nothing could be judged
  3    the engine failed; --resume goes on
  4    measured, but something could not be judged, or pictures have no label
  130  stopped by Ctrl-C; 143: by SIGTERM
"""
"""What the help of a command that measures a judge says of them."""


def of_run(tally: Tally, intake: Intake, *, frames_named: bool) -> int:
    """Return how a run ends that judged what came in.

    `UNSAFE` if an image is; `INPUT` if nothing was judged; `OPEN` if an image is undecided or
    failed, or if anything was not looked at: files that were passed over, or frames, unless the
    user named how many are enough (`frames_named`); or if more than `UNANSWERED` of the questions
    got neither yes nor no. Else `DONE`.
    """
    missed = intake.missed or _unlooked(tally, frames_named=frames_named)
    code = of_tally(tally)
    if code == OPEN and tally.labels.total() == tally.labels["failed"]:
        return INPUT
    return OPEN if code == DONE and missed else code


def _unlooked(tally: Tally, *, frames_named: bool) -> bool:
    """Whether frames were not looked at, or too many questions were not answered."""
    cut = tally.frames["cut"] > 0 and not frames_named
    return cut or tally.unanswered.total() > UNANSWERED * tally.probes


def of_check(
    statuses: Collection[str], tally: Tally, *, unlabelled: bool, frames_named: bool
) -> int:
    """Return how a check of golden images ends; `statuses` are those of `golden.outcomes`."""
    if tally.labels.total() == tally.labels["failed"]:
        return INPUT
    if "differs" in statuses:
        return CHANGED
    missed = unlabelled or _unlooked(tally, frames_named=frames_named)
    return OPEN if "open" in statuses or missed else DONE


def of_coverage(coverage: Coverage | None) -> int:
    """Return `INPUT` if nothing was judged, `OPEN` if something was not, else `DONE`."""
    if coverage is None:
        return DONE
    if not coverage.judged:
        return INPUT
    return OPEN if coverage.unjudged or coverage.passed_over else DONE


def of_tally(tally: Tally) -> int:
    """Return `UNSAFE` if an image is, else `OPEN` if one is undecided or failed, else `DONE`.

    Where thresholds decide: `UNSAFE` if one is to be blocked, `OPEN` if one is for a person.
    """
    if tally.actions:
        return UNSAFE if tally.actions["block"] else OPEN if tally.actions["person"] else DONE
    if tally.labels["unsafe"]:
        return UNSAFE
    return OPEN if tally.labels["undecided"] or tally.labels["failed"] else DONE
